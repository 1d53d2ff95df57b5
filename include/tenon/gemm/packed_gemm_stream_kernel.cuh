#pragma once
//  D[i,j] = epilogue(a_scale[i] sum_k A[i,k] w[j,k]) for few rows i: packed weights streamed once, at the speed of memory.
//
//  A block computes `tokens` rows of D and one panel, 64 rows of B, over all of K or one part of it. Its ninth warp fills a
//  ring of stages, each 8 KB of packed atoms (four units of K: 64 columns of 4-bit codes or 32 of 8-bit ones), the tile
//  of A that they meet, and their scales. The other eight take them:
//
//            unit 0  unit 1  unit 2  unit 3        warp w: unit w % 4, atoms 2 (w / 4) and 2 (w / 4) + 1
//    atom 0   warp    warp    warp    warp         a lane loads 16 bytes of each of its two atoms and has their fragments
//    atom 1    0       1       2       3
//    atom 2   warp    warp    warp    warp
//    atom 3    4       5       6       7
//
//  So K is split four ways inside the block. Codes decode to exact numbers in registers (quant/decode.cuh), tensor cores sum
//  them in fp32 (integers: s32), and scales of groups or blocks are applied to the sums of each unit. The four parts meet in
//  shared memory, in order; then parts of other blocks, if any; then the epilogue.
//
//  A full barrier per stage counts the copies that have landed, an empty one the warps that have read them; no block
//  barrier inside the loop. An element's sum depends on k, the format and the number of splits alone.
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

  static constexpr int tokens = policy.tokens, units = 4, atoms = 4;
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
                    policy.rows == packed::panel_rows && tokens % 8 == 0 && policy.stages >= 2,
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
  arch::mbarrier                     full[Policy::value.stages], empty[Policy::value.stages];
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
  tensor_view<A const, 2>     a;
  Weight                      b;
  tensor_view<float const, 2> a_scales;
  int                         a_group;
  index_t                     row, b_row;

  /// `bytes` bytes, a multiple of 16.
  __device__ static void copy(void* to, void const* from, int bytes) {
    for (int at = arch::lane() * 16; at < bytes; at += 32 * 16)
      arch::cp_async<16>(static_cast<std::byte*>(to) + at, static_cast<std::byte const*>(from) + at);
  }

  /// Starts everything that stage `s` of K brings into `to`.
  __device__ void fill(packed_gemm_stream_stage<A, Shape>& to, arch::mbarrier* full, int s) const {
    int const lane = arch::lane(), column = s * Shape::depth;
    int const columns = min(Shape::depth, static_cast<int>(b.layout.blocks()) * packed::atom_columns - column);
    int const bytes   = columns / packed::atom_columns * (Shape::atoms * packed::atom_bytes(Shape::code));
    [[maybe_unused]] int     group = 0, groups = 0;  // first of this stage, how many
    [[maybe_unused]] index_t in_section = 0;
    if constexpr (Shape::grouped) {
      unsigned const all = static_cast<unsigned>(b.layout.groups()), wide = static_cast<unsigned>(b.layout.group);
      group      = static_cast<int>(static_cast<unsigned>(column) / wide);
      groups     = static_cast<int>(min(static_cast<unsigned>(column + columns - 1) / wide + 1, all)) - group;
      in_section = (b_row / packed::panel_rows * b.layout.groups() + group) * packed::panel_rows;
    }
    if constexpr (Shape::policy.bulk) {
      if (lane == 0) {
        int expected = bytes;
        if constexpr (Shape::grouped) expected += groups * packed::panel_rows * 2;
        if constexpr (Shape::zeros) expected += b.layout.zero_points ? groups * packed::panel_rows : 0;
        arch::mbarrier_arrive_expect(full, expected);
        arch::bulk_load(to.weight, b.atom(b_row, column), bytes, full);
        if constexpr (Shape::grouped)
          arch::bulk_load(to.scale, b.group_scales() + in_section, groups * packed::panel_rows * 2, full);
        if constexpr (Shape::zeros)
          if (b.layout.zero_points) arch::bulk_load(to.zero, b.zeros() + in_section, groups * packed::panel_rows, full);
      }
    } else {
      copy(to.weight, b.atom(b_row, column), bytes);
      if constexpr (Shape::grouped) copy(to.scale, b.group_scales() + in_section, groups * packed::panel_rows * 2);
      if constexpr (Shape::zeros)
        if (b.layout.zero_points) copy(to.zero, b.zeros() + in_section, groups * packed::panel_rows);
    }
    // Scales of units: few words, wherever they are.
    if constexpr (Shape::blocked) {
      int const at = column + lane * Shape::unit;
      if (lane < Shape::units && at < column + columns) {
        index_t const from = b_row / b.layout.block_rows * b.layout.groups() + at / b.layout.group;
        put(to.block_scale[lane], b.row_scales() + from, true);
      }
    }
    if constexpr (Shape::narrow)
      for (int i = Shape::apart || a_group > 0 ? lane : Shape::units * Shape::tokens; i < Shape::units * Shape::tokens;
           i += 32) {
        int const  u = i / Shape::tokens, r = i % Shape::tokens, at = column + u * Shape::unit;
        bool const alive = row + r < a_scales.extent[0] && at < column + columns;
        int const  g     = a_group > 0 ? at / a_group : 0;
        put(to.input_scale[u][r],
            alive ? a_scales.data + (row + r) * a_scales.stride[0] + g * a_scales.stride[1] : a_scales.data, alive);
      }
    if constexpr (Shape::policy.wide) {
      tile::copy_async<32>(to.a, a, row, column, lane);
    } else {
      tile::copy_elements<32>(to.a, a, row, column, lane);
      arch::mbarrier_arrive(full);
    }
    if constexpr (Shape::with_copies) arch::mbarrier_arrive_after_copies(full);
  }

 private:
  __device__ static void put(float& to, float const* from, bool alive) {
    if constexpr (Shape::with_copies) arch::cp_async<4>(&to, from, alive ? 4 : 0);
    else to = alive ? *from : 0.f;
  }
};

