#pragma once
//  What a primitive computes, asked of a machine: the same inputs go to a GPU (probe_cuda) and to the host target
//  (probe_host), and what came out of the one is kept as golden data that the other is compared with.
//
//  A case is a struct; registering it is one line in the table of its file:
//
//    struct add_one {
//      static constexpr char name[] = "add_one", primitives[] = "add_one";  // functions of arch::, separated by blanks
//      static constexpr int  inputs = 1, outputs = 1;                       // words of each lane
//      static constexpr int  items  = probe::million;                       // warps, a multiple of chunks
//      static TENON_HD void  draw(probe::words& w, std::uint32_t* in) { in[0] = w.next(); }
//      static __device__ void apply(probe::bench const&, std::uint32_t const* in, std::uint32_t* out) { out[0] = in[0] + 1; }
//    };
//
//  A case of an approximate function has `static TENON_HD double exact(float)` and one input and output, floats; instead
//  of bits its largest errors are kept, in units of the last place.
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/context.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "../tests/support/tensor.hpp"

namespace probe {

constexpr int chunks   = 64;             // of the items of a case; each has a hash of its own
constexpr int kept     = 4;              // chunks whose first item is kept word by word
constexpr int million  = chunks * 512;   // items of 32 inputs: 2^20
constexpr int every16  = chunks * 32;    // each of 2^16 inputs
constexpr int every32  = chunks * 8192;  // 2^24 inputs, spread over 2^32
constexpr int products = chunks * 128;   // items of 128 elements of a product: 2^20

/// A bijection that looks random (splitmix64's finaliser; Steele, Lea, Flood 2014).
TENON_HD inline std::uint64_t mix(std::uint64_t v) {
  v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
  v = (v ^ v >> 27) * 0x94d049bb133111ebu;
  return v ^ v >> 31;
}

/// The random words of one lane of one item: a function of their place alone, so any item can be drawn again.
class words {
 public:
  TENON_HD words(std::uint64_t key, std::uint32_t item, std::uint32_t lane)
      : own_(mix(key ^ mix((std::uint64_t{item} << 5 | lane) + 1))),
        item_(mix(key ^ ~std::uint64_t{item})),
        index_(item * 32 + lane) {}

  TENON_HD std::uint32_t next() { return static_cast<std::uint32_t>(mix(own_ += 0x9e3779b97f4a7c15u) >> 32); }
  /// The same in every lane of the item.
  TENON_HD std::uint32_t common() { return static_cast<std::uint32_t>(mix(item_ += 0x9e3779b97f4a7c15u) >> 32); }
  /// Counts lanes and items through: for inputs that are all taken in turn.
  TENON_HD std::uint32_t index() const { return index_; }
  TENON_HD std::uint32_t lane() const { return index_ % 32; }

