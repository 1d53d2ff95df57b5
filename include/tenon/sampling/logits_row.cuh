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
/// The weight of the logits that a cutoff keeps and that weigh at least `least`; 0 for the others.
template <class Weight>
struct restricted {
  Weight weight;
  cutoff kept  = {};
  mass_t least = 0;

  /// Weighs only what is kept.
  __device__ constexpr mass_t operator()(float logit, int id) const {
    if (!kept.keeps(logit_key(logit), id)) return 0;
    mass_t const w = weight(logit);
    return w >= least ? w : 0;
  }
  /// The same without a branch, for loops that vectorise.
  __device__ constexpr mass_t masked(float logit, int id) const {
    mass_t const        w    = weight(logit);
    std::uint32_t const key  = logit_key(logit);
    bool const          keep = (key > kept.key) | ((key == kept.key) & (id <= kept.last));
    return w & (mass_t{0} - static_cast<mass_t>(keep & (w >= least)));
  }
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

  /// Sum of f over the row.
  template <class Weight>
  __device__ __forceinline__ mass_t sum(restricted<Weight> const& f) const {
    mass_t total = 0;
    if constexpr (Threads == 1) {
      for (int base = 0; base < vocabulary; base += chunk) total += sum_of_chunk(f, base);
      return total;
    } else {
      for_each([&](float v, int id) { total += f(v, id); });
      return reduce(total, mass_plus{});
    }
  }

  /// The least id whose own and lower ids' f sum to the target; the last id where there is none.
  template <class Weight>
  __device__ __forceinline__ int cross(mass_t target, restricted<Weight> const& f) const {
    if constexpr (Threads == 1) {
      mass_t before = 0;
      int    base   = 0;
      for (; base + chunk < vocabulary; base += chunk) {
        mass_t const piece = sum_of_chunk(f, base);
        if (before + piece >= target) break;
        before += piece;
      }
      int id = base;
      while (id + 1 < vocabulary && (before += f(logits[id], id)) < target) ++id;
      return id;
    } else {
      return cross_of(vocabulary, target, [&](int id) { return f(logits[id], id); }).index;
    }
  }

  /// The fewest logits in order, among those that f keeps, whose f sums to the target; all of them where it does not.
  template <class Weight>
  __device__ __forceinline__ cutoff select(mass_t target, restricted<Weight> const& f) const {
    // Level by level over the bits of the key, highest first: weigh the keys that share the prefix found so far by their
    // next bits, then find the bits where the sum from above reaches the target.
    std::uint32_t prefix = 0;
    mass_t        above  = 0;
    for (int level = 0; level < 3; ++level) {
      int const           shift = level == 0 ? 21 : level == 1 ? 10 : 0;
      int const           bits  = level == 2 ? 10 : 11;
      int const           count = 1 << bits;
      std::uint32_t const mask  = static_cast<std::uint32_t>(count) - 1;
      int const           known = shift + bits;       // the prefix is above these bits
      if constexpr (Threads > 1) arch::sync_block();  // the bins' last readers are done
      for (int b = static_cast<int>(threadIdx.x); b < count; b += Threads) shared.bin[b] = 0;
      if constexpr (Threads > 1) arch::sync_block();
      if constexpr (Threads == 1) {
        if (level == 0) {
          weigh_all(f, shift);
        } else {
          weigh_prefix(f, shift, mask, known, prefix);
        }
      } else {
        for_each([&](float v, int id) {
          std::uint32_t const key = logit_key(v);
          if (level > 0 && key >> known != prefix) return;
          if (mass_t const w = f(v, id); w != 0) arch::atomic_add(&shared.bin[key >> shift & mask], w);
        });
        arch::sync_block();
      }
      crossing const c = cross_of(count, target - above, [&](int i) { return shared.bin[count - 1 - i]; });
      above += c.before;
      prefix = prefix << bits | static_cast<std::uint32_t>(count - 1 - c.index);
    }
    // Equals weigh the same, so the number of them that the target takes is known: the last of them is an id.
    mass_t const each = f.weight(logit_of_key(prefix));
    if (each == 0) return f.kept;  // the target is beyond what f sums to
    mass_t const equals = (target - above + each - 1) / each;
    return {prefix, cross_equals(prefix, equals, f.kept)};
  }

 private:
  /// Sum of f over the chunk that begins at base, for a single thread.
  template <class Weight>
  __device__ __forceinline__ mass_t sum_of_chunk(restricted<Weight> const& f, int base) const {
    mass_t total = 0;
    if (base + chunk <= vocabulary) {
      for (int i = 0; i < chunk; ++i) total += f.masked(logits[base + i], base + i);
    } else {
      for (int id = base; id < vocabulary; ++id) total += f.masked(logits[id], id);
    }
    return total;
  }

  /// The least i in [0, count) with f(0) + ... + f(i) >= target, and the sum in front of it; the last i where there is
  /// none. f may read shared memory that a barrier has made visible.
  template <class F>
  __device__ __forceinline__ crossing cross_of(int count, mass_t target, F const& f) const {
    mass_t before = 0;
    int    begin  = 0;
    if constexpr (Threads == 1) {
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

  /// The id of the n-th logit (from 1) with this key, among those kept; the last id where there are fewer.
  __device__ __forceinline__ int cross_equals(std::uint32_t key, mass_t n, cutoff kept) const {
    auto const equal = [&](int id) { return static_cast<mass_t>(logit_key(logits[id]) == key && kept.keeps(key, id)); };
    if constexpr (Threads == 1) {
      mass_t before = 0;
      int    base   = 0;
      for (; base + chunk < vocabulary; base += chunk) {
        std::uint32_t here = 0;
        for (int i = 0; i < chunk; ++i) here += logit_key(logits[base + i]) == key;
        if (before + here >= n) break;
        before += here;
      }
      int id = base;
      while (id + 1 < vocabulary && (before += equal(id)) < n) ++id;
      return id;
    } else {
      return cross_of(vocabulary, n, equal).index;
    }
  }

  /// The bins of the first level by a single thread: weights a chunk at a time, so that the arithmetic vectorises.
  template <class Weight>
  __device__ void weigh_all(restricted<Weight> const& f, int shift) const {
    for (int base = 0; base < vocabulary; base += chunk) {
      std::uint32_t bin[chunk];
      mass_t        mass[chunk];
      int const     count = min(chunk, vocabulary - base);
      if (count == chunk) {
        for (int i = 0; i < chunk; ++i) bin[i] = logit_key(logits[base + i]) >> shift;
        for (int i = 0; i < chunk; ++i) mass[i] = f.masked(logits[base + i], base + i);
      } else {
        for (int i = 0; i < count; ++i) bin[i] = logit_key(logits[base + i]) >> shift;
        for (int i = 0; i < count; ++i) mass[i] = f.masked(logits[base + i], base + i);
      }
      for (int i = 0; i < count; ++i) shared.bin[bin[i]] += mass[i];
    }
  }

  /// The bins of a later level by a single thread.
  template <class Weight>
  __device__ void weigh_prefix(restricted<Weight> const& f, int shift, std::uint32_t mask, int known,
                               std::uint32_t prefix) const {
    for (int id = 0; id < vocabulary; ++id)
      if (std::uint32_t const key = logit_key(logits[id]); key >> known == prefix)
        shared.bin[key >> shift & mask] += f(logits[id], id);
  }
};

}  // namespace tenon::inline TENON_TARGET::kernel
