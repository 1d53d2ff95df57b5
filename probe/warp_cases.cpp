// Lanes that exchange registers, and bit functions of registers.
#include "probe.hpp"

namespace {

using probe::bench, probe::words;
using std::uint32_t;
namespace arch = tenon::arch;

/// A non-empty set of lanes, one for the whole item.
TENON_HD inline uint32_t some_lanes(words& w) {
  uint32_t const a = w.common(), b = w.common(), kind = w.common() % 4;
  uint32_t const mask = kind == 0 ? ~0u : kind == 1 ? a : kind == 2 ? a & b : 1u << a % 32;
  return mask ? mask : ~0u;
}

// ---- shuffles: the whole warp, any source ---------------------------------------------------------------------------------

template <class Shuffle>
struct shuffled : Shuffle {
  static constexpr int   inputs = 2, outputs = 1, items = probe::million;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = w.next(), in[1] = Shuffle::distance(w); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    out[0] = Shuffle::of(in[0], static_cast<int>(in[1]));
  }
};
struct index_shuffle {
  static constexpr char      name[] = "shuffle", primitives[] = "shuffle";
  static TENON_HD uint32_t   distance(words& w) { return w.next() % 100; }
  static __device__ uint32_t of(uint32_t v, int by) { return arch::shuffle(v, by); }
};
struct xor_shuffle {
  static constexpr char      name[] = "shuffle_xor", primitives[] = "shuffle_xor";
  static TENON_HD uint32_t   distance(words& w) { return w.next() % 32; }
  static __device__ uint32_t of(uint32_t v, int by) { return arch::shuffle_xor(v, by); }
};
struct up_shuffle {
  static constexpr char      name[] = "shuffle_up", primitives[] = "shuffle_up";
  static TENON_HD uint32_t   distance(words& w) { return w.next() % 32; }
  static __device__ uint32_t of(uint32_t v, int by) { return arch::shuffle_up(v, by); }
};
struct down_shuffle {
  static constexpr char      name[] = "shuffle_down", primitives[] = "shuffle_down";
  static TENON_HD uint32_t   distance(words& w) { return w.next() % 32; }
  static __device__ uint32_t of(uint32_t v, int by) { return arch::shuffle_down(v, by); }
};

// ---- the lanes of a mask --------------------------------------------------------------------------------------------------

struct votes {
  static constexpr char name[] = "votes", primitives[] = "ballot any all";
  static constexpr int  inputs = 2, outputs = 2, items = probe::million;
  static TENON_HD void  draw(words& w, uint32_t* in) {
     in[0] = some_lanes(w);
     in[1] = w.next() % (1 + w.common() % 40) == 0;  // seldom, often, always
  }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    if (!(in[0] >> arch::lane() & 1)) return;
    out[0] = arch::ballot(in[1] != 0, in[0]);
    out[1] = (arch::any(in[1] != 0, in[0]) ? 1u : 0u) | (arch::all(in[1] != 0, in[0]) ? 2u : 0u);
  }
};

struct matches {
  static constexpr char name[] = "matches", primitives[] = "match_any match_all";
  static constexpr int  inputs = 2, outputs = 4, items = probe::million;
  static TENON_HD void  draw(words& w, uint32_t* in) {
     in[0] = some_lanes(w);
     in[1] = w.next() % (1 + w.common() % 5);
  }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    if (!(in[0] >> arch::lane() & 1)) return;
    bool all = false;
    out[0]   = arch::match_any(in[1], in[0]);
    out[1]   = arch::match_any(static_cast<std::uint64_t>(in[1]) << 32, in[0]);
    out[2]   = arch::match_all(in[1], in[0], &all);
    out[3]   = all;
  }
};

struct reductions {
  static constexpr char name[]       = "reductions",
                        primitives[] = "reduce_add reduce_min reduce_max reduce_and reduce_or reduce_xor";
  static constexpr int   inputs = 2, outputs = 8, items = probe::million;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = some_lanes(w), in[1] = w.next(); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    uint32_t const mask = in[0], v = in[1];
    if (!(mask >> arch::lane() & 1)) return;
    auto const s = static_cast<int>(v);
    out[0] = arch::reduce_add(v, mask), out[1] = arch::reduce_min(v, mask), out[2] = arch::reduce_max(v, mask);
    out[3] = static_cast<uint32_t>(arch::reduce_min(s, mask)),
    out[4] = static_cast<uint32_t>(arch::reduce_max(s, mask));
    out[5] = arch::reduce_and(v, mask), out[6] = arch::reduce_or(v, mask), out[7] = arch::reduce_xor(v, mask);
  }
};

struct election {
  static constexpr char  name[] = "elect", primitives[] = "elect";
  static constexpr int   needs = 90, inputs = 1, outputs = 1, items = probe::million;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = some_lanes(w); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    if (in[0] >> arch::lane() & 1) out[0] = arch::elect(in[0]);
  }
};

// ---- bits -----------------------------------------------------------------------------------------------------------------

struct three_words {
  static constexpr char  name[] = "lop3", primitives[] = "lop3";
  static constexpr int   inputs = 3, outputs = 8, items = probe::million;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = w.next(), in[1] = w.next(), in[2] = w.next(); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    uint32_t const a = in[0], b = in[1], c = in[2];
    out[0] = arch::lop3<0x01>(a, b, c), out[1] = arch::lop3<0x02>(a, b, c), out[2] = arch::lop3<0x04>(a, b, c);
    out[3] = arch::lop3<0x08>(a, b, c), out[4] = arch::lop3<0x10>(a, b, c), out[5] = arch::lop3<0xea>(a, b, c);
    out[6] = arch::lop3<0x96>(a, b, c), out[7] = arch::lop3<0x6a>(a, b, c);
  }
};

struct bytes {
  static constexpr char  name[] = "permute_bytes", primitives[] = "permute_bytes";
  static constexpr int   inputs = 3, outputs = 1, items = probe::million;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = w.next(), in[1] = w.next(), in[2] = w.next(); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    out[0] = arch::permute_bytes(in[0], in[1], in[2]);
  }
};

}  // namespace

std::vector<probe::entry> probe::warp_cases() {
  return make_all<shuffled<index_shuffle>, shuffled<xor_shuffle>, shuffled<up_shuffle>, shuffled<down_shuffle>, votes,
                  matches, reductions, election, three_words, bytes>();
}
