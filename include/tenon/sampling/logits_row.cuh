#pragma once
//  Collectives over one row of logits that a block owns: its largest, sums of integer weights, the set of the first logits
//  in order, and the place where a running sum reaches a target. No sort, no workspace; every answer is exact, so it does
//  not depend on the number of threads.
//
//  Order: by logit, descending; among equals by id, ascending. A set of the first ones is a `cutoff`.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/sampling/probability_mass.hpp>
#include <tenon/tile/reduce.cuh>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

/// The logits above `key`, and those at it with ids up to `last`.
struct cutoff {
  std::uint32_t key  = 0;
  int           last = largest_row;

  __device__ constexpr bool keeps(std::uint32_t k, int id) const { return k > key || (k == key && id <= last); }
};

struct mass_plus {
  __device__ constexpr mass_t operator()(mass_t a, mass_t b) const { return a + b; }
};
struct mass_maximum {
  __device__ constexpr mass_t operator()(mass_t a, mass_t b) const { return a < b ? b : a; }
};
/// Every logit counts 1.
struct one_each {
  __device__ constexpr mass_t operator()(float) const { return 1; }
};

struct largest_logit {
  float value;  // -infinity where every logit is that or NaN
  int   id;     // the lowest one; then 0
};
struct crossing {
  int    index;
  mass_t before;  // the sum in front of it
};

/// All members are collective over the block, every thread gets the answer, and each begins with a barrier where it uses
/// the storage again.
template <int Threads>
struct logits_row {
  static constexpr int warps  = (Threads + 31) / 32;
  static constexpr int chunk  = 256;   // of a single thread: long enough to vectorise, short enough to look into
  static constexpr int vector = 4;     // logits per access
  static constexpr int bins   = 2048;  // of one level of the search over the bits of a key

  struct storage {
    typename tile::block_reduce<Threads, mass_t>::storage reduced;
    mass_t                                                bin[bins];
  };
  storage&     shared;
  float const* logits;  // (vocabulary)
  int          vocabulary;

  /// f(logit, id) for every id, in no order.
  template <class F>
  __device__ __forceinline__ void for_each(F const& f) const {
    if constexpr (Threads == 1) {
      for (int id = 0; id < vocabulary; ++id) f(logits[id], id);
    } else {
      int const thread = static_cast<int>(threadIdx.x);
      int const beside = static_cast<int>(reinterpret_cast<std::uintptr_t>(logits) / sizeof(float) % vector);
      int const head   = min((vector - beside) % vector, vocabulary);
      int const whole  = head + (vocabulary - head) / vector * vector;
      if (thread < head) f(logits[thread], thread);
      for (int id = head + thread * vector; id < whole; id += Threads * vector) {
        auto const v = arch::load<vector>(logits + id);
        TENON_UNROLL
        for (int i = 0; i < vector; ++i) f(v[i], id + i);
      }
      if (whole + thread < vocabulary) f(logits[whole + thread], whole + thread);
    }
  }

  /// Reduction of one value per thread.
  template <class Operation>
  __device__ __forceinline__ mass_t reduce(mass_t v, Operation operation) const {
    if constexpr (Threads > 1) arch::sync_block();  // the storage's last readers are done
    return tile::block_reduce<Threads, mass_t>{shared.reduced}(v, operation);
  }

  __device__ __forceinline__ largest_logit largest() const {
    if constexpr (Threads == 1) {
      // One pass: the first chunk that raises the maximum is remembered and looked through at the end.
      largest_logit best{no_logit, 0};
      int           from = 0;
      for (int base = 0; base < vocabulary; base += chunk) {
        float most = no_logit;
        if (vocabulary - base >= chunk) {
          float lane[16];
          for (int i = 0; i < 16; ++i) lane[i] = no_logit;
          for (int n = 0; n < chunk; n += 16)
            for (int i = 0; i < 16; ++i) {
              float const v = logits[base + n + i];
              lane[i]       = lane[i] < v ? v : lane[i];
            }
          for (int i = 0; i < 16; ++i) most = most < lane[i] ? lane[i] : most;
        } else {
          for (int id = base; id < vocabulary; ++id) most = most < logits[id] ? logits[id] : most;
        }
        if (best.value < most) best.value = most, from = base;
      }
      if (best.value == no_logit) return best;
      while (logits[from] != best.value) ++from;
      return {best.value, from};
    } else {
      mass_t best = static_cast<mass_t>(logit_key(no_logit)) << 32 | 0xffffffffu;  // id 0
      for_each([&](float v, int id) {
        mass_t const ranked = static_cast<mass_t>(logit_key(v)) << 32 | ~static_cast<std::uint32_t>(id);
        best                = best < ranked ? ranked : best;
      });
      best = reduce(best, mass_maximum{});
      return {logit_of_key(static_cast<std::uint32_t>(best >> 32)),
              static_cast<int>(~static_cast<std::uint32_t>(best))};
    }
  }

  /// Sum of f(logit, id).
  template <class F>
  __device__ __forceinline__ mass_t sum(F const& f) const {
    mass_t total = 0;
    if constexpr (Threads == 1) {
      int base = 0;
      for (; base + chunk <= vocabulary; base += chunk)
        for (int i = 0; i < chunk; ++i) total += f(logits[base + i], base + i);
      for (int id = base; id < vocabulary; ++id) total += f(logits[id], id);
      return total;
    } else {
      for_each([&](float v, int id) { total += f(v, id); });
      return reduce(total, mass_plus{});
    }
  }

