#pragma once
//  D[i,j] = epilogue(a_scale[i] sum_k A[i,k] w[j,k]) for many rows of A, w packed (quant/packed_weight.hpp): tensor cores,
//  weights decoded in registers.
//
//  A block computes `tokens` rows of D from `rows` rows of B. A ring of stages, 64 columns each, holds panel blocks of B as
//  they lie in memory, the scales and zero points of their groups, and a swizzled tile of A; cp.async fills it. A lane reads
//  16 bytes of an atom and has its fragments after a few instructions on registers, those of step s + 1 while step s
//  multiplies, the first of the next stage during the last of this one: a stage is refilled two barriers after its last
//  fragments, because its scales are still wanted after the first. Rows of B are the rows of the tensor core's A operand,
//  tokens the columns of its B operand; a warp multiplies 32 rows by 32 or 64 tokens.
//
//  Sums     codes are exact in the operands. Where scales change along K, the products of a group are summed apart and
//           total += scale (a_scale) part in fp32 at its end; int8 parts are integers. int8 by int8 with a scale per row and
//           per token stays an integer to the end. e4m3 products are summed 128 columns at a time, because the sums of some
//           tensor cores are short (simt/tensor_core/model.hpp). An element's sum has the same order in every tile.
//  Traffic  B once per row of blocks, A once per column of blocks, through L2; blocks in bands as in gemm_tile_kernel.cuh.
//
//  Source: IST-DASLab/marlin, marlin/marlin_cuda_kernel.cu; InternLM/turbomind, src/turbomind/kernels/gemm (ideas).
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/packed_gemm_params.hpp>
#include <tenon/gemm/packed_gemm_policy.hpp>
#include <tenon/quant/decode.cuh>
#include <tenon/tile/copy.cuh>
#include <tenon/tile/finish.cuh>
#include <tenon/tile/mma.cuh>
#include <tenon/tile/split.cuh>
#include <tenon/tile/swizzle.cuh>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// Which group a block of 64 columns begins in, and how many blocks are left of it. Small groups: several to a block.
struct packed_group_walk {
  int group;  // of the block's first column
  int left;   // blocks up to the group's end, this one among them
  int blocks, step;

  /// At block `block`; group 0: the whole row.
  __device__ packed_group_walk(int columns, int block) {
    blocks = columns == 0 ? 0x7fffffff : columns < packed::atom_columns ? 1 : columns / packed::atom_columns;
    step   = columns == 0 || columns >= packed::atom_columns ? 1 : packed::atom_columns / columns;
    group  = block / blocks * step;
    left   = blocks - block % blocks;
  }
  __device__ void next() {
    if (--left == 0) left = blocks, group += step;
  }
};

/// Stages of K in shared memory.
template <class Policy, class A, class Weight>
struct packed_gemm_tile_ring {
  static constexpr int  stages = Policy::value.stages, tokens = Policy::value.tokens;
  static constexpr int  panels = Policy::value.rows / packed::panel_rows;
  static constexpr int  bytes  = 4 * packed::atom_bytes(Weight::code);  // of a panel's 64 columns
  static constexpr bool groups = Weight::scales == scale_kind::group;
  static constexpr bool zeros  = groups && Weight::code == weight_code::int4;
  static constexpr int  slots  = 4;  // groups of 16 columns in 64

  tile::shared_tile<A, tokens, packed::atom_columns> a[stages];
  alignas(128) std::byte b[stages][panels][bytes];
  alignas(16) f16 scale[stages][panels][groups ? slots * packed::panel_rows : 8];
  alignas(16) std::uint8_t zero[stages][panels][zeros ? slots * packed::panel_rows : 16];
  float block_scale[stages][panels];
  alignas(16) float a_scale[stages][sizeof(A) == 1 ? tokens : 1];
};

template <class Policy, class A, class Weight, class Pipeline>
struct packed_gemm_tile_storage {
  union {
    packed_gemm_tile_ring<Policy, A, Weight>                   ring;
    tile::sums<Policy::value.tokens, Policy::value.rows, true> sums;
  };
  tile::row_values<Pipeline, Policy::value.tokens> values;
  bool                                             last;
};

