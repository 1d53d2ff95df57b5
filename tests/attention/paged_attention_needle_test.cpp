// One key in thousands: its value must survive every format and every way of summing up.
#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "coded_cache.hpp"

namespace {

using tenon::bf16;

/// `keys` random keys of small values, and one that the query is aligned with, whose value is 1 in all columns. Its weight w
/// among the others is far from 0 and from 1, so a lost scale, key or part shows.
template <class T, class K, class V>
struct haystack {
  test::coded_batch<T, K, V> batch;
  int                        place;

  haystack(int keys, int at) : batch({.heads = 2, .kv_heads = 1, .page_size = 64}, {{1, keys}}), place(at) {
    for (auto& v : batch.v_values) v = T(0.02f * float(v));
    for (int d = 0; d < 64; ++d) {
      // Logit q.k / 8: about log(keys) + 1 at the needle.
      float const q            = float(batch.q_values[static_cast<std::size_t>(d)]);
      batch.key(0, at, 0)[d]   = T(q * 8 * (std::log(float(keys)) + 1) / 64);
      batch.value(0, at, 0)[d] = T(1.f);
    }
    batch.upload();
    batch.k_pages = test::coded_pages<K>(batch, batch.k_values, 64);
    batch.v_pages = test::coded_pages<V>(batch, batch.v_values, 64);
  }
};

template <class T, class K, class V>
void expect_needle(int keys, double tolerance) {
  for (int const at : {0, keys / 2 + 1, keys - 1}) {
    SCOPED_TRACE("needle at " + std::to_string(at) + " of " + std::to_string(keys));
    haystack<T, K, V>      hay(keys, at);
    auto const             expected = hay.batch.expect();
    test::tensor<float, 1> memory(1 << 18);
    test::tensor<int, 1>   counters(512);
    counters.fill(0);
    EXPECT_GT(expected.o[0], 0.3f);
    auto const check = [&](tenon::context where) {
      for (bool const split : {false, true}) {
        where.batch_invariant = !split;
        where.workspace       = {reinterpret_cast<std::byte*>(memory.view().data), split ? std::size_t{1} << 20 : 0};
        where.counters        = {reinterpret_cast<unsigned*>(counters.view().data), split ? 512 : 0};
        where.multiprocessors = 3;
        test::tensor<T, 3> o(1, 2, 64);
        ASSERT_TRUE(hay.batch.run(where, o, {.max_query_length = 1}).ok());
        EXPECT_LE(test::relative_error(o.values(), expected.o), tolerance);
      }
    };
#if TENON_CUDA
    test::on_every_target(check);
#else
    for (int const arch : {0, 80}) {  // one card's kernels stand for all: thousands of keys take their time on fibers
      tenon::context where;
      where.arch = arch;
      check(where);
    }
#endif
  }
}

TEST(paged_attention_needle, is_found_among_8k_keys_by_every_kernel) {
  // All columns are nearly the same number, so their roundings do not average out.
  double const bound = 1.4 * test::tolerance<bf16>();
  expect_needle<bf16, bf16, bf16>(8192, bound);
  expect_needle<bf16, tenon::kv_fp8, tenon::kv_fp8>(8192, bound);
  expect_needle<bf16, tenon::kv_int8, tenon::kv_int4>(8192, bound);
}

#if !TENON_CHECKED  // nothing here runs on a target
// What codes cost, by the reference alone: the needle's weight and value against those of the numbers.
TEST(paged_attention_needle, survives_codes_among_128k_keys) {
  int const  keys   = 128 * 1024;
  auto const weight = [&]<class K, class V>(K, V) { return haystack<float, K, V>(keys, keys / 3).batch.expect().o[0]; };
  float const exact = weight(float{}, float{});
  EXPECT_GT(exact, 0.3f);
  EXPECT_NEAR(weight(tenon::kv_int8{}, tenon::kv_int8{}), exact, 0.02);
  EXPECT_NEAR(weight(tenon::kv_fp8{}, tenon::kv_fp8{}), exact, 0.05);
  EXPECT_NEAR(weight(tenon::kv_int4{}, tenon::kv_int4{}), exact, 0.15);
}
#endif

}  // namespace
