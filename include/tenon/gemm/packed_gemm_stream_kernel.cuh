#pragma once
//  D[i,j] = epilogue(a_scale[i] sum_k A[i,k] w[j,k]) for few rows i: packed weights streamed once, at the speed of memory.
//
//  A block computes `tokens` rows of D and one panel, 64 rows of B, over all of K or one part of it. Its ninth warp fills a
//  ring of stages: packed atoms of four or eight units of K (64 columns of 4-bit codes or 32 of 8-bit ones; 2 KB), the tile
//  of A that they meet, and their scales. The other eight take them, as many of a unit's four atoms as it needs:
//
//            unit 0  unit 1  unit 2  unit 3        four units: warp w has unit w % 4, atoms 2 (w / 4) and 2 (w / 4) + 1;
//    atom 0   warp    warp    warp    warp         eight units: warp w has all of unit w.
//    atom 1    0       1       2       3           A lane loads 16 bytes of each atom and has its fragments.
//    atom 2   warp    warp    warp    warp
//    atom 3    4       5       6       7
//
//  So K is split four or eight ways inside the block. Codes decode to exact numbers in registers (quant/decode.cuh), tensor
//  cores sum them in fp32 (integers: s32), and scales of groups or blocks are applied to the sums of each unit. The parts
//  meet in shared memory, in order; then parts of other blocks, if any; then the epilogue.
//
//  A full barrier per stage counts the copies that have landed, an empty one the warps that have read them; no block
//  barrier inside the loop. An element's sum depends on k, the format, the units and the number of splits alone.
//
//  A launch that overlaps the one before it (packed_gemm_options::overlaps_previous) has its first stages of B under way when A
//  is ready.
//
//  Traffic: B once per `tokens` rows of A, A once per panel, from L2. Docs: docs/operators/packed_gemm.md.
//  The ring follows NVIDIA's CUDA C++ Programming Guide, "Asynchronous data copies using the tensor memory accelerator";
//  splitting K inside a block, IST-DASLab/marlin (idea).
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/packed_gemm_params.hpp>
#include <tenon/gemm/packed_gemm_policy.hpp>
#include <tenon/quant/decode.cuh>
#include <tenon/tile/copy.cuh>
#include <tenon/tile/finish.cuh>
#include <tenon/tile/split.cuh>

#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// Numbers that a policy and a format fix together.
template <class Policy, class A, class Weight>
struct packed_gemm_stream_shape {
  static constexpr packed_gemm_policy policy = Policy::value;
  static constexpr weight_code        code   = Weight::code;

  static constexpr int tokens = policy.tokens, units = policy.depth / packed::atom_columns, atoms = 4;
  static constexpr int unit         = 256 / bits_of(code);  // columns; 512 bytes of one atom
  static constexpr int depth        = units * unit;         // columns of a stage
  static constexpr int weight_bytes = units * atoms * 512;
  static constexpr int consumers    = 8;  // warps

  static constexpr bool grouped  = Weight::scales == scale_kind::group;
  static constexpr bool blocked  = Weight::scales == scale_kind::block;
  static constexpr bool zeros    = grouped && code == weight_code::int4;
  static constexpr bool narrow   = sizeof(A) == 1;  // inputs with scales of their own
  static constexpr bool integers = std::is_same_v<A, std::int8_t>;
  // Sums of units are scaled and added up apart: always (those of e4m3 because the sums of some tensor cores are short,
  // simt/tensor_core/model.hpp), or where the inputs' scales change along K.
  static constexpr bool apart       = grouped || blocked || (narrow && !integers);
  static constexpr bool may_apart   = apart || narrow;
  static constexpr int  least_group = code == weight_code::int4 ? 32 : 16;
  static constexpr int  most_groups = depth / least_group;          // of a stage
  static constexpr bool with_copies = policy.wide || !policy.bulk;  // cp.async brings something
  static constexpr int  arrivals    = (with_copies ? 32 : 0) + (policy.wide ? 0 : 32) + (policy.bulk ? 1 : 0);

