// Copies and atomics: what is in memory afterwards.
#include "probe.hpp"
#include "shapes.hpp"

namespace {

using probe::bench, probe::words;
using std::uint32_t;
namespace arch = tenon::arch;
using tenon::bf16, tenon::bit_cast, tenon::f16, tenon::vec;

/// This lane's 64 bytes of the memory in which a case works.
inline __device__ uint32_t* own(std::byte* memory) { return reinterpret_cast<uint32_t*>(memory + arch::lane() * 64); }

struct vectors {
  static constexpr char name[]       = "vectors",
                        primitives[] = "load store load_streaming load_shared_by_blocks store_streaming";
  static constexpr int inputs = 4, outputs = 12, items = probe::million;
  static TENON_HD void draw(words& w, uint32_t* in) {
    for (int i = 0; i < 4; ++i) in[i] = w.next();
  }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    uint32_t* const        m = own(b.global);
    vec<uint32_t, 4> const v{{in[0], in[1], in[2], in[3]}};
    arch::store_streaming(m, v);
    auto const streamed = arch::load_streaming<4>(m);
    arch::store(m, vec<uint32_t, 4>{{in[3], in[2], in[1], in[0]}});
    auto const plain = arch::load<4>(m);
    arch::store_streaming(m + 1, vec<uint32_t, 1>{{in[0]}});
    arch::store_streaming(m + 2, vec<uint32_t, 2>{{in[1], in[2]}});
    auto const last = arch::load_shared_by_blocks<4>(m);
    for (int i = 0; i < 4; ++i) out[i] = streamed[i], out[4 + i] = plain[i], out[8 + i] = last[i];
  }
};

/// cp.async of 4, 8 and 16 bytes, of which the first `in[4]` percent of sixteenths are read.
struct copies {
  static constexpr char name[] = "cp_async", primitives[] = "cp_async cp_async_commit cp_async_wait";
  static constexpr int  inputs = 5, outputs = 8, items = probe::million;
  static TENON_HD void  draw(words& w, uint32_t* in) {
     for (int i = 0; i < 4; ++i) in[i] = w.next();
    in[4] = w.next() % 17;
  }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    uint32_t *const from = own(b.global), *const to = own(b.shared);
    for (int i = 0; i < 4; ++i) from[i] = in[i];
    for (int i = 0; i < 8; ++i) to[i] = 0xeeeeeeeeu;
    arch::fence_device();
    arch::sync_warp();
    int const bytes = static_cast<int>(in[4]);
    arch::cp_async<16>(to, from, bytes);
    arch::cp_async<8>(to + 4, from, bytes < 8 ? bytes : 8);
    arch::cp_async<4>(to + 6, from, bytes < 4 ? bytes : 4);
    arch::cp_async_commit();
    arch::cp_async_wait<0>();
    arch::sync_warp();
    for (int i = 0; i < 8; ++i) out[i] = to[i];
    arch::sync_warp();
  }
};

// ---- atomics --------------------------------------------------------------------------------------------------------------

template <bool Shared>
struct integer_atomics {
  static constexpr char const* name = Shared ? "atomic_integer_shared" : "atomic_integer_global";
  static constexpr char        primitives[] =
      "atomic_add atomic_min atomic_max atomic_and atomic_or atomic_xor atomic_exchange atomic_compare_exchange "
      "atomic_increment atomic_decrement";
  static constexpr int inputs = 3, outputs = 26, items = probe::million;
  static TENON_HD void draw(words& w, uint32_t* in) {
    uint32_t const mask = w.common() % 3 ? ~0u : 7u;  // small numbers meet
    for (int i = 0; i < 3; ++i) in[i] = w.next() & mask;
  }
  template <class T, class Update>
  static __device__ void told(uint32_t* m, uint32_t memory, uint32_t*& out, Update update) {
    arch::store_relaxed(m, memory);
    *out++ = static_cast<uint32_t>(update(reinterpret_cast<T*>(m)));
    *out++ = arch::load_relaxed(m);
  }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    using arch::memory_order, arch::scope;
    uint32_t* const m = own(Shared ? b.shared : b.global);
    uint32_t const  o = in[0], v = in[1], e = in[2];
    auto const      s = static_cast<int>(v);
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_add(p, v); });
    told<int>(m, o, out, [=](int* p) { return arch::atomic_add<memory_order::acquire_release>(p, s); });
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_min(p, v); });
    told<int>(m, o, out, [=](int* p) { return arch::atomic_min<memory_order::release, scope::block>(p, s); });
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_max(p, v); });
    told<int>(m, o, out, [=](int* p) { return arch::atomic_max<memory_order::acquire, scope::block>(p, s); });
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_and(p, v); });
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_or(p, v); });
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_xor(p, v); });
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_exchange(p, v); });
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_compare_exchange(p, e, v); });
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_increment(p, v); });
    told<uint32_t>(m, o, out, [=](uint32_t* p) { return arch::atomic_decrement(p, v); });
  }
};

