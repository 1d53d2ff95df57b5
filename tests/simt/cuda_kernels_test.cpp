// Plain CUDA kernels in the manner of samples and textbooks (cuda_kernels/*.cuh), which include no header of tenon but
// simt/cuda.hpp and compile with nvcc as they stand. Each computes what it should and is clean under every schedule; with its
// one planted bug it is reported as what it is, where it is, under every schedule.
#include <tenon/simt/check.hpp>
#include <tenon/simt/cuda.hpp>
#include <tenon/simt/expect.hpp>

#include <gtest/gtest.h>

#if TENON_CHECKED

#  include <algorithm>
#  include <cmath>
#  include <cstdint>
#  include <cstdlib>
#  include <fstream>
#  include <functional>
#  include <map>
#  include <numeric>
#  include <string>
#  include <vector>

#  include <cooperative_groups.h>
#  include <cooperative_groups/reduce.h>
#  include <cuda_fp16.h>
#  include <cuda_pipeline.h>

// Other people's code: signed and unsigned indices mix, constants narrow.
#  pragma GCC diagnostic push
#  pragma GCC diagnostic ignored "-Wconversion"
#  pragma GCC diagnostic ignored "-Wsign-conversion"
#  pragma GCC diagnostic ignored "-Wunknown-pragmas"
#  if defined(__clang__)
#    pragma GCC diagnostic ignored "-Wpass-failed"
#  endif
namespace correct {
#  define PLANTED 0
#  include "cuda_kernels/all.cuh"
#  undef PLANTED
}  // namespace correct
namespace planted {
#  define PLANTED 1
#  include "cuda_kernels/all.cuh"
#  undef PLANTED
}  // namespace planted
#  pragma GCC diagnostic pop

namespace {

using namespace tenon;
using simt::buffer, simt::check, simt::check_options, simt::delivery, simt::dim3, simt::kind, simt::report,
    simt::schedule;

/// The kernel with or without its bug.
#  define KERNEL(...) (bug ? planted::__VA_ARGS__ : correct::__VA_ARGS__)

std::vector<check_options> const runs = {
    {.seed = 1, .schedule = schedule::in_order, .delivery = delivery::late},
    {.seed = 2, .schedule = schedule::reversed, .delivery = delivery::eager},
    {.seed = 3, .schedule = schedule::warp_ahead, .delivery = delivery::late},
    {.seed = 4, .schedule = schedule::random, .delivery = delivery::random},
    {.seed = 5, .schedule = schedule::random, .delivery = delivery::late},
    {.seed = 6, .schedule = schedule::priorities, .delivery = delivery::random},
};

/// What the report of a planted bug must say: one of these kinds, between these marked lines of the kernel's file in either
/// order. Which of a race's two accesses comes first is the schedule's choice, so a race is any of its three kinds.
struct bug_report {
  std::vector<kind> kinds;
  std::string       file, here, there;
};
std::vector<kind> const race = {kind::read_after_write, kind::write_after_read, kind::write_after_write};

/// The lines of the kernel's file that bear the mark.
std::vector<unsigned> lines_of(bug_report const& b, std::string const& mark) {
  std::ifstream         file(std::string(TENON_SOURCE_DIR) + "/tests/simt/cuda_kernels/" + b.file);
  std::string           line;
  std::string const     wanted = "// [" + mark + "]";
  std::vector<unsigned> lines;
  for (unsigned n = 1; std::getline(file, line); ++n)
    if (line.find(wanted) != std::string::npos) lines.push_back(n);
  EXPECT_FALSE(lines.empty()) << b.file << ": no line is marked " << mark;
  return lines;
}

bool tells(simt::finding const& f, bug_report const& b, std::vector<unsigned> const& here,
           std::vector<unsigned> const& there) {
  auto const is = [&](simt::place const& p, std::vector<unsigned> const& lines) {
    return lines.empty() || (p.file.ends_with(b.file) && std::count(lines.begin(), lines.end(), p.line));
  };
  return std::count(b.kinds.begin(), b.kinds.end(), f.what) &&
         ((is(f.here, here) && is(f.there, there)) || (is(f.here, there) && is(f.there, here)));
}

/// run(options, with the bug?) checks its results where there is no bug, and gives the report.
void try_kernel(bug_report const& b, std::function<report(check_options const&, bool)> const& run) {
  auto const here = lines_of(b, b.here), there = b.there.empty() ? std::vector<unsigned>{} : lines_of(b, b.there);
  for (auto const& options : runs) {
    SCOPED_TRACE(b.file + ", " + to_string(options.schedule) + ", seed " + std::to_string(options.seed));
    EXPECT_TRUE(is_clean(run(options, false)));
    report const found = run(options, true);
    bool         told  = false;
    for (auto const& f : found.findings) told |= tells(f, b, here, there);
    EXPECT_TRUE(told) << "no such finding between " << b.here << " and " << b.there << "; " << found;
  }
}

/// Small whole numbers that follow no pattern a kernel could hide behind.
template <class T>
std::vector<T> numbers(std::size_t n, int first, int last, unsigned seed = 1) {
  std::vector<T> v(n);
  for (auto& x : v) {
    seed = seed * 1664525u + 1013904223u;
    x    = static_cast<T>(first + static_cast<int>((seed >> 8) % static_cast<unsigned>(last - first + 1)));
  }
  return v;
}

template <class T>
T sum_of(std::vector<T> const& v) {
  return std::accumulate(v.begin(), v.end(), T{});
}

void expect_near(std::vector<float> const& got, std::vector<float> const& want, float tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance) << i;
}