  static_assert(policy.kind == packed_gemm_kind::stream && policy.threads == 32 * (consumers + 1) &&
                    policy.rows == packed::panel_rows && tokens % 8 == 0 && policy.stages >= 2 &&
                    (units == 4 || units == 8),
                "tenon::packed_gemm_stream: no such policy");
};

/// What a stage holds of scales: of its groups, of its units.
template <class Shape, bool Grouped = Shape::grouped, bool Zeros = Shape::zeros>
struct packed_gemm_stream_group_scales {};
template <class Shape>
struct alignas(16) packed_gemm_stream_group_scales<Shape, true, false> {
  std::uint32_t scale[Shape::most_groups * 32];  // f16 of rows r (low) and r + 8 (high)
};
template <class Shape>
struct alignas(16) packed_gemm_stream_group_scales<Shape, true, true> {
  std::uint32_t scale[Shape::most_groups * 32];
  std::uint16_t zero[Shape::most_groups * 32];  // bytes of the same rows
};
template <class Shape, bool Blocked = Shape::blocked>
struct packed_gemm_stream_block_scales {};
template <class Shape>
struct packed_gemm_stream_block_scales<Shape, true> {
  float block_scale[Shape::units];
};
template <class Shape, bool Narrow = Shape::narrow>
struct packed_gemm_stream_input_scales {};
template <class Shape>
struct packed_gemm_stream_input_scales<Shape, true> {
  float input_scale[Shape::units][Shape::tokens];
};

template <class A, class Shape>
struct alignas(128) packed_gemm_stream_stage : packed_gemm_stream_group_scales<Shape>,
                                               packed_gemm_stream_block_scales<Shape>,
                                               packed_gemm_stream_input_scales<Shape> {
  alignas(128) std::byte weight[Shape::weight_bytes];
  tile::shared_tile<A, Shape::tokens, Shape::depth> a;
};

/// Shared memory of a block.
template <class Policy, class A, class Weight>
struct packed_gemm_stream_storage {
  using shape = packed_gemm_stream_shape<Policy, A, Weight>;
  packed_gemm_stream_stage<A, shape> stage[Policy::value.stages];
  arch::mbarrier                     barrier[2 * Policy::value.stages];  // full, then empty
};

/// Its end, in the place of the ring.
template <class Shape, class Pipeline>
struct packed_gemm_stream_end {
  tile::sums<Shape::tokens, packed::panel_rows, true> parts[Shape::units];
  tile::row_values<Pipeline, Shape::tokens>           values;
  bool                                                last;
};

/// The warp that fills the ring: its lanes together, except for bulk copies, which lane 0 starts.
template <class Shape, class A, class Weight>
struct packed_gemm_stream_producer {
  using stage_type = packed_gemm_stream_stage<A, Shape>;
  using tile_type  = tile::shared_tile<A, Shape::tokens, Shape::depth>;

  tensor_view<A const, 2>     a;
  tensor_view<float const, 2> a_scales;
  index_t                     row;
  int                         a_group, columns, live;  // columns of B with padding; rows of A that are there
  std::byte const*            weight;                  // of the panel
  std::byte const*            scales;                  // of the panel: f16 by groups, or f32 by blocks
  std::byte const*            zeros;
  int                         group, groups;  // columns of B's groups, how many
  int                         per_stage;      // groups of one stage where it begins with one; else 0
  A const*                    a_chunk;        // this lane's first one

