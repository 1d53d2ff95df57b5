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
  vector,  // CUDA cores, a warp's lanes along K: few rows (gemm_vector_kernel.cuh)
  tile,    // CUDA cores, f32 (gemm_tile_kernel.cuh)
  mma,     // tensor cores, f16, bf16, and f32 as tf32 (gemm_mma_kernel.cuh)
};

/// What the choice of a policy must know of an epilogue.
struct gemm_epilogue_needs {
  int  segment    = 1;      // columns of D that it looks along
  int  row_values = 0;      // values that each row wants before its first column
  bool paired     = false;  // takes a gate and an up

  /// One value at a time is all it looks at.
  TENON_HD constexpr bool direct() const { return segment == 1 && row_values == 0; }
};
template <class Pipeline>
TENON_HD constexpr gemm_epilogue_needs needs_of() {
  return {Pipeline::segment, Pipeline::row_values, Pipeline::paired};
}

/// One point of the tuning space: compare it, print it, put it in a benchmark table.
struct gemm_policy {
  gemm_kind kind         = gemm_kind::vector;
  int       threads      = 128;  // per block
  int       rows         = 1;    // of D that one block computes
  int       columns      = 16;   // of D (lanes), of B's rows (others) that one block computes, at least (lanes, vector)
  int       tile_rows    = 1;    // of D that one warp (lanes, tile: one thread) computes at once
  int       tile_columns = 4;    // of B's rows that one warp (lanes, tile: one thread) computes at once
  int       depth        = 0;    // K at once: floats of a vector register (lanes), elements of 16 bits in a stage
  int       stages       = 0;    // tiles of A and B in flight (mma, tile)
  bool      wide         = true;   // rows of A and B are contiguous (lanes) and start on 16 bytes (others)
  bool      swapped      = false;  // the fragments' sixteen rows are B's, not A's (mma)
  int       split        = 1;      // warps that share a stage's K (mma)
  bool      tf32         = false;  // compiled for f32, too (mma)
  bool      for_segments = false;  // compiled only for epilogues that look along more columns than the others have

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return kind == gemm_kind::lanes; }

  friend constexpr bool operator==(gemm_policy const&, gemm_policy const&) = default;

  /// Elements of K in a stage: 2 depth bytes of them.
  template <class T>
  constexpr int depth_of() const {
    return 2 * depth / static_cast<int>(sizeof(T));
  }
  /// Bytes of shared memory that a block's ring of stages takes, whatever the elements.
  constexpr std::size_t ring_bytes() const {
    if (kind != gemm_kind::mma && kind != gemm_kind::tile) return 0;
    return std::size_t{2} * static_cast<std::size_t>(stages * (rows + columns) * depth);
  }
  /// Rows of fp32 sums that fit into the ring's memory at a time: the whole tile, or halves of halves of it. 2 KB are left to
  /// what epilogues keep per row.
  constexpr int slice_rows() const {
    int slice = rows;
    while (slice > 1 && 4 * static_cast<std::size_t>(split * slice * (columns + 8)) + 2048 > ring_bytes()) slice /= 2;
    return slice;
  }
  /// Columns of D that one block computes: as many as the epilogue looks along (lanes, vector).
  TENON_HD constexpr int d_columns(gemm_epilogue_needs const& e) const {
    int const pair = e.paired ? 2 : 1;
    if (kind == gemm_kind::lanes) return columns > e.segment ? columns : e.segment;
    if (kind == gemm_kind::vector && !e.direct()) {
      int const along = e.segment > 32 ? e.segment : 32;
      return columns / pair > along ? columns / pair : along;
    }
    return columns / pair;
  }
  /// Whether a kernel is compiled for elements of this size under this epilogue.
  constexpr bool runs(std::size_t element_bytes, gemm_epilogue_needs const& e) const {
    if (kind == gemm_kind::lanes || kind == gemm_kind::vector) return true;
    if (kind == gemm_kind::tile ? element_bytes != 4 : element_bytes != 2 && !tf32) return false;
    return e.segment <= d_columns(e) && (!for_segments || e.segment * (e.paired ? 2 : 1) > 64);
  }
};