/// What one thread copies into a stage, addresses made once: blocks of 64 columns come in order.
template <class Policy, class A, class Weight>
struct packed_gemm_tile_source {
  using ring                   = packed_gemm_tile_ring<Policy, A, Weight>;
  static constexpr int threads = Policy::value.threads, panels = ring::panels;
  static constexpr int per_chunk = 16 / static_cast<int>(sizeof(A)), chunks = packed::atom_columns / per_chunk;
  static constexpr int rows = threads / chunks;  // of A that all threads copy at once

  A const*            a;                 // this thread's chunk of its first row
  bool                whole;             // all rows of the tile are rows of A
  std::byte const*    b;                 // this thread's first 16 bytes of B
  index_t             pitch;             // bytes from panel to panel
  int                 here;              // panels of the block that B has
  f16 const*          scales = nullptr;  // this thread's 16 bytes of a group of the first panel (group)
  std::uint8_t const* zeros  = nullptr;  // the same of zero points, null where there are none
  index_t           scale = 0;  // index from there to the thread's first scale (group); of its scale at group 0 (block)
  int               groups = 0;  // the group that this thread's place has its last of, plus one
  packed_group_walk walk;

  template <class Params>
  __device__ packed_gemm_tile_source(Params const& p, index_t row, index_t b_row, int block, int thread)
      : walk(Weight::scales != scale_kind::row ? p.b.layout.group : 0, block) {
    packed_layout const& layout = p.b.layout;
    index_t const        panel  = b_row / packed::panel_rows;

    a = p.a.data + (row + thread / chunks) * p.a.stride[0] + index_t{block} * packed::atom_columns +
        thread % chunks * per_chunk;
    whole = row + Policy::value.tokens <= p.a.extent[0];
    pitch = layout.blocks() * ring::bytes;
    here  = static_cast<int>(min<index_t>(layout.panels() - panel, panels));
    b     = p.b.data + (panel + 16 * thread / ring::bytes) * pitch + index_t{block} * ring::bytes +
        16 * thread % ring::bytes;
    if constexpr (Weight::scales == scale_kind::group) {
      // 128 bytes of scales and 64 of zero points per group and panel, the groups of a panel side by side.
      int const     which = thread / (8 * ring::slots), slot = thread / 8 % ring::slots;
      index_t const all = layout.groups();
      scale             = ((panel + which) * all + slot) * packed::panel_rows;
      groups            = which < here ? static_cast<int>(all) - slot : 0;
      scales            = p.b.group_scales() + thread % 8 * 8;
      zeros             = layout.zero_points ? p.b.zeros() + thread % 4 * 16 : nullptr;
    }
    if constexpr (Weight::scales == scale_kind::block) {
      scale = min(b_row + thread * packed::panel_rows, layout.rows - 1) / layout.block_rows * layout.groups();
    }
  }

  /// Block `t` into `stage`.
  template <class Params>
  __device__ void copy(ring& to, Params const& p, index_t row, int t, int stage, int thread) {
    index_t const column = index_t{t} * packed::atom_columns;
    if constexpr (!Policy::value.wide) {
      tile::copy_elements<threads>(to.a[stage], p.a, row, column, thread);
    } else if (whole && column + packed::atom_columns <= p.a.extent[1]) {
      A const* from = a;
      TENON_UNROLL_DEVICE
      for (int r = 0; r < Policy::value.tokens; r += rows) {
        arch::cp_async<16>(to.a[stage].chunk(thread / chunks + r, thread % chunks), from);
        from += rows * p.a.stride[0];
      }
    } else {
      tile::copy_async<threads>(to.a[stage], p.a, row, column, thread);
    }
    a += packed::atom_columns;

    std::byte* const b_to = &to.b[stage][0][0] + 16 * thread;
    TENON_UNROLL_DEVICE
    for (int at = 0; at < panels * ring::bytes; at += 16 * threads) {
      bool const alive = panels == 1 || (16 * thread + at) / ring::bytes < here;
      arch::cp_async<16>(b_to + at, alive ? b + at / ring::bytes * pitch + at % ring::bytes : p.b.data, alive ? 16 : 0);
    }
    b += ring::bytes;

    if constexpr (Weight::scales == scale_kind::group) {
      int const which = thread / (8 * ring::slots), in_panel = thread % (8 * ring::slots), chunk = thread % 8;
      if (which < panels && in_panel / 8 < walk.step) {
        bool const    alive = walk.group < groups;
        index_t const index = alive ? scale + walk.group * packed::panel_rows : 0;
        arch::cp_async<16>(to.scale[stage][which] + 8 * in_panel, scales + index, alive ? 16 : 0);
        if constexpr (ring::zeros) {
          if (zeros != nullptr && chunk < 4)
            arch::cp_async<16>(to.zero[stage][which] + in_panel / 8 * packed::panel_rows + 16 * chunk, zeros + index,
                               alive ? 16 : 0);
        }
      }
    }
    if constexpr (Weight::scales == scale_kind::block) {
      if (thread < panels) arch::cp_async<4>(&to.block_scale[stage][thread], p.b.row_scales() + scale + walk.group);
    }
    if constexpr (sizeof(A) == 1) {
      if (p.a_group > 0 && thread < Policy::value.tokens) {
        bool const          alive = row + thread < p.a.extent[0];
        std::uint32_t const group = static_cast<std::uint32_t>(column) / static_cast<std::uint32_t>(p.a_group);
        arch::cp_async<4>(&to.a_scale[stage][thread], &p.a_scales(alive ? row + thread : 0, group), alive ? 4 : 0);
      }
    }
    walk.next();
  }
};