  template <class Params>
  __device__ packed_gemm_stream_producer(Params const& p, index_t row_, index_t b_row)
      : a(p.a), a_scales(p.a_scales), row(row_), a_group(p.a_group) {
    auto const&   b     = p.b;
    index_t const panel = b_row / packed::panel_rows;
    columns             = static_cast<int>(b.layout.blocks()) * packed::atom_columns;
    live                = static_cast<int>(min<index_t>(a.extent[0] - row, Shape::tokens));
    weight              = b.atom(b_row, 0);
    group = b.layout.group, groups = static_cast<int>(b.layout.groups());
    scales = b.data + b.layout.scales_offset();
    if constexpr (Shape::grouped) scales += panel * groups * (packed::panel_rows * 2);
    if constexpr (Shape::blocked) scales += b_row / b.layout.block_rows * groups * 4;
    zeros = nullptr;
    if constexpr (Shape::zeros)
      if (b.layout.zero_points) zeros = b.data + b.layout.zeros_offset() + panel * groups * packed::panel_rows;
    per_stage = Shape::grouped && Shape::depth % group == 0 ? Shape::depth / group : 0;
    if constexpr (Shape::policy.wide)
      a_chunk = a.data + (row + arch::lane() / tile_type::chunks_per_row) * a.stride[0] +
                arch::lane() % tile_type::chunks_per_row * tile_type::per_chunk;
  }

  /// Starts what stage `s` of K brings of B, with the scales of its groups.
  __device__ void bring_weights(stage_type& to, arch::mbarrier* full, int s) const {
    int const              lane = arch::lane(), column = s * Shape::depth, here = min(Shape::depth, columns - column);
    int const              bytes = here * (Shape::atoms * packed::atom_bytes(Shape::code) / packed::atom_columns);
    std::byte const* const from  = weight + static_cast<index_t>(s) * Shape::weight_bytes;
    [[maybe_unused]] int   first = 0, count = 0;  // groups of this stage
    if constexpr (Shape::grouped) {
      first = per_stage > 0 ? s * per_stage : column / group;
      count = per_stage > 0 ? min(per_stage, groups - first) : min((column + here - 1) / group + 1, groups) - first;
    }
    auto const bring = [&](auto const& copy) {
      copy(to.weight, from, bytes);
      if constexpr (Shape::grouped)
        copy(to.scale, scales + static_cast<index_t>(first) * (packed::panel_rows * 2), count * packed::panel_rows * 2);
      if constexpr (Shape::zeros)
        if (zeros != nullptr)
          copy(to.zero, zeros + static_cast<index_t>(first) * packed::panel_rows, count * packed::panel_rows);
    };
    if constexpr (Shape::policy.bulk) {
      if (lane == 0) {
        int const of_groups = count * packed::panel_rows * (Shape::zeros && zeros != nullptr ? 3 : 2);
        arch::mbarrier_arrive_expect(full, bytes + (Shape::grouped ? of_groups : 0));
        bring([&](void* shared, std::byte const* global, int size) { arch::bulk_load(shared, global, size, full); });
      }
    } else {
      bring([&](void* shared, std::byte const* global, int size) {
        for (int at = lane * 16; at < size; at += 32 * 16)
          arch::cp_async<16>(static_cast<std::byte*>(shared) + at, global + at);
      });
    }
  }