// ---- sums -----------------------------------------------------------------------------------------------------------

TEST(cuda_kernels, block_sum) {
  try_kernel({race, "block_sum.cuh", "add", "add"}, [](auto const& options, bool bug) {
    auto const    values = numbers<float>(500, -9, 9);
    buffer<float> x(values), sums(2);
    auto const    found = check(options, KERNEL(block_sum<128>), 2, 128, 0, sums.data(), x.data(), 500);
    if (!bug) {
      EXPECT_EQ(sum_of(sums.values()), sum_of(values));
    }
    return found;
  });
}

TEST(cuda_kernels, warp_sum) {
  try_kernel({{kind::divergent_collective}, "warp_sum.cuh", "shuffle", ""}, [](auto const& options, bool bug) {
    auto const    values = numbers<float>(300, -9, 9);
    buffer<float> x(values), sums(3);
    auto const    found = check(options, KERNEL(warp_sum), 3, 128, 0, sums.data(), x.data(), 300);
    if (!bug) {
      EXPECT_EQ(sum_of(sums.values()), sum_of(values));
    }
    return found;
  });
}

TEST(cuda_kernels, last_block_sum) {
  try_kernel({race, "last_block_sum.cuh", "read", "write"}, [](auto const& options, bool bug) {
    auto const       values = numbers<float>(450, -9, 9);
    buffer<float>    x(values), part(4), total(1);
    buffer<unsigned> finished(1, 0u);
    report           found;
    for (int again = 0; again < 2; ++again) {  // the counter comes back to 0 by itself
      found =
          check(options, KERNEL(last_block_sum), 4, 128, 0, total.data(), part.data(), finished.data(), x.data(), 450);
      if (!bug) {
        EXPECT_EQ(total.values()[0], sum_of(values));
      }
    }
    return found;
  });
}

