#pragma once
//  How a product is cut into blocks, warps and threads, as a value; the menu of all that are compiled; and the choice.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>
#if !defined(__CUDACC_RTC__)
#  include <cstdio>
#  include <string>
#endif

namespace tenon {

/// What computes the products.
enum class gemm_kind {
  lanes,   // blocks of one thread, vector registers along K: the host (gemm_lanes_kernel.cuh)
  vector,  // CUDA cores, a warp's lanes along K: f32, and few rows (gemm_vector_kernel.cuh)
  mma,     // tensor cores, f16 and bf16 (gemm_mma_kernel.cuh)
};

/// One point of the tuning space: compare it, print it, put it in a benchmark table.
struct gemm_policy {
  gemm_kind kind         = gemm_kind::vector;
  int       threads      = 128;   // per block
  int       rows         = 1;     // of D that one block computes
  int       columns      = 16;    // of D (lanes), of B's rows (vector, mma) that one block computes
  int       tile_rows    = 1;     // of D that one warp (lanes: the thread) computes at once
  int       tile_columns = 4;     // of B's rows that one warp (lanes: the thread) computes at once
  int       depth        = 0;     // K at once: floats of a vector register (lanes), elements of one stage (mma)
  int       stages       = 0;     // tiles of A and B in flight (mma)
  bool      wide         = true;  // rows of A and B are contiguous (lanes) and start on 16 bytes (vector, mma)

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return kind == gemm_kind::lanes; }

  friend constexpr bool operator==(gemm_policy const&, gemm_policy const&) = default;

  /// Bytes of shared memory that a block takes, for elements of `element_bytes`.
  constexpr std::size_t shared_bytes(std::size_t element_bytes) const {
    if (kind != gemm_kind::mma) return 0;
    return static_cast<std::size_t>(stages) * static_cast<std::size_t>((rows + columns) * depth) * element_bytes;
  }
};

#if !defined(__CUDACC_RTC__)
/// "mma 64x64x64, 4 stages, warp 32x32, 128 threads"
inline std::string to_string(gemm_policy const& p) {
  char text[160];
  std::snprintf(text, sizeof text, "%s %dx%dx%d, %d stages, tile %dx%d, %d threads%s",
                p.kind == gemm_kind::mma      ? "mma"
                : p.kind == gemm_kind::vector ? "vector"
                                              : "lanes",
                p.rows, p.columns, p.depth, p.stages, p.tile_rows, p.tile_columns, p.threads,
                p.wide ? "" : ", by elements");
  return text;
}
#endif

namespace gemm_policies {
// kind, threads, rows, columns, tile_rows, tile_columns, depth, stages, wide
inline constexpr gemm_policy lanes{gemm_kind::lanes, 1, 32, 32, 4, 4, 16, 0, true};
inline constexpr gemm_policy lanes_strided{gemm_kind::lanes, 1, 32, 32, 4, 4, 16, 0, false};
inline constexpr gemm_policy vector_1{gemm_kind::vector, 128, 1, 16, 1, 4, 0, 0, true};
inline constexpr gemm_policy vector_4{gemm_kind::vector, 128, 4, 16, 4, 4, 0, 0, true};
inline constexpr gemm_policy vector_strided{gemm_kind::vector, 128, 4, 8, 4, 2, 0, 0, false};
inline constexpr gemm_policy mma_16{gemm_kind::mma, 128, 16, 64, 16, 16, 64, 6, true};
inline constexpr gemm_policy mma_64{gemm_kind::mma, 128, 64, 64, 32, 32, 64, 4, true};
inline constexpr gemm_policy mma_128{gemm_kind::mma, 256, 128, 128, 64, 32, 64, 3, true};
inline constexpr gemm_policy mma_strided{gemm_kind::mma, 128, 64, 64, 32, 32, 64, 2, false};
}  // namespace gemm_policies

/// The policy for D (m, n) = A (m, k) B^T (n, k). `aligned`: rows of A and B are contiguous and start on 16 bytes (on the
/// host: are contiguous). Under `batch_invariant` the kind depends on n, k and the element alone; the tile may follow m,
/// because every tile of a kind adds the products of an element of D in the same order.
constexpr gemm_policy choose_gemm_policy(architecture as, index_t m, index_t n, index_t k, std::size_t element_bytes,
                                         bool aligned, bool batch_invariant) {
  using namespace gemm_policies;
  (void)k;
  if (as.is_host()) return aligned ? lanes : lanes_strided;
  bool const few = m <= 4;
  if (element_bytes != 2 || (few && !batch_invariant && aligned)) {
    if (!aligned) return vector_strided;
    return m == 1 ? vector_1 : vector_4;
  }
  if (!aligned) return mma_strided;
  if (m <= 16) return mma_16;
  // The large tile where it still makes a block for each of about a hundred multiprocessors.
  return m >= 128 && n >= 128 && ((m + 127) / 128) * ((n + 127) / 128) >= 96 ? mma_128 : mma_64;
}

/// Every policy that a kernel is compiled for (mma: for elements of 16 bits).
inline constexpr gemm_policy gemm_menu[] = {
    gemm_policies::lanes,    gemm_policies::lanes_strided,  gemm_policies::vector_1,
    gemm_policies::vector_4, gemm_policies::vector_strided, gemm_policies::mma_16,
    gemm_policies::mma_64,   gemm_policies::mma_128,        gemm_policies::mma_strided,
};

}  // namespace tenon
