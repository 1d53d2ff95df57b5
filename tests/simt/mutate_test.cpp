// Mutation of synchronisation: needed operations are noticed when they are missing, needless ones are not.
#include <tenon/simt/buffer.hpp>
#include <tenon/simt/cuda.hpp>
#include <tenon/simt/mutate.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

#if TENON_CHECKED

namespace {

namespace simt = tenon::simt;

__global__ void sum_of_block(unsigned* total, unsigned const* x) {
  auto* const part  = simt::dynamic_shared<unsigned>();
  part[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    __syncthreads();
  }
  __syncthreads();  // needless
  if (threadIdx.x == 0) atomicAdd(total, part[0]);
}

std::vector<simt::check_options> const runs = {{.seed = 1}, {.seed = 2, .schedule = simt::schedule::random}};

TEST(mutate, names_what_nobody_misses) {
  std::vector<unsigned> const x(256, 3);
  auto const                  result = simt::mutate(runs, [&](simt::session& session) {
    simt::buffer<unsigned> in{std::span<unsigned const>(x)}, total(1, 0u);
    simt::launch(session, sum_of_block, 2, 128, 128 * sizeof(unsigned), total.data(), in.data());
    return total.values()[0] == 768;
  });
  ASSERT_EQ(result.failed, "");
  ASSERT_EQ(result.mutants.size(), 4u);  // three barriers and an atomic
  EXPECT_EQ(result.noticed(), 3u);
  EXPECT_FALSE(result.all_noticed());
  for (auto const& m : result.mutants) {
    EXPECT_EQ(m.what.name, m.what.at.line == 28 ? "atomic" : "sync_block");
    EXPECT_EQ(m.noticed, m.what.at.line != 27) << result;  // the line marked needless
  }
  std::ostringstream text;
  text << result;
  EXPECT_NE(text.str().find("3 of 4 mutants noticed"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("UNNOTICED  sync_block at"), std::string::npos) << text.str();
}

TEST(mutate, wants_a_kernel_that_works) {
  auto const wrong = simt::mutate(runs, [](simt::session&) { return false; });
  EXPECT_EQ(wrong.failed, "its results are wrong as it is");
  EXPECT_FALSE(wrong.all_noticed());
}

}  // namespace

#endif