TEST(cuda_kernels, segmented_sum) {
  try_kernel({race, "segmented_sum.cuh", "add", "add"}, [](auto const& options, bool bug) {
    auto const         values = numbers<float>(150, -9, 9);
    std::vector<int>   keys   = numbers<int>(150, 0, 7);
    std::vector<float> want(8, 0.0f);
    std::sort(keys.begin(), keys.end());
    for (std::size_t i = 0; i < keys.size(); ++i) want[static_cast<std::size_t>(keys[i])] += values[i];
    buffer<float> x(values), sum(8, 0.0f);
    buffer<int>   key(keys);
    auto const    found = check(options, KERNEL(segmented_sum), 3, 64, 0, sum.data(), x.data(), key.data(), 150);
    if (!bug) {
      EXPECT_EQ(sum.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, tile_sums) {
  try_kernel({race, "tile_sums.cuh", "read", "write"}, [](auto const& options, bool bug) {
    auto const  values = numbers<int>(256, -99, 99);
    buffer<int> x(values), sums(16), largest(16);
    auto const  found = check(options, KERNEL(tile_sums), 2, 128, 0, sums.data(), largest.data(), x.data());
    for (std::size_t i = 0; i < 16 && !bug; ++i) {
      EXPECT_EQ(sums.values()[i], std::accumulate(&values[16 * i], &values[16 * i] + 16, 0));
      EXPECT_EQ(largest.values()[i], *std::max_element(&values[16 * i], &values[16 * i] + 16));
    }
    return found;
  });
}

TEST(cuda_kernels, arg_max) {
  try_kernel({{kind::out_of_bounds}, "arg_max.cuh", "read", ""}, [](auto const& options, bool bug) {
    auto values = numbers<float>(127, -99, 50);
    values[70] = values[100] = 60;
    buffer<float>              x(values);
    buffer<unsigned long long> best(1, 0ull);
    auto const                 found = check(options, KERNEL(arg_max), 2, 64, 0, best.data(), x.data(), 127);
    if (!bug) {
      EXPECT_EQ(0xffffffffu - static_cast<unsigned>(best.values()[0]), 70u);
    }
    return found;
  });
}

// ---- scans, sorts, counts -------------------------------------------------------------------------------------------

TEST(cuda_kernels, inclusive_scan) {
  try_kernel({race, "inclusive_scan.cuh", "read", "write"}, [](auto const& options, bool bug) {
    auto             values = numbers<int>(128, -9, 9);
    buffer<int>      x(values), y(128);
    std::vector<int> want(128);
    std::partial_sum(values.begin(), values.end(), want.begin());
    auto const found = check(options, KERNEL(inclusive_scan), 1, 128, 0, y.data(), x.data());
    if (!bug) {
      EXPECT_EQ(y.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, exclusive_scan) {
  try_kernel({race, "exclusive_scan.cuh", "hand down", "add"}, [](auto const& options, bool bug) {
    auto             values = numbers<int>(128, -9, 9);
    buffer<int>      x(values), y(128);
    std::vector<int> want(128);
    std::exclusive_scan(values.begin(), values.end(), want.begin(), 0);
    auto const found = check(options, KERNEL(exclusive_scan), 1, 64, 128 * sizeof(int), y.data(), x.data(), 128);
    if (!bug) {
      EXPECT_EQ(y.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, ticket_scan) {
  try_kernel({race, "ticket_scan.cuh", "read", "write"}, [](auto const& options, bool bug) {
    auto             values = numbers<int>(256, -9, 9);
    buffer<int>      x(values), y(256), sum_to(4);
    buffer<unsigned> flag(4, 0u), ticket(1, 0u);
    std::vector<int> want(256);
    std::partial_sum(values.begin(), values.end(), want.begin());
    auto const found =
        check(options, KERNEL(ticket_scan), 4, 64, 0, y.data(), sum_to.data(), flag.data(), ticket.data(), x.data());
    if (!bug) {
      EXPECT_EQ(y.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, bitonic_sort) {
  try_kernel({race, "bitonic_sort.cuh", "read", "write"}, [](auto const& options, bool bug) {
    auto             values = numbers<unsigned>(128, 0, 999);
    buffer<unsigned> keys(values);
    std::sort(values.begin(), values.end());
    auto const found = check(options, KERNEL(bitonic_sort), 1, 64, 128 * sizeof(unsigned), keys.data());
    if (!bug) {
      EXPECT_EQ(keys.values(), values);
    }
    return found;
  });
}

TEST(cuda_kernels, radix_split) {
  try_kernel({race, "radix_split.cuh", "count", "scan"}, [](auto const& options, bool bug) {
    auto             values = numbers<unsigned>(96, 0, 7);
    buffer<unsigned> keys(values);
    std::sort(values.begin(), values.end());
    report found;
    for (int bit = 0; bit < (bug ? 1 : 3); ++bit) {
      found = check(options, KERNEL(radix_split), 1, 96, 0, keys.data(), bit);
      if (!bug) {
        EXPECT_TRUE(is_clean(found));
      }
    }
    if (!bug) {
      EXPECT_EQ(keys.values(), values);
    }
    return found;
  });
}

TEST(cuda_kernels, compaction) {
  try_kernel({race, "compaction.cuh", "read", "place"}, [](auto const& options, bool bug) {
    auto        values = numbers<int>(180, -9, 9);
    buffer<int> x(values), y(180), count(1, 0);
    auto const  found = check(options, KERNEL(compaction), 2, 96, 0, y.data(), count.data(), x.data(), 180);
    if (!bug) {
      auto got = y.values();
      got.resize(static_cast<std::size_t>(count.values()[0]));
      std::erase_if(values, [](int v) { return v <= 0; });
      std::sort(got.begin(), got.end());
      std::sort(values.begin(), values.end());
      EXPECT_EQ(got, values);
    }
    return found;
  });
}

TEST(cuda_kernels, histogram) {
  try_kernel({race, "histogram.cuh", "count", "count"}, [](auto const& options, bool bug) {
    auto const            values = numbers<unsigned char>(400, 0, 255);
    buffer<unsigned char> x(values);
    buffer<unsigned>      bins(64, 0u);
    std::vector<unsigned> want(64, 0u);
    for (auto const v : values) ++want[v >> 2];
    auto const found = check(options, KERNEL(histogram), 2, 96, 0, bins.data(), x.data(), 400);
    if (!bug) {
      EXPECT_EQ(bins.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, hash_insert) {
  try_kernel({race, "hash_insert.cuh", "test", "take"}, [](auto const& options, bool bug) {
    auto             values = numbers<unsigned>(150, 1, 90);
    buffer<unsigned> keys(values), table(256, 0xffffffffu), distinct(1, 0u);
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    auto const found = check(options, KERNEL(hash_insert), 2, 96, 0, table.data(), distinct.data(), keys.data(), 150);
    if (!bug) {
      EXPECT_EQ(distinct.values()[0], values.size());
    }
    return found;
  });
}

TEST(cuda_kernels, aggregated_count) {
  try_kernel({{kind::divergent_collective}, "aggregated_count.cuh", "match", "vote"},
             [](auto const& options, bool bug) {
               auto const            values = numbers<int>(128, -1, 5);
               buffer<int>           key(values);
               buffer<unsigned>      count(6, 0u), without(1, 0u);
               std::vector<unsigned> want(7, 0u);
               for (auto const v : values) ++want[static_cast<std::size_t>(v + 1)];
               auto const found =
                   check(options, KERNEL(aggregated_count), 2, 64, 0, count.data(), without.data(), key.data(), 128);
               if (!bug) {
                 EXPECT_EQ(without.values()[0], want[0]);
                 EXPECT_EQ(count.values(), std::vector<unsigned>(want.begin() + 1, want.end()));
               }
               return found;
             });
}

// ---- matrices -------------------------------------------------------------------------------------------------------

TEST(cuda_kernels, transpose) {
  try_kernel({{kind::out_of_bounds}, "transpose.cuh", "write", ""}, [](auto const& options, bool bug) {
    auto const    values = numbers<float>(40 * 36, -9, 9);
    buffer<float> x(values), y(values.size());
    auto const found = check(options, KERNEL(transpose<float>), dim3(2, 2), dim3(32, 8), 0, y.data(), x.data(), 40, 36);
    for (std::size_t i = 0; i < values.size() && !bug; ++i) EXPECT_EQ(y.values()[i % 40 * 36 + i / 40], values[i]);
    return found;
  });
}

TEST(cuda_kernels, tiled_matmul) {
  try_kernel({race, "tiled_matmul.cuh", "use", "load"}, [](auto const& options, bool bug) {
    constexpr std::size_t m = 13, n = 10, k = 20;
    auto const            a_values = numbers<float>(m * k, -9, 9), b_values = numbers<float>(k * n, -9, 9, 2);
    buffer<float>         a(a_values), b(b_values), c(m * n);
    std::vector<float>    want(m * n, 0.0f);
    for (std::size_t i = 0; i < m * n * k; ++i)
      want[i / k] += a_values[i / k / n * k + i % k] * b_values[i % k * n + i / k % n];
    auto const found = check(options, KERNEL(tiled_matmul<8>), dim3(2, 2), dim3(8, 8), 0, c.data(), a.data(), b.data(),
                             static_cast<int>(m), static_cast<int>(n), static_cast<int>(k));
    if (!bug) {
      EXPECT_EQ(c.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, gemv) {
  try_kernel({{kind::divergent_collective}, "gemv.cuh", "shuffle", ""}, [](auto const& options, bool bug) {
    auto const         a_values = numbers<float>(6 * 20, -9, 9), x_values = numbers<float>(20, -9, 9, 2);
    buffer<float>      a(a_values), x(x_values), y(6);
    std::vector<float> want(6, 0.0f);
    for (std::size_t i = 0; i < 120; ++i) want[i / 20] += a_values[i] * x_values[i % 20];
    auto const found = check(options, KERNEL(gemv), 2, dim3(32, 4), 0, y.data(), a.data(), x.data(), 6, 20);
    if (!bug) {
      EXPECT_EQ(y.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, int8_gemv) {
  try_kernel({{kind::uninitialised_read}, "int8_gemv.cuh", "add", ""}, [](auto const& options, bool bug) {
    auto const a_values = numbers<std::int8_t>(5 * 48, -128, 127), x_values = numbers<std::int8_t>(48, -128, 127, 2);
    std::vector<int>   a_words(5 * 12), x_words(12);
    std::vector<float> want(5, 0.0f);
    std::copy_n(a_values.data(), a_values.size(), reinterpret_cast<std::int8_t*>(a_words.data()));
    std::copy_n(x_values.data(), x_values.size(), reinterpret_cast<std::int8_t*>(x_words.data()));
    for (std::size_t i = 0; i < a_values.size(); ++i)
      want[i / 48] += static_cast<float>(a_values[i] * x_values[i % 48]);
    for (auto& v : want) v *= 0.25f;
    buffer<int>   a(a_words), x(x_words);
    buffer<float> y(5);
    auto const    found = check(options, KERNEL(int8_gemv), 1, 64, 0, y.data(), a.data(), x.data(), 0.25f, 5, 12);
    if (!bug) {
      EXPECT_EQ(y.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, softmax) {
  try_kernel({race, "softmax.cuh", "read", "write"}, [](auto const& options, bool bug) {
    auto const    values = numbers<float>(2 * 100, -4, 4);
    buffer<float> x(values), y(200);
    auto const    found = check(options, KERNEL(softmax), 2, 64, 0, y.data(), x.data(), 100);
    for (std::size_t row = 0; row < 2 && !bug; ++row) {
      float total = 0.0f;
      for (std::size_t i = 0; i < 100; ++i) total += std::exp(values[100 * row + i]);
      for (std::size_t i = 0; i < 100; ++i)
        EXPECT_NEAR(y.values()[100 * row + i], std::exp(values[100 * row + i]) / total, 1e-6f);
    }
    return found;
  });
}

TEST(cuda_kernels, layer_norm) {
  try_kernel({{kind::misaligned}, "layer_norm.cuh", "load", ""}, [](auto const& options, bool bug) {
    auto const values = numbers<float>(2 * 60, -9, 9), w = numbers<float>(60, -2, 2, 2),
               b = numbers<float>(60, -2, 2, 3);
    buffer<float>      x(values), y(120), weight(w), bias(b);
    std::vector<float> want(120);
    for (std::size_t row = 0; row < 2; ++row) {
      double mean = 0, squares = 0;
      for (std::size_t i = 0; i < 60; ++i) mean += values[60 * row + i] / 60.0;
      for (std::size_t i = 0; i < 60; ++i) squares += (values[60 * row + i] - mean) * (values[60 * row + i] - mean);
      for (std::size_t i = 0; i < 60; ++i)
        want[60 * row + i] =
            static_cast<float>((values[60 * row + i] - mean) / std::sqrt(squares / 60 + 1e-5) * w[i] + b[i]);
    }
    auto const found =
        check(options, KERNEL(layer_norm), 2, 64, 0, y.data(), x.data(), weight.data(), bias.data(), 60, 60);
    if (!bug) expect_near(y.values(), want, 1e-5f);
    return found;
  });
}

TEST(cuda_kernels, half_dot) {
  try_kernel({race, "half_dot.cuh", "read", "write"}, [](auto const& options, bool bug) {
    auto const           p = numbers<float>(200, -4, 4), q = numbers<float>(200, -4, 4, 2);
    std::vector<__half2> p_halves(100), q_halves(100);
    float                want = 0.0f;
    for (std::size_t i = 0; i < 100; ++i) {
      p_halves[i] = __floats2half2_rn(p[2 * i], p[2 * i + 1]);
      q_halves[i] = __floats2half2_rn(q[2 * i], q[2 * i + 1]);
    }
    for (std::size_t i = 0; i < 200; ++i) want += p[i] * (0.5f * p[i] + q[i]);
    buffer<__half2> x(p_halves), y(q_halves);
    buffer<float>   dot(1, 0.0f);
    auto const      found = check(options, KERNEL(half_dot), 1, 64, 0, dot.data(), y.data(), x.data(), 0.5f, 100);
    if (!bug) {
      EXPECT_EQ(dot.values()[0], want);
    }
    return found;
  });
}

// ---- grids and particles --------------------------------------------------------------------------------------------

TEST(cuda_kernels, stencil_1d) {
  try_kernel({{kind::uninitialised_read}, "stencil_1d.cuh", "read", ""}, [](auto const& options, bool bug) {
    auto const         values = numbers<float>(100, -9, 9);
    buffer<float>      x(values), y(100);
    std::vector<float> want(100, 0.0f);
    for (int i = 0; i < 100; ++i)
      for (int j = -3; j <= 3; ++j)
        if (i + j >= 0 && i + j < 100)
          want[static_cast<std::size_t>(i)] += correct::stencil_weight[j + 3] * values[static_cast<std::size_t>(i + j)];
    auto const found = check(options, KERNEL(stencil_1d), 2, 64, 0, y.data(), x.data(), 100);
    if (!bug) {
      EXPECT_EQ(y.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, stencil_3d) {
  try_kernel({race, "stencil_3d.cuh", "read", "write"}, [](auto const& options, bool bug) {
    constexpr int  nx = 20, ny = 8, nz = 3;
    auto const     values = numbers<double>(nx * ny * nz, -9, 9);
    buffer<double> x(values), y(values.size());
    auto const found = check(options, KERNEL(stencil_3d), dim3(2, 1), dim3(16, 8), 0, y.data(), x.data(), nx, ny, nz);
    auto const at    = [&](int i, int j, int k) {
      bool const outside = i < 0 || i >= nx || j < 0 || j >= ny || k < 0 || k >= nz;
      return outside ? 0.0 : values[static_cast<std::size_t>((k * ny + j) * nx + i)];
    };
    auto const got = y.values();
    for (int i = 0; i < nx * ny * nz && !bug; ++i) {
      int const ix = i % nx, iy = i / nx % ny, iz = i / nx / ny;
      EXPECT_EQ(got[static_cast<std::size_t>(i)], at(ix - 1, iy, iz) + at(ix + 1, iy, iz) + at(ix, iy - 1, iz) +
                                                      at(ix, iy + 1, iz) + at(ix, iy, iz - 1) + at(ix, iy, iz + 1) -
                                                      6 * at(ix, iy, iz));
    }
    return found;
  });
}

TEST(cuda_kernels, jacobi) {
  try_kernel({race, "jacobi.cuh", "read", "write"}, [](auto const& options, bool bug) {
    auto const    values = numbers<float>(12 * 18, -9, 9);
    buffer<float> x(values), y(values);
    auto const    found = check(options, KERNEL(jacobi), dim3(3, 3), dim3(8, 4), 0, y.data(), x.data(), 12, 18);
    auto          want  = values;
    for (std::size_t i = 18; i < 11 * 18; ++i)
      if (i % 18 && i % 18 != 17) want[i] = 0.25f * (values[i - 1] + values[i + 1] + values[i - 18] + values[i + 18]);
    if (!bug) {
      EXPECT_EQ(y.values(), want);
    }
    return found;
  });
}

TEST(cuda_kernels, convolution) {
  try_kernel({{kind::out_of_bounds}, "convolution.cuh", "store", ""}, [](auto const& options, bool bug) {
    std::vector<uchar4> values(20 * 10);
    for (unsigned i = 0; i < 200; ++i) {
      auto const v = static_cast<unsigned char>(i);
      values[i]    = {v, static_cast<unsigned char>(255 - v), 7, 0};
    }
    buffer<uchar4> x(values), y(200);
    auto const     bytes = static_cast<std::size_t>(bug ? planted::convolution_bytes : correct::convolution_bytes);
    auto const found = check(options, KERNEL(convolution), dim3(2, 2), dim3(16, 8), bytes, y.data(), x.data(), 20, 10);
    for (int i = 0; i < 200 && !bug; ++i) {
      int sum = 128, weight[] = {1, 4, 6, 4, 1};
      for (int j = 0; j < 25; ++j) {
        int const column = std::clamp(i % 20 + j % 5 - 2, 0, 19), row = std::clamp(i / 20 + j / 5 - 2, 0, 9);
        sum += weight[j % 5] * weight[j / 5] * values[static_cast<std::size_t>(20 * row + column)].x;
      }
      EXPECT_EQ(y.values()[static_cast<std::size_t>(i)].x, sum >> 8);
      EXPECT_EQ(y.values()[static_cast<std::size_t>(i)].z, 7);
    }
    return found;
  });
}

TEST(cuda_kernels, n_body) {
  try_kernel({{kind::divergent_barrier}, "n_body.cuh", "bodies", "others"}, [](auto const& options, bool bug) {
    std::vector<float4> bodies(40);
    auto const          v = numbers<float>(160, 1, 99);
    for (std::size_t i = 0; i < 40; ++i) bodies[i] = {v[4 * i], v[4 * i + 1], v[4 * i + 2], v[4 * i + 3]};
    buffer<float4> body(bodies);
    buffer<float3> acceleration(40);
    auto const     found = check(options, KERNEL(n_body), 2, 32, 0, acceleration.data(), body.data(), 40, 0.5f);
    for (std::size_t i = 0; i < 40 && !bug; ++i) {
      double sum = 0;
      for (auto const& b : bodies) {
        double const x = b.x - bodies[i].x, y = b.y - bodies[i].y, z = b.z - bodies[i].z;
        sum += x * b.w * std::pow(x * x + y * y + z * z + 0.5, -1.5);
      }
      EXPECT_NEAR(acceleration.values()[i].x, sum, 1e-3 + 1e-4 * std::abs(sum));
    }
    return found;
  });
}

TEST(cuda_kernels, pipeline) {
  try_kernel({{kind::unwaited_copy}, "pipeline.cuh", "copy", "use"}, [](auto const& options, bool bug) {
    auto const    values = numbers<float>(2 * 3 * 256, -99, 99);
    buffer<float> x(values), y(values.size());
    auto const    found = check(options, KERNEL(pipeline), 2, 64, 0, y.data(), x.data(), 3);
    for (std::size_t tile = 0; tile < 6 && !bug; ++tile) {
      float largest = 0.0f;
      for (std::size_t i = 256 * tile; i < 256 * (tile + 1); ++i) largest = std::max(largest, std::abs(values[i]));
      for (std::size_t i = 256 * tile; i < 256 * (tile + 1); ++i)
        EXPECT_NEAR(y.values()[i], values[i] / largest, 1e-6f);
    }
    return found;
  });
}

}  // namespace

#endif