/// A warp that multiplies: two atoms of one unit of each stage.
template <class Shape, class A, class Weight>
struct packed_gemm_stream_consumer {
  using decoder_type = packed_decoder<Shape::code, A>;
  struct integer_sum {
    std::int32_t v[4] = {};
  };
  using sum = std::conditional_t<Shape::integers, integer_sum, tile::accumulator>;

  static constexpr int  atoms = 2, across = Shape::tokens / 8;
  static constexpr bool pairs = decoder_type::pairs;
  static constexpr int  steps = Shape::unit / (pairs ? 16 : 32);  // products along K

  int unit, first;  // of a stage's units; of its atoms

  sum   part[atoms][across];
  float total[Shape::may_apart ? atoms : 1][Shape::may_apart ? across : 1][4] = {};

  __device__ packed_gemm_stream_consumer()
      : unit(arch::warp() % Shape::units), first(arch::warp() / Shape::units * atoms) {}

  /// Adds one stage. index(step): which of the stage's groups the scale of that step is; fine: they may differ.
  template <bool Fine, class Index>
  __device__ void add(packed_gemm_stream_stage<A, Shape> const& stage, bool apart, bool zero_points,
                      Index const& index) {
    std::uint32_t word[atoms][decoder_type::words];  // one plane of 8-bit atoms: the first four
    decoder_type  decoder[atoms];
    TENON_UNROLL_DEVICE
    for (int i = 0; i < atoms; ++i) {
      constexpr bool    two_planes = bits_of(Shape::code) == 8;
      int const         at   = two_planes ? (unit / 2 * Shape::atoms + first + i) * 2 + unit % 2  // 512 bytes each
                                          : unit * Shape::atoms + first + i;
      auto const* const from = reinterpret_cast<std::uint32_t const*>(stage.weight + at * 512 + arch::lane() * 16);
      auto const        four = arch::load<4>(from);
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 4; ++e) word[i][e] = four[e];
    }
    if constexpr (!Fine && Shape::zeros)
      if (zero_points) set_zeros(decoder, stage, index(0));
    step<0, Fine>(stage, word, decoder, zero_points, index);
    if constexpr (Shape::may_apart && !Fine)
      if (apart) scale(stage, index(0));
  }

 private:
  __device__ void set_zeros(decoder_type (&decoder)[atoms], packed_gemm_stream_stage<A, Shape> const& stage,
                            int group) const {
    if constexpr (Shape::zeros) {
      TENON_UNROLL_DEVICE
      for (int i = 0; i < atoms; ++i) {
        unsigned const both = stage.zero[group * 32 + (first + i) * 8 + arch::lane() / 4];
        decoder[i].set_zeros(both & 0xff, both >> 8);
      }
    }
  }

  template <int Step, bool Fine, class Index>
  __device__ void step(packed_gemm_stream_stage<A, Shape> const& stage,
                       std::uint32_t const (&word)[atoms][decoder_type::words], decoder_type (&decoder)[atoms],
                       bool zero_points, Index const& index) {
    if constexpr (Fine && Step > 0 && across > 2) arch::sync_warp();  // keeps loads of later steps behind: registers
    if constexpr (Fine && Shape::zeros)
      if (zero_points) set_zeros(decoder, stage, index(Step));
    tile::fragment_b b[across];
    load_b(b, stage, unit * steps + Step);
    TENON_UNROLL_DEVICE
    for (int i = 0; i < atoms; ++i) {
      auto const a = decoder[i].template at<Step>(word[i]);
      TENON_UNROLL_DEVICE
      for (int j = 0; j < across; ++j) multiply(part[i][j], a, b[j]);
    }
    if constexpr (Shape::apart && Fine) scale(stage, index(Step));
    if constexpr (Step + 1 < steps) step<Step + 1, Fine>(stage, word, decoder, zero_points, index);
  }

  /// B fragments of all tokens: rows of A's tile, two chunks of 16 bytes each.
  __device__ static void load_b(tile::fragment_b (&b)[across], packed_gemm_stream_stage<A, Shape> const& stage,
                                int at) {
    int const lane = arch::lane();
    if constexpr (across == 1) {
      arch::ldmatrix(b[0].r, stage.a.chunk(lane % 8, 2 * at + lane / 8 % 2));
    } else {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < across; j += 2) {
        std::uint32_t r[4];
        arch::ldmatrix(r, stage.a.chunk(8 * j + lane % 8 + 8 * (lane / 16), 2 * at + lane / 8 % 2));
        b[j].r[0] = r[0], b[j].r[1] = r[1], b[j + 1].r[0] = r[2], b[j + 1].r[1] = r[3];
      }
    }
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
        std::uint32_t const both = stage.scale[group * 32 + (first + i) * 8 + arch::lane() / 4];
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
__global__ __launch_bounds__(Policy::value.threads, Policy::value.tokens >= 32 ? 1 : 2) void packed_gemm_stream(
    __grid_constant__ packed_gemm_params<D, A, Weight, Epilogue> const p) {
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
      arch::mbarrier_init(&ring.full[s], shape::arrivals);
      arch::mbarrier_init(&ring.empty[s], shape::consumers);
    }
    arch::fence_mbarrier_init();
  }
  arch::sync_block();

  bool const apart = shape::apart || (shape::narrow && p.a_group > 0);

  packed_gemm_stream_consumer<shape, A, Weight> mine;
  if (arch::warp() == shape::consumers) {
    // Load.
    packed_gemm_stream_producer<shape, A, Weight> const producer{p.a, p.b, p.a_scales, p.a_group, row, b_row};
    int                                                 slot  = 0;
    unsigned                                            phase = 1;  // of the empty barriers: the first round passes
    for (int s = begin; s < end; ++s) {
      arch::mbarrier_wait(&ring.empty[slot], phase);
      producer.fill(ring.stage[slot], &ring.full[slot], s);
      if (++slot == stages) slot = 0, phase ^= 1;
    }
  } else {
    // Multiply.
    int const  group = shape::grouped ? p.b.layout.group : 1, in_stage = mine.unit * shape::unit;
    int const  padded = static_cast<int>(p.b.layout.blocks()) * packed::atom_columns;
    bool const fine = shape::grouped && group % packed::atom_columns != 0, zero_points = p.b.layout.zero_points;
    int        offset = shape::grouped ? begin * shape::depth % group : 0;  // of the stage, in its first group
    int        slot   = 0;
    unsigned   phase  = 0;
    for (int s = begin; s < end; ++s) {
      arch::mbarrier_wait(&ring.full[slot], phase);
      int const column = s * shape::depth + in_stage;
      if (column < padded) {
        if constexpr (shape::grouped) {
          if (fine) {
            // Past the last column codes are zeros, but scales are not there.
            int const last = static_cast<int>(p.b.layout.groups()) - 1 - s * (shape::depth / group);
            mine.template add<true>(ring.stage[slot], apart, zero_points, [&](int step) {
              constexpr int columns_of_step = mine.pairs ? 16 : 32;
              return min((in_stage + step * columns_of_step) / group, last);
            });
          } else {
            int index = 0;
            for (int at = offset + in_stage; at >= group; at -= group) ++index;
            mine.template add<false>(ring.stage[slot], apart, zero_points, [&](int) { return index; });
          }
        } else {
          mine.template add<false>(ring.stage[slot], apart, false, [](int) { return 0; });
        }
      }
      arch::sync_warp();
      if (arch::lane() == 0) arch::mbarrier_arrive(&ring.empty[slot]);
      if constexpr (shape::grouped)
        for (offset += shape::depth; offset >= group; offset -= group) {
        }
      if (++slot == stages) slot = 0, phase ^= 1;
    }
  }
  arch::sync_block();  // the ring's memory is the end's now

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
  float* const partials = p.partials + static_cast<index_t>(place) * p.splits * (tokens * columns);
  int const    thread   = static_cast<int>(threadIdx.x);
  if (p.splits > 1 && !tile::hand_in<policy.threads, tokens, columns>(
                          partials, p.counters + place, static_cast<int>(split), p.splits, thread, shared.last, own))
    return;
  auto const load = [&](float(&v)[4], int r, int c) {
    if (p.splits == 1) {
      own(v, r, c);
    } else {
      float const* from = partials + r * columns + c;
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
