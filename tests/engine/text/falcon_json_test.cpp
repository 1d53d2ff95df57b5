//  Falcon's tokenizer.json: recognised, cut as its family, and only where its merges allow that.
#include <engine/error.hpp>
#include <engine/files/json.hpp>
#include <engine/text/bpe_tokenizer.hpp>
#include <engine/text/byte_alphabet.hpp>
#include <engine/text/falcon_json.hpp>
#include <engine/text/tokenizer_json.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

json_value tree_of(std::vector<std::string> const& more, std::vector<std::string> const& merges) {
  json_value   vocab = json_value::object();
  std::int32_t id    = 0;
  for (char32_t const c : gpt2_alphabet.character) {
    std::string name;
    append_utf8(name, c);
    vocab[name] = id++;
  }
  for (std::string const& m : more) vocab[m] = id++;
  json_value const steps = json_value::parse(
      R"([{"type": "Punctuation", "behavior": "Contiguous"},
          {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
          {"type": "Digits", "individual_digits": false},
          {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": false}])");
  return {{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

TEST(falcon_json, words) {
  json_value const tree = tree_of({"12", "123", "1234", "\xC4\xA0\xC4\xA0", "!!", "\xC4\xA0!"},
                                  {"1 2", "12 3", "123 4", "\xC4\xA0 \xC4\xA0", "! !", "\xC4\xA0 !"});
  ASSERT_TRUE(has_falcon_words(tree));
  bpe_tokenizer const t(read_tokenizer_json({tree.dump(), "falcon"}, "falcon"));
  EXPECT_EQ(t.encode("1234"), (ids{257, '4'}));       // three digits are a word
  EXPECT_EQ(t.encode("  !!"), (ids{259, 260}));       // spaces do not go with punctuation
  EXPECT_EQ(t.encode("   1"), (ids{259, ' ', '1'}));  // nor with digits
  EXPECT_EQ(t.encode("!!a!!"), (ids{260, 'a', 260}));
  EXPECT_EQ(t.decode(t.encode("x\xC2\xB2 = 12,345.67\n")), "x\xC2\xB2 = 12,345.67\n");
}

TEST(falcon_json, other_steps_are_not_its) {
  json_value tree = tree_of({}, {});
  EXPECT_FALSE(has_falcon_words(json_value::array()));
  tree["pre_tokenizer"]["pretokenizers"][2]["individual_digits"] = true;
  EXPECT_FALSE(has_falcon_words(tree));
  EXPECT_THROW((void)read_tokenizer_json({tree.dump(), "falcon"}, "falcon"), error);  // steps behind ByteLevel
  tree["pre_tokenizer"]["pretokenizers"].erase(2);
  EXPECT_FALSE(has_falcon_words(tree));
}

TEST(falcon_json, merges_across_its_cuts_are_refused) {
  for (auto const& [token, merge] : std::vector<std::pair<std::string, std::string>>{
           {"a1", "a 1"}, {"\xC3\x83\xC2\xB2", "\xC3\x83 \xC2\xB2"}, {"\xC2\xBE\xC3\x83", "\xC2\xBE \xC3\x83"}})
    try {
      (void)read_tokenizer_json({tree_of({token}, {merge}).dump(), "falcon"}, "falcon");
      ADD_FAILURE() << merge;
    } catch (error const& e) {
      EXPECT_TRUE(std::string(e.what()).starts_with("falcon: model.merges[0]: joins what Digits keeps apart: found "))
          << e.what();
    }
  EXPECT_NO_THROW(
      (void)read_tokenizer_json({tree_of({"\xC2\xB2\xC2\xB3"}, {"\xC2\xB2 \xC2\xB3"}).dump(), "falcon"}, "falcon"));
}

TEST(falcon_json, a_token_without_text_joins_nothing) {
  json_value tree = tree_of({""}, {});
  tree["model"]["merges"].push_back({"", "1"});
  tree["model"]["merges"].push_back({"a", ""});
  EXPECT_EQ(bpe_tokenizer(read_tokenizer_json({tree.dump(), "falcon"}, "falcon")).encode("a1"), (ids{'a', '1'}));
}

}  // namespace
