// Bank conflicts of attention on matrix units: no access to shared memory takes more passes than its bytes want.
#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include "../support/tensor.hpp"
#include "coded_cache.hpp"

#if TENON_CHECKED

namespace {

using tenon::bf16;

/// A prefill and a decode of whole tiles, keys in several parts; page ids and lengths in registers leave no other accesses.
template <class K, class V>
void check(int head_dim) {
  SCOPED_TRACE("head_dim " + std::to_string(head_dim));
  for (bool const decode : {false, true}) {
    SCOPED_TRACE(decode ? "decode" : "prefill");
    test::batch_shape const       shape{.heads = 16, .kv_heads = 1, .head_dim = head_dim, .value_dim = head_dim};
    test::coded_batch<bf16, K, V> batch(shape, {{decode ? 1 : 4, 192}});
    test::tensor<bf16, 3>         o(batch.tokens, 16, head_dim);
    test::tensor<float, 1>        memory(1 << 18);
    test::tensor<std::int32_t, 1> counters(512);
    counters.fill(0);
    tenon::simt::session session({.count_wavefronts = true});
    tenon::context       where;
    where.arch            = 80;
    where.session         = &session;
    where.batch_invariant = false;
    where.multiprocessors = 2;
    where.workspace       = {reinterpret_cast<std::byte*>(memory.view().data), std::size_t{1} << 20};
    where.counters        = {reinterpret_cast<unsigned*>(counters.view().data), 512};
    auto const s          = batch.run(where, o, {.max_query_length = decode ? 1 : 0});
    ASSERT_TRUE(s.ok()) << s.subject;
    EXPECT_TRUE(session.found().clean()) << session.found();
    EXPECT_GT(session.found().ideal, 0u);
    EXPECT_EQ(session.found().bank_conflicts(), 0u);
  }
}

TEST(paged_attention_conflicts, none_with_numbers) {
  for (int const head_dim : {64, 128, 256}) check<bf16, bf16>(head_dim);
}
TEST(paged_attention_conflicts, none_with_codes) {
  for (int const head_dim : {64, 128, 256}) {
    check<tenon::kv_fp8, tenon::kv_int8>(head_dim);
    check<tenon::kv_int4, tenon::kv_int4>(head_dim);
  }
}

}  // namespace

#endif
