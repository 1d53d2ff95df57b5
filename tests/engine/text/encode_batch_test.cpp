//  Many texts on several threads against one after the other, and texts of many tokens against the texts of each.
#include <engine/text/bpe_tokenizer.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace tenon::engine;

/// 256 bytes, some pairs of letters, a control token and one of the user's.
bpe_tokenizer small_tokenizer() {
  bpe_definition d;
  d.file = "small";
  for (int b = 0; b < 256; ++b) d.entries.push_back({std::string(1, static_cast<char>(b)), true, true});
  for (auto const& [left, right] : {std::pair('a', 'b'), std::pair(' ', 'a'), std::pair('b', 'c')}) {
    d.merges.push_back({left, right, static_cast<std::int32_t>(d.entries.size())});
    d.entries.push_back({std::string{left, right}, true, true});
  }
  d.words.add_split(expression_of(word_pattern::gpt2), "small", split_behaviour::isolated);
  added_token control, user;
  control.id = 259, control.content = "<end>", control.special = true;
  user.id = 260, user.content = "<a user's token>";
  d.added = {control, user};
  return bpe_tokenizer(std::move(d));
}

std::vector<std::string> random_texts(std::size_t count) {
  static constexpr char const* pieces[] = {"a",    "b",           "c", " ", "abc", "<end>", "<a user's token>",
                                           "\xFF", "\xE4\xB8\xAD"};
  std::mt19937                 random(1);
  std::vector<std::string>     texts(count);
  for (std::string& t : texts)
    for (std::size_t n = random() % 400; n > 0; --n) t += pieces[random() % std::size(pieces)];
  return texts;
}

TEST(encode_batch, is_each_text_alone) {
  bpe_tokenizer const                    t     = small_tokenizer();
  std::vector<std::string> const         texts = random_texts(101);
  std::vector<std::string_view> const    views(texts.begin(), texts.end());
  std::vector<std::vector<std::int32_t>> expected;
  for (std::string const& text : texts) expected.push_back(t.encode(text));
  for (unsigned const threads : {0u, 1u, 2u, 7u, 300u})
    EXPECT_EQ(t.encode_batch(views, {}, threads), expected) << threads;
  EXPECT_TRUE(t.encode_batch({}).empty());
}

TEST(decode, is_each_token_alone) {
  bpe_tokenizer const t = small_tokenizer();
  for (std::string const& text : random_texts(50)) {
    std::vector<std::int32_t> ids = t.encode(text);
    ids.push_back(-1), ids.push_back(99999);  // no tokens
    std::string one_by_one;
    for (std::int32_t const id : ids) one_by_one += t.text_after(-1, id);
    EXPECT_EQ(t.decode(ids), one_by_one);
    std::string all = "before";
    t.append_text(ids, -1, all);
    EXPECT_EQ(all, "before" + one_by_one);
  }
}

}  // namespace
