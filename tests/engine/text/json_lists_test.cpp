//  The lists of tokenizer.json: what they hold, in whatever order the file has them, and what ends them.
#include <engine/text/json_lists.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using namespace tenon::engine;

template <class Read>
std::string message_of(Read const& read) {
  try {
    read();
  } catch (error const& e) {
    return e.what();
  }
  return "no error";
}

TEST(json_lists, are_apart_from_the_tree) {
  tokenizer_tree const t(R"({"a": {"vocab": {"x": 1}}, "model": {"merges": ["a b", ["ab", "c"], ["", " "]],
                             "type": "BPE", "vocab": {"b": 7, "a": 3, "ab": 1}}, "vocab": [1]})",
                         "f");
  EXPECT_EQ(t.root, json_value::parse(R"({"a": {"vocab": {"x": 1}}, "model": {"merges": [], "type": "BPE", "vocab": {}},
                                          "vocab": [1]})"));
  ASSERT_EQ(t.vocabulary.names().size(), 3u);
  EXPECT_EQ(t.vocabulary.names()[1], "a");
  EXPECT_EQ(t.vocabulary.id_of(1, 8), 3);
  ASSERT_EQ(t.merges.size(), 3u);
  EXPECT_EQ(t.merges.left(1), "ab");
  EXPECT_EQ(t.merges.right(1), "c");
  EXPECT_EQ(t.merges.both(1), "abc");
  EXPECT_EQ(t.merges.left(2), "");
  EXPECT_EQ(t.merges.right(2), " ");
  EXPECT_NO_THROW(t.merges.check_end());
}

TEST(json_lists, pieces_and_their_scores) {
  tokenizer_tree const t(R"({"model": {"vocab": [["a", -1.5], ["b", 2], ["a", -1e31]]}})", "f");
  EXPECT_EQ(t.vocabulary.names().find("a"), 2);
  EXPECT_EQ(t.vocabulary.score_of(0), -1.5);
  EXPECT_EQ(t.vocabulary.score_of(1), 2.);
  EXPECT_EQ(message_of([&] { (void)t.vocabulary.score_of(2); }),
            "f: model.vocab[2]: out of range: found -1e+31, expected a number from -1e+30 to 1e+30");
}

TEST(json_lists, an_entry_that_is_none_ends_a_list) {
  for (auto const& [entry, found] :
       std::vector<std::pair<std::string, std::string>>{{"3", "3"},
                                                        {"{\"a\": [\"b\", 1]}", "an object"},
                                                        {"[]", "an array"},
                                                        {"[\"b\"]", "an array"},
                                                        {"[1, \"b\"]", "an array"},
                                                        {"[\"b\", 1, 2]", "an array"},
                                                        {"[[\"b\"], 1]", "an array"},
                                                        {"\"b\"", "\"b\""}}) {
    tokenizer_tree const t("{\"model\": {\"vocab\": [[\"a\", 1], " + entry + ", [\"c\", 1]]}}", "f");
    EXPECT_EQ(t.vocabulary.names().size(), 1u) << entry;
    EXPECT_EQ(message_of([&] { t.vocabulary.check_end(); }),
              "f: model.vocab[1]: is no piece: found " + found + ", expected a text and its score");
  }
  for (auto const& [entry, found] : std::vector<std::pair<std::string, std::string>>{
           {"3", "3, expected two tokens"},
           {"null", "null, expected two tokens"},
           {"{\"a\": \"b c\"}", "an object, expected two tokens"},
           {"[]", "an array, expected two tokens"},
           {"[\"b\", \"c\", \"d\"]", "an array, expected two tokens"},
           {"[\"b\", 1]", "an array, expected two tokens"},
           {"[\"b\", [\"c\"]]", "an array, expected two tokens"},
           {"\"bc\"", "\"bc\", expected two tokens with one space between them"},
           {"\" b\"", "\" b\", expected two tokens with one space between them"},
           {"\"b \"", "\"b \", expected two tokens with one space between them"},
           {"\"b c d\"", "\"b c d\", expected two tokens with one space between them"}}) {
    tokenizer_tree const t("{\"model\": {\"merges\": [\"a b\", " + entry + ", \"c d\"]}}", "f");
    EXPECT_EQ(t.merges.size(), 1u) << entry;
    EXPECT_EQ(message_of([&] { t.merges.check_end(); }), "f: model.merges[1]: is not a merge: found " + found);
  }
}

TEST(json_lists, ids_that_are_none) {
  for (auto const& [value, message] : std::vector<std::pair<std::string, std::string>>{
           {"8", "out of range: found 8"},
           {"-1", "out of range: found -1"},
           {"18446744073709551615", "out of range: found 18446744073709551615"},
           {"1.5", "wrong type: found 1.5"},
           {"\"x\"", "wrong type: found \"x\""},
           {"{\"a\": {\"b\": 1}}", "wrong type: found an object"},
           {"[[1], 2]", "wrong type: found an array"}}) {
    tokenizer_tree const t("{\"model\": {\"vocab\": {\"a\": " + value + ", \"b\": 5}}}", "f");
    EXPECT_EQ(message_of([&] { (void)t.vocabulary.id_of(0, 8); }),
              "f: model.vocab \"a\": " + message + ", expected an integer from 0 to 7");
    EXPECT_EQ(t.vocabulary.id_of(1, 8), 5);
  }
}

TEST(json_lists, a_token_that_comes_twice_is_refused) {
  EXPECT_EQ(message_of([] { (void)tokenizer_tree(R"({"model": {"vocab": {"a": 1, "a": 2}}})", "f"); }),
            "f: repeated key in an object: found \"a\" twice, expected it once");
}

TEST(json_lists, merges_by_ids) {
  std::string text = R"({"model": {"vocab": {"a": 9, "b": 8)", merges;
  for (int i = 1; i < 30; ++i) {  // more than are looked for at once
    std::string const part(static_cast<std::size_t>(i), 'a');
    text += ", \"" + part + "b\": " + std::to_string(100 + i);
    merges += (i > 1 ? ", [\"a\", \"" : "[\"a\", \"") + part.substr(1) + "b\"]";
  }
  tokenizer_tree const      t(text + "}, \"merges\": [" + merges + "]}}", "f");
  std::vector<std::int32_t> ids{9, 8};
  for (std::int32_t i = 1; i < 30; ++i) ids.push_back(100 + i);
  std::vector<pair_merge> const m = merges_of(t, ids);
  ASSERT_EQ(m.size(), 29u);
  for (std::size_t i = 0; i < m.size(); ++i) {
    EXPECT_EQ(m[i].left, 9);
    EXPECT_EQ(m[i].right, i == 0 ? 8 : static_cast<std::int32_t>(100 + i));
    EXPECT_EQ(m[i].id, static_cast<std::int32_t>(101 + i));
  }
  ids[20] = -1;  // no token: that of 19 a and a b
  EXPECT_EQ(message_of([&] { (void)merges_of(t, ids); }),
            "f: model.merges[18]: names a token outside the vocabulary: found \"" + std::string(19, 'a') +
                "b\", expected one of model.vocab");
}

}  // namespace