  /// Starts the rest, after bring_weights: A's rows, and the scales of units, few words wherever they are.
  __device__ void bring_inputs(stage_type& to, arch::mbarrier* full, int s) const {
    int const lane = arch::lane(), column = s * Shape::depth, here = min(Shape::depth, columns - column);
    if constexpr (Shape::blocked)
      if (int const at = lane * Shape::unit; at < here)
        put(to.block_scale[lane], reinterpret_cast<float const*>(scales) + (column + at) / group);
    if constexpr (Shape::narrow)
      if (Shape::apart || a_group > 0)
        for (int i = lane; i < Shape::units * Shape::tokens; i += 32) {
          int const u = i / Shape::tokens, r = i % Shape::tokens, at = u * Shape::unit;
          if (r >= live || at >= here) continue;
          int const g = a_group > 0 ? (column + at) / a_group : 0;
          put(to.input_scale[u][r], a_scales.data + (row + r) * a_scales.stride[0] + g * a_scales.stride[1]);
        }
    if constexpr (Shape::policy.wide) {
      constexpr int chunks = min(tile_type::chunks_per_row, 32), step = 32 / chunks, per_chunk = tile_type::per_chunk;
      TENON_UNROLL_DEVICE
      for (int first_chunk = 0; first_chunk < tile_type::chunks_per_row; first_chunk += chunks) {
        int const c = first_chunk + lane % chunks, left = static_cast<int>(a.extent[1]) - column - c * per_chunk;
        int const size = min(max(left, 0), per_chunk) * static_cast<int>(sizeof(A));
        A const*  next = size > 0 ? a_chunk + column + first_chunk * per_chunk : a.data;
        for (int r = lane / chunks; r < live; r += step) {
          arch::cp_async<16>(to.a.chunk(r, c), next, size);
          if (size > 0) next += step * a.stride[0];
        }
      }
    } else {
      tile::copy_elements<32>(to.a, a, row, column, lane);
      arch::mbarrier_arrive(full);
    }
    if constexpr (Shape::with_copies) arch::mbarrier_arrive_after_copies(full);
  }

 private:
  __device__ static void put(float& to, float const* from) {
    if constexpr (Shape::with_copies) arch::cp_async<4>(&to, from);
    else to = *from;
  }
};

/// What copies never bring: rows past A's last one, in all stages, and their scales. Collective over the block; a barrier
/// must follow.
template <class Shape, class Storage>
__device__ inline void clear_absent_rows(Storage& ring, int live) {
  constexpr int bytes = static_cast<int>(sizeof(ring.stage[0].a)), per_row = bytes / Shape::tokens;
  constexpr int threads = Shape::policy.threads;
  for (auto& stage : ring.stage) {
    auto* const to = reinterpret_cast<std::uint32_t*>(stage.a.element);
    for (int i = live * per_row + static_cast<int>(threadIdx.x) * 16; i < bytes; i += threads * 16)
      arch::store<4>(to + i / 4, vec<std::uint32_t, 4>{});
    if constexpr (Shape::narrow)
      for (int i = static_cast<int>(threadIdx.x); i < Shape::units * Shape::tokens; i += threads)
        if (i % Shape::tokens >= live) stage.input_scale[i / Shape::tokens][i % Shape::tokens] = 0;
  }
}

/// A warp that multiplies: a few atoms of one unit of each stage.
template <class Shape, class A, class Weight>
struct packed_gemm_stream_consumer {
  using decoder_type = packed_decoder<Shape::code, A>;
  struct integer_sum {
    std::int32_t v[4] = {};
  };
  using sum = std::conditional_t<Shape::integers, integer_sum, tile::accumulator>;

  static constexpr int  atoms = Shape::units * Shape::atoms / Shape::consumers, across = Shape::tokens / 8;
  static constexpr bool pairs = decoder_type::pairs;
  static constexpr int  steps = Shape::unit / (pairs ? 16 : 32);  // products along K

  static constexpr bool four    = across == 1 && steps % 2 == 0;  // one ldmatrix brings two steps
  static constexpr int  chunks  = 2 * steps;                      // of a row of A that a unit meets, 16 bytes each
  static constexpr bool coarse8 = bits_of(Shape::code) == 8;      // two planes of 512 bytes to an atom

  int unit, first;  // of a stage's units; of its atoms
  int weight_at;    // this lane's first words, bytes from the stage's
  int row_at;       // row g of the first atom, among pairs of rows
  int first_chunk;  // this lane's address for the unit's first ldmatrix, elements from the tile's

  sum   part[atoms][across];
  float total[Shape::may_apart ? atoms : 1][Shape::may_apart ? across : 1][4] = {};