#if !defined(__CUDACC_RTC__)
/// "mma 64x64x64, 4 stages, tile 32x32, 128 threads"
inline std::string to_string(gemm_policy const& p) {
  char        text[160];
  char const* kind[] = {"lanes", "vector", "tile", "mma"};
  char        split[24];
  std::snprintf(split, sizeof split, ", %d warps along K", p.split);
  std::snprintf(text, sizeof text, "%s %dx%dx%d, %d stages, tile %dx%d, %d threads%s%s%s",
                kind[static_cast<int>(p.kind)], p.rows, p.columns, p.depth, p.stages, p.tile_rows, p.tile_columns,
                p.threads, p.swapped ? ", swapped" : "", p.split > 1 ? split : "", p.wide ? "" : ", by elements");
  return text;
}
#endif

namespace gemm_policies {
// kind, threads, rows, columns, tile_rows, tile_columns, depth, stages, wide, swapped, split, tf32, for_segments
inline constexpr gemm_policy lanes{gemm_kind::lanes, 1, 32, 32, 4, 4, 16, 0, true};
inline constexpr gemm_policy lanes_strided{gemm_kind::lanes, 1, 32, 32, 4, 4, 16, 0, false};
inline constexpr gemm_policy vector_1{gemm_kind::vector, 128, 1, 16, 1, 4, 0, 0, true};
inline constexpr gemm_policy vector_4{gemm_kind::vector, 128, 4, 16, 4, 4, 0, 0, true};
inline constexpr gemm_policy vector_strided{gemm_kind::vector, 128, 4, 8, 4, 2, 0, 0, false};
inline constexpr gemm_policy tile_32{gemm_kind::tile, 128, 32, 64, 4, 4, 64, 4, true};
inline constexpr gemm_policy tile_128{gemm_kind::tile, 256, 128, 128, 8, 8, 64, 3, true};
inline constexpr gemm_policy tile_strided{gemm_kind::tile, 256, 32, 256, 4, 8, 64, 2, false};
inline constexpr gemm_policy mma_16{gemm_kind::mma, 128, 16, 64, 16, 16, 64, 6, true, true, 1, true};
inline constexpr gemm_policy mma_16_split{gemm_kind::mma, 128, 16, 64, 16, 32, 128, 4, true, true, 2};
inline constexpr gemm_policy mma_32{gemm_kind::mma, 128, 32, 64, 32, 16, 64, 6, true, true};
inline constexpr gemm_policy mma_64{gemm_kind::mma, 128, 64, 64, 32, 32, 64, 6, true, false, 1, true};
inline constexpr gemm_policy mma_64x128{gemm_kind::mma, 128, 64, 128, 32, 64, 64, 4, true};
inline constexpr gemm_policy mma_128{gemm_kind::mma, 256, 128, 128, 64, 32, 64, 3, true, false, 1, true};
inline constexpr gemm_policy mma_128x256{gemm_kind::mma, 256, 128, 256, 64, 64, 32, 4, true};
inline constexpr gemm_policy mma_strided{gemm_kind::mma, 128, 64, 64, 32, 32, 64, 2, false, false, 1, true};
inline constexpr gemm_policy mma_segment{gemm_kind::mma, 256, 16, 256, 16, 32, 32, 5, true, true, 1, true, true};
inline constexpr gemm_policy mma_segment_strided{gemm_kind::mma, 256,  32, 256,  32,  32, 64, 2,
                                                 false,          true, 1,  true, true};
}  // namespace gemm_policies

/// Every policy that a kernel is compiled for, where it runs.
inline constexpr gemm_policy gemm_menu[] = {
    gemm_policies::lanes,        gemm_policies::lanes_strided,  gemm_policies::vector_1,
    gemm_policies::vector_4,     gemm_policies::vector_strided, gemm_policies::tile_32,
    gemm_policies::tile_128,     gemm_policies::tile_strided,   gemm_policies::mma_16,
    gemm_policies::mma_16_split, gemm_policies::mma_32,         gemm_policies::mma_64,
    gemm_policies::mma_64x128,   gemm_policies::mma_128,        gemm_policies::mma_128x256,
    gemm_policies::mma_strided,  gemm_policies::mma_segment,    gemm_policies::mma_segment_strided,
};

constexpr bool is_on_gemm_menu(gemm_policy const& policy) {
  for (auto const& entry : gemm_menu)
    if (policy == entry) return true;
  return false;
}

}  // namespace tenon
