#pragma once
//  How a product with packed weights is cut into blocks, warps and stages, as a value; and the menu of all that are compiled.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/packed_weight.hpp>
#if !defined(__CUDACC_RTC__)
#  include <cstdio>
#  include <string>
#endif

namespace tenon {

/// What computes the products.
enum class packed_gemm_kind {
  lanes,   // blocks of one thread: the host (packed_gemm_lanes_kernel.cuh)
  vector,  // CUDA cores on packed atoms: f32 inputs, any layout (packed_gemm_vector_kernel.cuh)
  stream,  // few rows: weights as operand A, streamed through a ring, warps split K (packed_gemm_stream_kernel.cuh)
  tile,    // many rows: weights as operand A, decoded in registers (packed_gemm_tile_kernel.cuh)
};

/// One point of the tuning space.
struct packed_gemm_policy {
  packed_gemm_kind kind    = packed_gemm_kind::lanes;
  int              threads = 1;      // per block
  int              tokens  = 32;     // rows of D that one block computes
  int              rows    = 64;     // of B that one block computes, a multiple of 64
  int              depth   = 64;     // columns of one stage, a multiple of 64
  int              stages  = 0;      // in flight (stream, tile)
  bool             bulk    = false;  // weights arrive by bulk copies (sm_90), not by cp.async
  bool             wide    = true;   // rows of A are contiguous and start on 16 bytes
  bool             native  = true;   // e4m3 by e4m3 as the tensor core has it (sm_89 on), not widened to f16

  /// Made for the host's own kernel: blocks of one thread.
  constexpr bool on_host() const { return kind == packed_gemm_kind::lanes; }

  /// Whether the sums of a warp leave registers for products of e4m3, which sm_90 makes from f16 (tile).
  constexpr bool has_room_for_fp8() const { return kind != packed_gemm_kind::tile || tokens * rows <= 32 * threads; }
  /// Whether the registers of two blocks have room for the decoding of fp4 beside the sums: not of eight units to a stage.
  constexpr bool has_room_for_fp4() const { return kind != packed_gemm_kind::stream || depth <= 256; }

  /// Bytes of the ring of stages in shared memory: codes of `rows` rows and inputs of `tokens` tokens (stream: and scales).
  constexpr std::size_t shared_bytes(weight_code code, int input_bytes) const {
    if (kind != packed_gemm_kind::stream && kind != packed_gemm_kind::tile) return 0;
    bool const stream  = kind == packed_gemm_kind::stream;
    int const  columns = stream ? depth * 4 / bits_of(code) : depth;
    return static_cast<std::size_t>(stages) *
           static_cast<std::size_t>(columns * (rows * bits_of(code) / 8 + tokens * input_bytes) +
                                    (stream ? 8 * depth : 0));
  }

  friend constexpr bool operator==(packed_gemm_policy const&, packed_gemm_policy const&) = default;
};

#if !defined(__CUDACC_RTC__)
/// "stream 16 x 64 x 256, 6 stages, bulk, 288 threads"
inline std::string to_string(packed_gemm_policy const& p) {
  char const* const kinds[] = {"lanes", "vector", "stream", "tile"};
  char              text[160];
  std::snprintf(text, sizeof text, "%s %d x %d x %d, %d stages%s, %d threads%s%s", kinds[static_cast<int>(p.kind)],
                p.tokens, p.rows, p.depth, p.stages, p.bulk ? ", bulk" : "", p.threads, p.wide ? "" : ", by elements",
                p.native ? "" : ", fp8 as f16");
  return text;
}
#endif

namespace packed_gemm_policies {
// kind, threads, tokens, rows, depth, stages, bulk, wide, native
inline constexpr packed_gemm_policy lanes{packed_gemm_kind::lanes, 1, 32, 64, 256, 0, false, false};
inline constexpr packed_gemm_policy vector_4{packed_gemm_kind::vector, 256, 4, 128, 64, 0, false, false};
// stream: the depth is that of 4-bit codes, 8-bit ones have half. Up to 16 tokens two blocks share the memory and registers of
// a multiprocessor of sm_80 (stream_8, stream_16) and sm_90 (bulk); sm_89 has room for one.
inline constexpr packed_gemm_policy stream_8{packed_gemm_kind::stream, 288, 8, 64, 256, 5, false, true};
inline constexpr packed_gemm_policy stream_16{packed_gemm_kind::stream, 288, 16, 64, 256, 4, false, true};
inline constexpr packed_gemm_policy stream_32{packed_gemm_kind::stream, 288, 32, 64, 256, 3, false, true};
inline constexpr packed_gemm_policy stream_strided{packed_gemm_kind::stream, 288, 16, 64, 256, 4, false, false, false};
inline constexpr packed_gemm_policy stream_widened{packed_gemm_kind::stream, 288, 16, 64, 256, 4, false, true, false};
inline constexpr packed_gemm_policy stream_bulk_8{packed_gemm_kind::stream, 288, 8, 64, 512, 4, true, true};
inline constexpr packed_gemm_policy stream_bulk_16{packed_gemm_kind::stream, 288, 16, 64, 256, 6, true, true};
inline constexpr packed_gemm_policy stream_bulk_32{packed_gemm_kind::stream, 288, 32, 64, 256, 8, true, true};
// tile: see packed_gemm_tile_kernel.cuh
inline constexpr packed_gemm_policy tile_64x64{packed_gemm_kind::tile, 128, 64, 64, 64, 4, false, true};
inline constexpr packed_gemm_policy tile_128x64{packed_gemm_kind::tile, 128, 128, 64, 64, 3, false, true};
inline constexpr packed_gemm_policy tile_128x128{packed_gemm_kind::tile, 256, 128, 128, 64, 4, false, true};
inline constexpr packed_gemm_policy tile_strided{packed_gemm_kind::tile, 128, 64, 64, 64, 3, false, false, false};
inline constexpr packed_gemm_policy tile_widened{packed_gemm_kind::tile, 128, 64, 64, 64, 3, false, true, false};
}  // namespace packed_gemm_policies

/// Whether the scales of a matrix find room in the stages of the streaming kernel: of int4 those of 32 columns and more.
namespace packed {
constexpr bool streams(packed_layout const& b) { return b.code != weight_code::int4 || b.group >= 32; }
}  // namespace packed

/// Every policy that a kernel is compiled for.
inline constexpr packed_gemm_policy packed_gemm_menu[] = {
    packed_gemm_policies::lanes,          packed_gemm_policies::vector_4,      packed_gemm_policies::stream_8,
    packed_gemm_policies::stream_16,      packed_gemm_policies::stream_32,     packed_gemm_policies::stream_strided,
    packed_gemm_policies::stream_widened, packed_gemm_policies::stream_bulk_8, packed_gemm_policies::stream_bulk_16,
    packed_gemm_policies::stream_bulk_32, packed_gemm_policies::tile_64x64,    packed_gemm_policies::tile_128x64,
    packed_gemm_policies::tile_128x128,   packed_gemm_policies::tile_strided,  packed_gemm_policies::tile_widened,
};

}  // namespace tenon
