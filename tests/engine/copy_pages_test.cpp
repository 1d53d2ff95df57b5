//  The decoder's copies of pages: a request that goes on over copies draws from the same bits as one over the pages themselves.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/error.hpp"
#include "engine/model/decoder.hpp"

namespace {

using namespace tenon::engine;
using tenon::block_copy;

constexpr int block_size = 4, prompt = 10;

struct formats {
  number_format   dtype;
  kv_cache_format cache;
};
class decoder_copies : public testing::TestWithParam<formats> {
 protected:
  std::unique_ptr<decoder> make() const {
    model_config c;
    c.architecture = "LlamaForCausalLM", c.model_type = "llama", c.dtype = "float32";
    c.vocab_size = 40, c.hidden = 32, c.layers = 3, c.heads = 4, c.kv_heads = 2, c.head_dim = 16, c.intermediate = 48;
    c.max_position = 64, c.tie_word_embeddings = true;
    c.windows.assign(3, 0), c.shapes.assign(3, {c.heads, c.kv_heads, c.head_dim, c.intermediate});
    decoder_options o;
    o.dtype = GetParam().dtype, o.kv_format = GetParam().cache;
    o.block_size = block_size, o.pages = 8, o.max_length = 32, o.max_batched_tokens = 16, o.threads = 1;
    return make_decoder(c, nullptr, 1, o);
  }
};
INSTANTIATE_TEST_SUITE_P(formats, decoder_copies,
                         testing::Values(formats{number_format::f32, kv_cache_format::f32},
                                         formats{number_format::f32, kv_cache_format::fp8},
                                         formats{number_format::f32, kv_cache_format::int4},
                                         formats{number_format::bf16, kv_cache_format::bf16},
                                         formats{number_format::bf16, kv_cache_format::int8},
                                         formats{number_format::f16, kv_cache_format::f16}),
                         [](auto const& p) {
                           return std::string(name_of(unquantised(p.param.dtype))) + "_over_" +
                                  std::string(name_of(p.param.cache));
                         });

/// The logits of the last of `tokens` tokens from position `first` on, of a request in these pages.
std::vector<float> logits(decoder& model, int first, int tokens, std::vector<std::int32_t> const& pages) {
  step_batch b;
  for (int p = first; p < first + tokens; ++p) {
    b.ids.push_back(p * 7 % 40), b.positions.push_back(p);
    b.slots.push_back(std::int64_t{pages[std::size_t(p / block_size)]} * block_size + p % block_size);
  }
  b.query_start = {0, tokens}, b.kv_length = {first + tokens}, b.block_table = pages, b.logit_rows = {tokens - 1};
  b.max_pages = static_cast<int>(pages.size());
  model.forward(b);
  std::vector<float> out;
  model.read_logits(out);
  return out;
}

TEST_P(decoder_copies, serve_as_the_pages_themselves) {
  auto const model = make();
  (void)logits(*model, 0, prompt, {0, 1, 2});
  auto const want = logits(*model, prompt, 1, {0, 1, 2});
  EXPECT_NE(logits(*model, prompt, 1, {6, 4, 5}), want);  // nothing is there yet

  // Of the last page the tokens of the prompt; page 6 by way of page 3, which is overwritten afterwards.
  std::vector<block_copy> const copies = {{0, 3, block_size}, {1, 4, block_size}, {2, 5, prompt % block_size},
                                          {3, 6, block_size}, {7, 3, block_size}, {1, 1, block_size}};
  model->copy_pages(copies);
  EXPECT_EQ(logits(*model, prompt, 1, {6, 4, 5}), want);
  EXPECT_NE(logits(*model, prompt, 1, {3, 4, 5}), want);
  EXPECT_EQ(logits(*model, prompt, 1, {0, 1, 2}), want);  // as they were
}

TEST_P(decoder_copies, of_nothing_and_of_no_pages) {
  auto const model = make();
  EXPECT_NO_THROW(model->copy_pages({}));
  for (block_copy const& wrong : {block_copy{-1, 0, 1}, block_copy{0, 8, 1}, block_copy{0, 1, block_size + 1}})
    EXPECT_THROW(model->copy_pages({&wrong, 1}), error);
}

}  // namespace