  /// The least i in [0, count) with f(0) + ... + f(i) >= target, and the sum in front of it; the last i where there is
  /// none. f may read shared memory that a barrier has made visible.
  template <class F>
  __device__ __forceinline__ crossing cross(int count, mass_t target, F const& f) const {
    mass_t before = 0;
    int    begin  = 0;
    if constexpr (Threads == 1) {
      for (; begin + chunk < count; begin += chunk) {
        mass_t piece = 0;
        for (int i = 0; i < chunk; ++i) piece += f(begin + i);
        if (before + piece >= target) break;
        before += piece;
      }
      for (; begin + 1 < count; ++begin) {
        mass_t const one = f(begin);
        if (before + one >= target) break;
        before += one;
      }
      return {begin, before};
    } else {
      // Each warp sums one piece; the piece that reaches the target is cut again, until it is one warp's width.
      int end = count;
      while (end - begin > 32) {
        int const piece = round_up(ceil_div(end - begin, warps), 32);
        int const from  = begin + arch::warp() * piece;
        int const to    = min(from + piece, end);
        mass_t    mine  = 0;
        for (int i = from + arch::lane(); i < to; i += 32) mine += f(i);
        mine = tile::warp_reduce(mine, mass_plus{});
        arch::sync_block();  // the pieces' last readers are done
        if (arch::lane() == 0) shared.reduced.warp[arch::warp()] = mine;
        arch::sync_block();
        int w = 0;
        while (begin + piece < end && before + shared.reduced.warp[w] < target) {
          before += shared.reduced.warp[w++];
          begin += piece;
        }
        end = min(begin + piece, end);
      }
      int const    i    = begin + arch::lane();
      mass_t const own  = i < end ? f(i) : 0;
      mass_t       upto = own;
      TENON_UNROLL
      for (int lanes = 1; lanes < 32; lanes *= 2) {
        mass_t const other = arch::shuffle_up(upto, lanes);
        if (arch::lane() >= lanes) upto += other;
      }
      std::uint32_t const reached = arch::ballot(i < end && before + upto >= target);
      int                 first   = 0;
      while (begin + first + 1 < end && !(reached >> first & 1)) ++first;
      return {begin + first, before + arch::shuffle(upto - own, first)};
    }
  }

  /// The fewest logits in order, among those `within`, whose weights reach the target; all of them where they do not.
  template <class Weight>
  __device__ __forceinline__ cutoff select(cutoff within, mass_t target, Weight const& weight) const {
    // Level by level over the bits of the key, highest first: weigh the keys that share the prefix found so far by their
    // next bits, then find the bits where the sum from above reaches the target.
    constexpr int level_shift[] = {21, 10, 0};
    constexpr int level_bits[]  = {11, 11, 10};
    std::uint32_t prefix        = 0;
    mass_t        above         = 0;
    TENON_UNROLL
    for (int level = 0; level < 3; ++level) {
      int const           shift = level_shift[level];
      int const           count = 1 << level_bits[level];
      std::uint32_t const mask  = static_cast<std::uint32_t>(count) - 1;
      int const           known = shift + level_bits[level];  // the prefix is above these bits
      if constexpr (Threads > 1) arch::sync_block();          // the bins' last readers are done
      for (int b = static_cast<int>(threadIdx.x); b < count; b += Threads) shared.bin[b] = 0;
      if constexpr (Threads > 1) arch::sync_block();
      if constexpr (Threads == 1) {
        weigh_alone(within, weight, shift, mask, level == 0 ? 0 : known, prefix);
      } else {
        for_each([&](float v, int id) {
          std::uint32_t const key = logit_key(v);
          if (!within.keeps(key, id) || (level > 0 && key >> known != prefix)) return;
          if (mass_t const w = weight(v); w != 0) arch::atomic_add(&shared.bin[key >> shift & mask], w);
        });
        arch::sync_block();
      }
      crossing const c = cross(count, target - above, [&](int i) { return shared.bin[count - 1 - i]; });
      above += c.before;
      prefix = prefix << level_bits[level] | static_cast<std::uint32_t>(count - 1 - c.index);
    }
    mass_t const   each = weight(logit_of_key(prefix));
    crossing const c    = cross(vocabulary, target - above, [&](int id) {
      std::uint32_t const key = logit_key(logits[id]);
      return key == prefix && within.keeps(key, id) ? each : mass_t{0};
    });
    return {prefix, c.index};
  }

 private:
  /// The bins of one level by a single thread: weights are computed a chunk at a time, so that the arithmetic vectorises.
  template <class Weight>
  __device__ void weigh_alone(cutoff within, Weight const& weight, int shift, std::uint32_t mask, int known,
                              std::uint32_t prefix) const {
    if (known != 0) {
      for (int id = 0; id < vocabulary; ++id)
        if (std::uint32_t const key = logit_key(logits[id]); key >> known == prefix && within.keeps(key, id))
          shared.bin[key >> shift & mask] += weight(logits[id]);
      return;
    }
    for (int base = 0; base < vocabulary; base += chunk) {
      std::uint32_t bin[chunk];
      mass_t        mass[chunk];
      int const     count = min(chunk, vocabulary - base);
      auto const    one   = [&](int i) {
        float const         v   = logits[base + i];
        std::uint32_t const key = logit_key(v);
        bin[i]                  = key >> shift & mask;
        mass[i]                 = within.keeps(key, base + i) ? weight(v) : 0;
      };
      if (count == chunk) {
        for (int i = 0; i < chunk; ++i) one(i);
      } else {
        for (int i = 0; i < count; ++i) one(i);
      }
      for (int i = 0; i < count; ++i) shared.bin[bin[i]] += mass[i];
    }
  }
};

}  // namespace tenon::inline TENON_TARGET::kernel