template <class Policy, class D, class A, class Weight, class Epilogue>
__global__ __launch_bounds__(Policy::value.threads, 1) void packed_gemm_tile(
    __grid_constant__ packed_gemm_params<D, A, Weight, Epilogue> const p) {
  using pipeline                      = typename packed_gemm_params<D, A, Weight, Epilogue>::pipeline;
  using ring                          = packed_gemm_tile_ring<Policy, A, Weight>;
  constexpr packed_gemm_policy policy = Policy::value;
  constexpr int  threads = policy.threads, stages = policy.stages, tokens = policy.tokens, panels = ring::panels;
  constexpr bool bytes = sizeof(A) == 1, integers = std::is_same_v<A, std::int8_t>;
  constexpr bool grouped    = Weight::scales != scale_kind::row;
  constexpr bool two_level  = grouped || bytes;  // scales may change along K
  constexpr int  across     = bytes ? 32 : 16;   // columns of one step
  constexpr int  steps      = packed::atom_columns / across;
  constexpr int  high       = 2;  // atoms of a warp
  constexpr int  warps_down = policy.rows / (high * packed::atom_rows),
                warp_tokens = tokens / (threads / 32 / warps_down);
  constexpr int wide        = warp_tokens / 8;
  static_assert(policy.depth == packed::atom_columns && policy.rows % packed::panel_rows == 0 && stages >= 3);
  static_assert(threads % (32 * warps_down) == 0 && wide % 2 == 0 && threads >= 32 * panels && threads >= tokens);
  static_assert(!std::is_same_v<A, e4m3> || wide <= 4);  // packed_gemm_policy::has_room_for_fp8
  static_assert(Weight::order == (bytes ? pack_order::quads : pack_order::pairs));

  auto&                shared = arch::shared<packed_gemm_tile_storage<Policy, A, Weight, pipeline>>();
  int const            thread = static_cast<int>(threadIdx.x), lane = arch::lane(), warp = arch::warp();
  packed_layout const& layout = p.b.layout;

  // Index map: parts of K, then bands of `band` rows of blocks, down each column of a band, then across.
  constexpr unsigned band   = 8;
  unsigned const     down   = static_cast<unsigned>(ceil_div(p.d.extent[0], tokens));
  unsigned const     along  = static_cast<unsigned>(ceil_div(layout.rows, policy.rows));
  unsigned const     number = blockIdx.x % (down * along);
  int const          split  = static_cast<int>(blockIdx.x / (down * along));
  unsigned const     first  = number / (band * along) * band;
  unsigned const     height = min(band, down - first);
  index_t const      row    = static_cast<index_t>(first + number % (band * along) % height) * tokens;  // of D
  index_t const      b_row  = static_cast<index_t>(number % (band * along) / height) * policy.rows;
  int const warp_row = warp % warps_down * (high * packed::atom_rows), warp_token = warp / warps_down * warp_tokens;

  // K: blocks [begin, end) of 64 columns.
  index_t const all   = layout.blocks();
  int const     begin = static_cast<int>(all * split / p.splits), end = static_cast<int>(all * (split + 1) / p.splits);

  // Load: fills a stage with block `t` of K; one group of copies, empty past the end. Blocks come in order.
  packed_gemm_tile_source<Policy, A, Weight> source(p, row, b_row, begin, thread);
  auto const                                 fetch = [&](int t, int stage) {
    if (t < end) source.copy(shared.ring, p, row, t, stage, thread);
    arch::cp_async_commit();
  };
  TENON_UNROLL_DEVICE
  for (int s = 0; s < stages - 2; ++s) fetch(begin + s, s);

  // Multiply.
  using accumulator = std::conditional_t<integers, tile::integer_accumulator, tile::accumulator>;
  accumulator       part[high][wide];
  tile::accumulator total[two_level ? high : 1][two_level ? wide : 1];
  tile::fragment_a  w[2][high];
  tile::fragment_b  a[2][wide / 2][2];
  // An integer that starts as this is, read as a float, 1.5 * 2^23 more than its sum: a conversion by one subtraction, exact
  // below 2^22, which 128 columns stay under.
  constexpr std::int32_t magic    = 0x4b400000;
  bool const             alone    = ((grouped ? layout.group : 0) | p.a_group) & packed::atom_columns;
  bool const             promotes = grouped || (bytes && p.a_group > 0) || (bytes && !integers);
  packed_group_walk      walk(grouped ? layout.group : 0, begin);  // unused of bytes
  int                    stage = 0, from = stages - 1;             // of the products, of the fragments being loaded

  auto const clear = [&] {
    TENON_UNROLL_DEVICE
    for (int i = 0; i < high; ++i) {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < wide; ++j) {
        TENON_UNROLL_DEVICE
        for (int e = 0; e < 4; ++e) {
          if constexpr (integers) part[i][j].v[e] = promotes ? magic : 0;
          else part[i][j].v[e] = 0;
        }
      }
    }
  };
  if constexpr (two_level) clear();

  // total += scales * part, for group `slot` of the stage
  auto const promote = [&](int slot) {
    float scale[high][2];
    TENON_UNROLL_DEVICE
    for (int i = 0; i < high; ++i) {
      int const at = warp_row + i * packed::atom_rows, panel = at / packed::panel_rows;
      scale[i][0] = scale[i][1] = 1;
      if constexpr (Weight::scales == scale_kind::group) {
        f16 const* const of   = shared.ring.scale[stage][panel] + slot * packed::panel_rows + at % packed::panel_rows;
        auto const       both = arch::load<2>(of + lane / 4 * 2);
        scale[i][0] = static_cast<float>(both[0]), scale[i][1] = static_cast<float>(both[1]);
      }
      if constexpr (Weight::scales == scale_kind::block)
        scale[i][0] = scale[i][1] = shared.ring.block_scale[stage][panel];
    }
    auto const value = [&](int i, int j, int e) {
      if constexpr (integers) return bit_cast<float>(part[i][j].v[e]) - 12582912.f;
      else return part[i][j].v[e];
    };
    if (bytes && p.a_group > 0) {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < wide; ++j) {
        auto const token = arch::load<2>(shared.ring.a_scale[stage] + warp_token + 8 * j + lane % 4 * 2);
        TENON_UNROLL_DEVICE
        for (int i = 0; i < high; ++i) {
          TENON_UNROLL_DEVICE
          for (int e = 0; e < 4; ++e) total[i][j].v[e] += scale[i][e / 2] * (token[e % 2] * value(i, j, e));
        }
      }
    } else {
      TENON_UNROLL_DEVICE
      for (int i = 0; i < high; ++i) {
        TENON_UNROLL_DEVICE
        for (int j = 0; j < wide; ++j) {
          TENON_UNROLL_DEVICE
          for (int e = 0; e < 4; ++e) total[i][j].v[e] += scale[i][e / 2] * value(i, j, e);
        }
      }
    }
    clear();
  };
  auto const multiply = [&](tile::fragment_a const(&left)[high], tile::fragment_b const(&right)[wide / 2][2]) {
    if constexpr (bytes) {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < wide; ++j) {  // outside: where e4m3 is widened, few are at a time
        TENON_UNROLL_DEVICE
        for (int i = 0; i < high; ++i) {
          if constexpr (integers) arch::mma_m16n8k32<std::int8_t>(part[i][j].v, left[i].r, right[j / 2][j % 2].r);
          else tile::mma_fp8<Policy::value.native>(part[i][j], left[i], right[j / 2][j % 2]);
        }
      }
    } else {
      tile::mma<A>(part, left, right);
    }
  };

  using decoder            = packed_decoder<Weight::code, A>;
  constexpr int per_load   = bits_of(Weight::code) == 4 ? steps : steps / 2;  // steps that 16 bytes of a lane serve
  constexpr int atom_bytes = packed::atom_bytes(Weight::code);
  bool const    fine       = ring::groups && layout.group < packed::atom_columns;
  int const     group = fine ? layout.group : packed::atom_columns, group_shift = group == 16 ? 4 : group == 32 ? 5 : 6;
  decoder       decode[high];
  std::uint32_t word[high][decoder::words];

  auto const load_words = [&](int plane) {
    TENON_UNROLL_DEVICE
    for (int i = 0; i < high; ++i) {
      int const              at   = warp_row + i * packed::atom_rows;
      std::byte const* const atom = shared.ring.b[from][at / packed::panel_rows] +
                                    at % packed::panel_rows / packed::atom_rows * atom_bytes + plane * 512;
      auto const four = arch::load<4>(reinterpret_cast<std::uint32_t const*>(atom) + 4 * lane);
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 4; ++e) word[i][4 * plane + e] = four[e];
    }
  };
  auto const load_zeros = [&](int slot) {
    if constexpr (ring::zeros) {
      TENON_UNROLL_DEVICE
      for (int i = 0; i < high; ++i) {
        int const                 at = warp_row + i * packed::atom_rows;
        std::uint8_t const* const of =
            shared.ring.zero[from][at / packed::panel_rows] + slot * packed::panel_rows + at % packed::panel_rows;
        auto const both = arch::load<2>(of + lane / 4 * 2);
        decode[i].set_zeros(both[0], both[1]);
      }
    }
  };
  auto const load_tokens = [&](tile::fragment_b(&to)[wide / 2][2], int step) {
    TENON_UNROLL_DEVICE
    for (int j = 0; j < wide / 2; ++j) tile::load_b(to[j], shared.ring.a[from], warp_token + 16 * j, step);
  };
  // Fragments of step Step; where groups are small, its zero points with it.
  auto const load = [&]<int Step>(std::integral_constant<int, Step>) {
    if constexpr (Step % per_load == 0) load_words(Step / per_load);
    if constexpr (ring::zeros) {
      if (layout.zero_points && (Step == 0 || fine)) load_zeros(Step * across >> group_shift);
    }
    TENON_UNROLL_DEVICE
    for (int i = 0; i < high; ++i) w[Step % 2][i] = decode[i].template at<Step>(word[i]);
    load_tokens(a[Step % 2], Step);
  };
  auto const step = [&]<int Step>(std::integral_constant<int, Step>) {
    load(std::integral_constant<int, Step + 1>{});
    multiply(w[Step % 2], a[Step % 2]);
    if constexpr (ring::groups && !bytes) {
      if (fine && ((Step + 1) * across & (group - 1)) == 0) promote(Step * across >> group_shift);
    }
  };
  // Groups within a step of 32 columns: each with the columns of other groups made zero.
  auto const multiply_fine = [&] {
    load_words(0);
    for (int column = 0, slot = 0; column < packed::atom_columns; column += group, ++slot) {
      bool const upper = column >= 32, first_half = column % 32 == 0, all_of_it = group == 32;
      if (layout.zero_points) load_zeros(slot);
      load_tokens(a[0], column / 32);
      TENON_UNROLL_DEVICE
      for (int i = 0; i < high; ++i) {
        std::uint32_t chosen[decoder::words] = {};
        chosen[0] = upper ? word[i][2] : word[i][0], chosen[1] = upper ? word[i][3] : word[i][1];
        w[0][i] = decode[i].template at<0>(chosen);
        if (!all_of_it) w[0][i].r[first_half ? 2 : 0] = w[0][i].r[first_half ? 3 : 1] = 0;
      }
      multiply(w[0], a[0]);
      promote(slot);
    }
  };

  // From here on fragments come from block t. The stage before the last is free: its last reader has passed the barrier.
  auto const enter = [&](int t) {
    arch::cp_async_wait<stages - 3>();
    arch::sync_block();  // everyone's part of block t has landed
    from = from + 1 == stages ? 0 : from + 1;
    fetch(t + stages - 2, from >= 2 ? from - 2 : from + stages - 2);
  };
  constexpr std::integral_constant<int, 0> first_step{};
  constexpr bool                           halves = bytes && ring::groups;  // groups may be smaller than a step
  if (begin < end) {
    enter(begin);
    if (!(halves && fine)) load(first_step);
  }
  for (int t = begin; t < end; ++t) {
    stage = from;
    if (halves && fine) {
      if constexpr (halves) multiply_fine();
      if (t + 1 < end) enter(t + 1);
    } else {
      [&]<int... Step>(std::integer_sequence<int, Step...>) { (step(std::integral_constant<int, Step>{}), ...); }
      (std::make_integer_sequence<int, steps - 1>{});
      // The next block's first fragments before this block's last products.
      if (t + 1 < end) enter(t + 1), load(first_step);
      multiply(w[(steps - 1) % 2], a[(steps - 1) % 2]);
      if constexpr (two_level) {
        // Bytes: after two blocks, or after each where a group ends between them.
        bool const ends = (bytes ? alone || t % 2 == 1 : walk.left == 1) || t + 1 == end;
        if (ends && promotes) promote((packed::atom_columns - across) >> group_shift);
      }
    }
    walk.next();
  }
  arch::cp_async_wait<0>();  // no copy outlives its block
  arch::sync_block();        // and the ring is free

  // Fuse, store.
  TENON_UNROLL_DEVICE
  for (int i = 0; i < high; ++i) {
    TENON_UNROLL_DEVICE
    for (int j = 0; j < wide; ++j) {
      float v[4];
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 4; ++e) {
        if constexpr (integers) v[e] = promotes ? total[i][j].v[e] : static_cast<float>(part[i][j].v[e]);
        else if constexpr (two_level) v[e] = total[i][j].v[e];
        else v[e] = part[i][j].v[e];
      }
      shared.sums.put(warp_token + 8 * j, warp_row + i * packed::atom_rows, v);
    }
  }
  shared.values.make(p.epilogue, row, p.d.extent[0], threads / 32);
  arch::sync_block();
  float* const partials =
      p.splits > 1 ? p.partials + static_cast<index_t>(number) * p.splits * (tokens * policy.rows) : nullptr;
  if (p.splits > 1 &&
      !tile::hand_in<threads, tokens, policy.rows>(partials, p.counters + number, split, p.splits, thread, shared.last,
                                                   [&](float(&v)[4], int r, int c) { shared.sums.get(v, r, c); }))
    return;
  tile::finish<threads, tokens, policy.rows>(p.d, p.epilogue, shared.values, row, b_row, thread,
                                             [&](float(&v)[4], int r, int c) {
                                               if (p.splits > 1)
                                                 tile::sum_parts<tokens, policy.rows>(v, partials, p.splits, r, c);
                                               else shared.sums.get(v, r, c);
                                               if constexpr (Weight::scales == scale_kind::row) {
                                                 vec<float, 4> scale{};
                                                 if (b_row + c < layout.panels() * packed::panel_rows)
                                                   scale = arch::load_constant<4>(p.b.row_scales() + b_row + c);
                                                 TENON_UNROLL_DEVICE
                                                 for (int e = 0; e < 4; ++e) v[e] *= scale[e];
                                               }
                                               float scale = Weight::scales == scale_kind::group ? layout.factor : 1.f;
                                               if constexpr (bytes) {
                                                 if (p.a_group == 0 && row + r < p.d.extent[0])
                                                   scale *= p.a_scales(row + r, 0);
                                               }
                                               if constexpr (Weight::scales == scale_kind::group || bytes) {
                                                 TENON_UNROLL_DEVICE
                                                 for (int e = 0; e < 4; ++e) v[e] *= scale;
                                               }
                                             });
}

}  // namespace tenon::inline TENON_TARGET::kernel