  __device__ packed_gemm_stream_consumer()
      : unit(arch::warp() % Shape::units), first(arch::warp() / Shape::units * atoms) {
    using tile_type = tile::shared_tile<A, Shape::tokens, Shape::depth>;
    int const lane  = arch::lane();
    weight_at =
        (coarse8 ? (unit / 2 * Shape::atoms + first) * 2 + unit % 2 : unit * Shape::atoms + first) * 512 + lane * 16;
    row_at          = first * 8 + lane / 4;
    int const row   = lane % 8 + (across > 1 ? lane / 16 * 8 : 0);
    int const chunk = unit * chunks + (four ? lane / 8 : lane / 8 % 2);
    first_chunk     = row * Shape::depth + tile::swizzle<tile_type::chunks_per_row>(row, chunk) * tile_type::per_chunk;
  }

  /// Adds one stage. index(step): which of the stage's groups the scale of that step is; fine: they may differ.
  template <bool Fine, class Index>
  __device__ void add(packed_gemm_stream_stage<A, Shape> const& stage, bool apart, bool zero_points,
                      Index const& index) {
    std::uint32_t    word[atoms][decoder_type::words];  // one plane of 8-bit atoms: the first four
    decoder_type     decoder[atoms];
    tile::fragment_b b[2][across];
    TENON_UNROLL_DEVICE
    for (int i = 0; i < atoms; ++i) {
      auto const* const from  = stage.weight + weight_at + i * (coarse8 ? 1024 : 512);
      auto const        words = arch::load<4>(reinterpret_cast<std::uint32_t const*>(from));
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 4; ++e) word[i][e] = words[e];
    }
    if constexpr (!Fine && Shape::zeros)
      if (zero_points) set_zeros(decoder, stage, index(0));
    step<0, Fine>(stage, word, decoder, b, zero_points, index);
    if constexpr (Shape::may_apart && !Fine)
      if (apart) scale(stage, index(0));
  }

 private:
  __device__ void set_zeros(decoder_type (&decoder)[atoms], packed_gemm_stream_stage<A, Shape> const& stage,
                            int group) const {
    if constexpr (Shape::zeros) {
      TENON_UNROLL_DEVICE
      for (int i = 0; i < atoms; ++i) {
        unsigned const both = stage.zero[group * 32 + row_at + i * 8];
        decoder[i].set_zeros(both & 0xff, both >> 8);
      }
    }
  }

  template <int Step, bool Fine, class Index>
  __device__ void step(packed_gemm_stream_stage<A, Shape> const& stage,
                       std::uint32_t const (&word)[atoms][decoder_type::words], decoder_type (&decoder)[atoms],
                       tile::fragment_b (&b)[2][across], bool zero_points, Index const& index) {
    if constexpr (Fine && Step > 0 && atoms * across > 2)
      arch::sync_warp();  // keeps loads of later steps behind: registers
    if constexpr (Fine && Shape::zeros)
      if (zero_points) set_zeros(decoder, stage, index(Step));
    load_b<Step>(b, stage);
    TENON_UNROLL_DEVICE
    for (int i = 0; i < atoms; ++i) {
      auto const a = decoder[i].template at<Step>(word[i]);
      TENON_UNROLL_DEVICE
      for (int j = 0; j < across; ++j) multiply(part[i][j], a, b[Step % 2][j]);
    }
    if constexpr (Shape::apart && Fine) scale(stage, index(Step));
    if constexpr (Step + 1 < steps) step<Step + 1, Fine>(stage, word, decoder, b, zero_points, index);
  }

  /// B fragments of all tokens for step Step in b[Step % 2]: of rows of A's tile, two chunks of 16 bytes each.
  template <int Step>
  __device__ void load_b(tile::fragment_b (&b)[2][across], packed_gemm_stream_stage<A, Shape> const& stage) const {
    if constexpr (four) {
      if constexpr (Step % 2 == 0) {
        std::uint32_t r[4];
        arch::ldmatrix(r, chunk<Step>(stage));
        b[0][0] = {{r[0], r[1]}}, b[1][0] = {{r[2], r[3]}};
      }
    } else if constexpr (across == 1) {
      arch::ldmatrix(b[Step % 2][0].r, chunk<Step>(stage));
    } else {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < across; j += 2) {
        std::uint32_t r[4];
        arch::ldmatrix(r, chunk<Step>(stage) + 8 * j * Shape::depth);  // a swizzle repeats every 8 rows
        b[Step % 2][j] = {{r[0], r[1]}}, b[Step % 2][j + 1] = {{r[2], r[3]}};
      }
    }
  }

  /// Bits of a chunk's number inside the unit pass through the swizzle: the unit's others are an exclusive or away.
  template <int Step>
  __device__ A const* chunk(packed_gemm_stream_stage<A, Shape> const& stage) const {
    return stage.a.element + (first_chunk ^ 2 * Step * tile::shared_tile<A, Shape::tokens, Shape::depth>::per_chunk);
  }

  __device__ static void multiply(sum& d, tile::fragment_a const& a, tile::fragment_b const& b) {
    if constexpr (std::is_same_v<A, std::int8_t>) arch::mma_m16n8k32<std::int8_t>(d.v, a.r, b.r);
    else if constexpr (std::is_same_v<A, e4m3>) tile::mma_fp8<Shape::policy.native>(d, a, b);
    else tile::mma<A>(d, a, b);
  }

  /// total += scales * part; part = 0.
  __device__ void scale(packed_gemm_stream_stage<A, Shape> const& stage, [[maybe_unused]] int group) {
    TENON_UNROLL_DEVICE
    for (int i = 0; i < atoms; ++i) {
      float of_row[2];  // rows g and g + 8
      if constexpr (Shape::grouped) {
        std::uint32_t const both = stage.scale[group * 32 + row_at + i * 8];
        of_row[0]                = static_cast<float>(f16::from_bits(static_cast<std::uint16_t>(both)));
        of_row[1]                = static_cast<float>(f16::from_bits(static_cast<std::uint16_t>(both >> 16)));
      } else if constexpr (Shape::blocked) {
        of_row[0] = of_row[1] = stage.block_scale[unit];
      } else {
        of_row[0] = of_row[1] = 1;
      }
      TENON_UNROLL_DEVICE
      for (int j = 0; j < across; ++j) {
        if constexpr (Shape::narrow) {
          auto const of_token = arch::load<2>(&stage.input_scale[unit][8 * j + arch::lane() % 4 * 2]);
          TENON_UNROLL_DEVICE
          for (int v = 0; v < 4; ++v) {
            total[i][j][v] =
                arch::fma(of_row[v / 2] * of_token[v % 2], static_cast<float>(part[i][j].v[v]), total[i][j][v]);
            part[i][j].v[v] = 0;
          }
        } else {
          TENON_UNROLL_DEVICE
          for (int v = 0; v < 4; ++v) {
            total[i][j][v]  = arch::fma(of_row[v / 2], part[i][j].v[v], total[i][j][v]);
            part[i][j].v[v] = 0;
          }
        }
      }
    }
  }
};