 private:
  std::uint64_t own_, item_;
  std::uint32_t index_;
};

/// Memory for a case to work in, of its warp alone.
struct bench {
  static constexpr int bytes = 8192;
  std::byte*           shared;  // 1024-byte aligned
  std::byte*           global;  // 256-byte aligned
};

struct launch_params {
  std::uint64_t  key;
  int            first_chunk, items;  // of a chunk
  std::uint32_t  only;                // with `all`: the first item, of which every word is kept
  bool           all;
  std::uint64_t* hash;  // (blocks)
  std::uint32_t* raw;   // (blocks, 32, outputs)
  std::byte*     global;
};

template <class Case>
concept approximate = requires {
  Case::exact(1.f);
};

/// Floats in order, as integers: neighbours differ by one.
TENON_HD inline std::int64_t place_of(float v) {
  auto const bits = tenon::bit_cast<std::uint32_t>(v);
  return bits >> 31 ? -static_cast<std::int64_t>(bits & 0x7fffffffu) : static_cast<std::int64_t>(bits);
}
TENON_HD inline std::uint32_t distance(float a, float b) {
  if (a != a || b != b) return (a != a) == (b != b) ? 0 : ~0u;
  std::int64_t const d = place_of(a) - place_of(b);
  return static_cast<std::uint32_t>(d < 0 ? -d : d);
}

/// One warp per chunk, which works through its items and leaves the hash: the sum of mix(place, word) over all words. Of an
/// approximate case: the largest error and, below it, the input that has it.
template <class Case>
__global__ void run(__grid_constant__ launch_params const p) {
  using namespace tenon;
  struct storage {
    std::byte byte[bench::bytes];
  };
  auto const          lane  = static_cast<std::uint32_t>(arch::lane());
  bench const         place = {arch::shared<storage>().byte, p.global + blockIdx.x * bench::bytes};
  std::uint32_t const first =
      p.all ? p.only + blockIdx.x
            : (static_cast<std::uint32_t>(p.first_chunk) + blockIdx.x) * static_cast<std::uint32_t>(p.items);
  std::uint64_t sum = 0;
  for (int i = 0; i < (p.all ? 1 : p.items); ++i) {
    std::uint32_t const item = first + static_cast<std::uint32_t>(i);
    std::uint32_t       in[Case::inputs], out[Case::outputs] = {};
    words               w(p.key, item, lane);
    Case::draw(w, in);
    Case::apply(place, in, out);
    if constexpr (approximate<Case>) {
      auto const          want  = static_cast<float>(Case::exact(bit_cast<float>(in[0])));
      std::uint64_t const error = std::uint64_t{distance(bit_cast<float>(out[0]), want)} << 32 | in[0];
      if (error >> 32 && error > sum) sum = error;
    } else {
      for (int o = 0; o < Case::outputs; ++o) {
        std::uint64_t const at = (std::uint64_t{item} * 32 + lane) * Case::outputs + static_cast<unsigned>(o);
        sum += mix(mix(p.key + at) ^ out[o]);
      }
    }
    if (i == 0)
      for (int o = 0; o < Case::outputs; ++o)
        p.raw[(blockIdx.x * 32 + lane) * Case::outputs + static_cast<unsigned>(o)] = out[o];
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    std::uint64_t const other = arch::shuffle_xor(sum, lanes);
    if constexpr (approximate<Case>) sum = other > sum ? other : sum;
    else sum += other;
  }
  if (lane == 0) p.hash[blockIdx.x] = sum;
}

/// What a machine answered.
struct answers {
  std::vector<std::uint64_t> hash;  // of each chunk
  std::vector<std::uint32_t> raw;   // (chunks or items, 32, outputs)
};

/// A row of the table: a case without its type.
struct entry {
  std::string   name, primitives;
  int           inputs, outputs, items;
  int           needs;        // architecture that has it: 80, 89, 90
  bool          approximate;  // hashes are largest errors
  std::uint64_t key;
  answers (*ask)(tenon::context const& where, int first_chunk, int chunks);          // whole chunks
  answers (*ask_items)(tenon::context const& where, std::uint32_t item, int count);  // single items
  void (*draw)(std::uint32_t item, std::uint32_t lane, std::uint32_t* in);
};

/// A name put together by the compiler.
struct text {
  char letter[64] = {};
  constexpr text(char const* a, char const* b, char const* c = "", char const* d = "") {
    int n = 0;
    for (char const* part : {a, b, c, d})
      for (; *part; ++part) letter[n++] = *part;
  }
};

constexpr std::uint64_t key_of(char const* name) {
  std::uint64_t key = 0xcbf29ce484222325u;  // FNV-1a
  for (; *name; ++name) key = (key ^ static_cast<unsigned char>(*name)) * 0x100000001b3u;
  return key;
}

namespace detail {
template <class Case>
answers ask(tenon::context const& where, int first_chunk, std::uint32_t item, int blocks, bool all) {
  auto const                     n = static_cast<tenon::index_t>(blocks);
  test::tensor<std::uint64_t, 1> hash(n);
  test::tensor<std::uint32_t, 1> raw(n * 32 * Case::outputs);
  test::tensor<std::byte, 1>     global(n * bench::bytes);
  launch_params const            p{key_of(Case::name), first_chunk,     Case::items / chunks, item, all,
                        hash.view().data,   raw.view().data, global.view().data};
  auto const                     done = tenon::arch::launch(
                          Case::name, where, {.grid = static_cast<unsigned>(blocks), .block = 32, .shared_bytes = bench::bytes}, run<Case>,
                          p);
  if (!done.ok()) return {};
  return {hash.values(), raw.values()};
}
}  // namespace detail

template <class Case>
entry make() {
  static_assert(Case::items % chunks == 0);
  int needs = 80;
  if constexpr (requires { Case::needs; }) needs = Case::needs;
  return {Case::name,
          Case::primitives,
          Case::inputs,
          Case::outputs,
          Case::items,
          needs,
          approximate<Case>,
          key_of(Case::name),
          [](tenon::context const& where, int first, int count) {
            return detail::ask<Case>(where, first, 0, count, false);
          },
          [](tenon::context const& where, std::uint32_t item, int count) {
            return detail::ask<Case>(where, 0, item, count, true);
          },
          [](std::uint32_t item, std::uint32_t lane, std::uint32_t* in) {
            words w(key_of(Case::name), item, lane);
            Case::draw(w, in);
          }};
}

template <class... Case>
std::vector<entry> make_all() {
  return {make<Case>()...};
}

std::vector<entry> warp_cases();
std::vector<entry> memory_cases();
std::vector<entry> barrier_cases();
std::vector<entry> math_cases();
std::vector<entry> matrix_cases();
std::vector<entry> convert_cases();

/// Every case there is.
std::vector<entry> const& table();

}  // namespace probe