/// Which NaN comes out is no part of the promise.
inline __device__ uint32_t one_nan(float v) { return v == v ? bit_cast<uint32_t>(v) : 0x7fffffffu; }
template <class T>
inline __device__ uint32_t one_nan(vec<T, 2> const& v) {
  uint32_t word = 0;
  for (int i = 0; i < 2; ++i) {
    auto const f = static_cast<float>(v[i]);
    word |= (f == f ? v[i].bits : 0x7fffu) << 16 * i;
  }
  return word;
}

template <class T>
constexpr char const* sum_name() {
  if constexpr (std::is_same_v<T, float>) return "atomic_add_f32";
  else if constexpr (std::is_same_v<T, vec<f16, 2>>) return "atomic_add_f16x2";
  else return "atomic_add_bf16x2";
}

/// Sums of floats, in global and in shared memory, by atom and by red.
template <class T, class Format>
struct sums {
  static constexpr char const* name         = sum_name<T>();
  static constexpr char        primitives[] = "atomic_add red_add";
  static constexpr int         inputs = 2, outputs = 4, items = probe::million;
  static TENON_HD void         draw(words& w, uint32_t* in) {
            auto const how = static_cast<probe::shape>(w.common() % static_cast<unsigned>(probe::shape::count));
            for (int i = 0; i < 2; ++i) in[i] = Format::packed(how, w.next());
  }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    for (int i = 0; i < 2; ++i) {
      uint32_t* const m = own(i ? b.shared : b.global);
      arch::store_relaxed(m, in[0]);
      arch::atomic_add(reinterpret_cast<T*>(m), bit_cast<T>(in[1]));
      out[2 * i] = one_nan(bit_cast<T>(arch::load_relaxed(m)));
      arch::store_relaxed(m, in[0]);
      arch::red_add(reinterpret_cast<T*>(m), bit_cast<T>(in[1]));
      out[2 * i + 1] = one_nan(bit_cast<T>(arch::load_relaxed(m)));
    }
  }
};

struct integer_reds {
  static constexpr char  name[] = "red_integer", primitives[] = "red_add red_min red_max red_and red_or red_xor";
  static constexpr int   inputs = 2, outputs = 6, items = probe::million;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = w.next(), in[1] = w.next(); }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    uint32_t* const m = own(b.global);
    for (int i = 0; i < 6; ++i) arch::store_relaxed(m + i, in[0]);
    arch::red_add(m, in[1]), arch::red_min(reinterpret_cast<int*>(m + 1), static_cast<int>(in[1]));
    arch::red_max(m + 2, in[1]), arch::red_and(m + 3, in[1]), arch::red_or(m + 4, in[1]), arch::red_xor(m + 5, in[1]);
    for (int i = 0; i < 6; ++i) out[i] = arch::load_relaxed(m + i);
  }
};

}  // namespace

std::vector<probe::entry> probe::memory_cases() {
  return make_all<vectors, copies, integer_atomics<false>, integer_atomics<true>, sums<float, f32_bits>,
                  sums<vec<f16, 2>, f16_bits>, sums<vec<bf16, 2>, bf16_bits>, integer_reds>();
}