template <class Policy, class D, class A, class Weight, class Epilogue>
__global__ __launch_bounds__(
    Policy::value.threads,
    Policy::value.tokens >= 32 || !Policy::value.wide
        ? 1
        : 2) void packed_gemm_stream(__grid_constant__ packed_gemm_params<D, A, Weight, Epilogue> const p) {
  constexpr packed_gemm_policy policy = Policy::value;
  using shape                         = packed_gemm_stream_shape<Policy, A, Weight>;
  using storage                       = packed_gemm_stream_storage<Policy, A, Weight>;
  using pipeline                      = typename packed_gemm_params<D, A, Weight, Epilogue>::pipeline;
  constexpr int tokens = shape::tokens, columns = packed::panel_rows, stages = policy.stages;
  static_assert(sizeof(packed_gemm_stream_end<shape, pipeline>) <= sizeof(storage::stage));

  // Index map: panels, then blocks of tokens, then parts of K.
  auto&          ring   = arch::shared<storage>();
  unsigned const panels = static_cast<unsigned>(p.b.layout.panels());
  unsigned const tiles  = panels * static_cast<unsigned>(ceil_div(p.d.extent[0], tokens));
  unsigned const place = blockIdx.x % tiles, split = blockIdx.x / tiles;
  index_t const  row   = static_cast<index_t>(place / panels) * tokens;
  index_t const  b_row = static_cast<index_t>(place % panels) * columns;
  int const      all   = static_cast<int>(ceil_div(p.b.layout.columns, shape::depth));
  int const      begin = static_cast<int>(static_cast<index_t>(all) * split / p.splits);
  int const      end   = static_cast<int>(static_cast<index_t>(all) * (split + 1) / p.splits);

  if (threadIdx.x == 0) {
    for (int s = 0; s < stages; ++s) {
      arch::mbarrier_init(&ring.barrier[s], shape::arrivals);
      arch::mbarrier_init(&ring.barrier[stages + s], shape::consumers);
    }
    arch::fence_mbarrier_init();
  }
  clear_absent_rows<shape>(ring, static_cast<int>(min<index_t>(p.d.extent[0] - row, tokens)));
  arch::sync_block();

  bool const apart = shape::apart || (shape::narrow && p.a_group > 0);

  packed_gemm_stream_consumer<shape, A, Weight> mine;
  auto*                                         stage = ring.stage;
  auto*      barrier = ring.barrier;  // the stage's full one; `stages` on, its empty one
  int        slot    = 0;
  unsigned   phase   = 0;
  auto const next    = [&] {
    ++stage, ++barrier;
    if (++slot == stages) stage -= stages, barrier -= stages, slot = 0, phase ^= 1;
  };
  if (arch::warp() == shape::consumers) {
    // Load.
    packed_gemm_stream_producer<shape, A, Weight> const producer(p, row, b_row);
    // The first round's weights need not wait for the launch that makes A.
    int const ahead = policy.bulk ? min(begin + stages, end) : begin;
    for (int s = begin; s < ahead; ++s) producer.bring_weights(stage[s - begin], barrier + (s - begin), s);
    arch::wait_for_previous_launch();
    for (int s = begin; s < end; ++s, next()) {
      if (s >= ahead) {
        arch::mbarrier_wait(barrier + stages, phase ^ 1);  // the first round passes
        producer.bring_weights(*stage, barrier, s);
      }
      producer.bring_inputs(*stage, barrier, s);
    }
  } else {
    // Multiply.
    int const  group = shape::grouped ? p.b.layout.group : 1, in_stage = mine.unit * shape::unit;
    int const  padded = static_cast<int>(p.b.layout.blocks()) * packed::atom_columns;
    int const  whole  = (padded - in_stage + shape::depth - 1) / shape::depth;  // stages that have this unit
    bool const fine = shape::grouped && group % packed::atom_columns != 0, zero_points = p.b.layout.zero_points;
    int const  shift = group == 16 ? 4 : 5;  // of a fine group
    // Which of the stage's groups this unit is in: always the same one, unless groups and stages lie across each other.
    bool const across = shape::grouped && !fine && shape::depth % group != 0 && group % shape::depth != 0;
    int        index  = shape::grouped && !across ? in_stage / group : 0;
    for (int s = begin; s < end; ++s, next()) {
      arch::mbarrier_wait(barrier, phase);
      if (s < whole) {
        if constexpr (shape::grouped) {
          if (fine) {
            // Past the last column codes are zeros, but scales are not there.
            int const last = static_cast<int>(p.b.layout.groups()) - 1 - (s * shape::depth >> shift);
            mine.template add<true>(*stage, apart, zero_points, [&](int step) {
              return min((in_stage + step * (mine.pairs ? 16 : 32)) >> shift, last);
            });
          } else {
            if (across) index = (s * shape::depth + in_stage) / group - s * shape::depth / group;
            mine.template add<false>(*stage, apart, zero_points, [&](int) { return index; });
          }
        } else {
          mine.template add<false>(*stage, apart, false, [](int) { return 0; });
        }
      }
      arch::sync_warp();
      if (arch::lane() == 0) arch::mbarrier_arrive(barrier + stages);
    }
  }
  arch::sync_block();  // the ring's memory is the end's now
  arch::wait_for_previous_launch();
  arch::allow_next_launch();

  // Sum the parts; scale; fuse; store.
  auto& shared = arch::shared<packed_gemm_stream_end<shape, pipeline>>();
  if (arch::warp() < shape::consumers) {
    TENON_UNROLL_DEVICE
    for (int i = 0; i < mine.atoms; ++i) {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < mine.across; ++j) {
        float v[4];
        TENON_UNROLL_DEVICE
        for (int e = 0; e < 4; ++e) {
          v[e] = bit_cast<float>(mine.part[i][j].v[e]);  // integers stay what they are
          if constexpr (shape::may_apart)
            if (apart) v[e] = mine.total[i][j][e];
        }
        shared.parts[mine.unit].put(8 * j, 16 * (mine.first + i), v);
      }
    }
  }
  shared.values.make(p.epilogue, row, p.d.extent[0], policy.threads / 32);
  arch::sync_block();
  bool const integers = shape::integers && !apart;
  auto const add      = [&](float(&v)[4], float const(&more)[4]) {
    TENON_UNROLL_DEVICE
    for (int e = 0; e < 4; ++e)
      if (integers) v[e] = bit_cast<float>(bit_cast<std::int32_t>(v[e]) + bit_cast<std::int32_t>(more[e]));
      else v[e] += more[e];
  };
  auto const own = [&](float(&v)[4], int r, int c) {
    shared.parts[0].get(v, r, c);
    TENON_UNROLL_DEVICE
    for (int u = 1; u < shape::units; ++u) {
      float more[4];
      shared.parts[u].get(more, r, c);
      add(v, more);
    }
  };
  auto const partials = [&] { return p.partials + static_cast<index_t>(place) * p.splits * (tokens * columns); };
  int const  thread   = static_cast<int>(threadIdx.x);
  if (p.splits > 1 && !tile::hand_in<policy.threads, tokens, columns>(
                          partials(), p.counters + place, static_cast<int>(split), p.splits, thread, shared.last, own))
    return;
  auto const load = [&](float(&v)[4], int r, int c) {
    if (p.splits == 1) {
      own(v, r, c);
    } else {
      float const* from = partials() + r * columns + c;
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 4; ++e) v[e] = 0;
      for (int s = 0; s < p.splits; ++s, from += tokens * columns) add(v, arch::load<4>(from).element);
    }
    float common = 1;
    if constexpr (shape::grouped) common = p.b.layout.factor;
    if constexpr (shape::narrow)
      if (!apart) common = p.a_scales.data[min(row + r, p.d.extent[0] - 1) * p.a_scales.stride[0]];
    TENON_UNROLL_DEVICE
    for (int e = 0; e < 4; ++e) v[e] = (integers ? static_cast<float>(bit_cast<std::int32_t>(v[e])) : v[e]) * common;
    if constexpr (Weight::scales == scale_kind::row) {
      auto const scales = arch::load<4>(p.b.row_scales() + b_row + c);
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 4; ++e) v[e] *= scales[e];
    }
  };
  tile::finish<policy.threads, tokens, columns>(p.d, p.epilogue, shared.values, row, b_row, thread, load);
}

}  // namespace tenon::inline TENON_TARGET::kernel
