// Names of bytes: what debug information says of types and variables, and how reports of shared memory and buffers use it.
#include <tenon/arch/arch.cuh>
#include <tenon/simt/check.hpp>
#include <tenon/simt/checked/debug_info.hpp>
#include <tenon/simt/cuda.hpp>
#include <tenon/simt/expect.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <elf.h>

extern "C" char const __executable_start[];

namespace {

using namespace tenon::simt;
using checked::debug_info;

TEST(debug_info, a_file_that_is_no_program_names_nothing) {
  unsigned char const none[64] = {0x7f, 'E', 'L', 'F', 2, 1};
  for (auto const file : {checked::dwarf::bytes{}, checked::dwarf::bytes{none, 3}, checked::dwarf::bytes{none}}) {
    debug_info info(file);
    EXPECT_FALSE(info.at_address(0x4010));
    EXPECT_FALSE(info.thread_local_at(0));
    EXPECT_TRUE(info.thread_locals().empty());
    EXPECT_EQ(info.name(17, 0, 4).path, "");
    EXPECT_EQ(info.size_of(17), 0u);
  }
}

#if TENON_CHECKED  // always built with debug information

struct half {
  std::uint16_t bits;
};
struct header {
  int rows, columns;
};
struct storage : header {
  half  a[2][3][8];
  float stage[2][64];
  union {
    int   tile[8];
    float sums[8];
    struct {
      short    first;
      unsigned low : 3, high : 7;
    };
  };
  std::array<double, 3> moments;
  char                  last;
};

class names : public testing::Test {
 protected:
  debug_info&      info = debug_info::of_this_program();
  debug_info::type type = info.target(info.at_address(link_time(anchor_of<storage>())).of);

  static std::uint64_t link_time(void const* p) {
    auto const& image = *reinterpret_cast<Elf64_Ehdr const*>(__executable_start);
    return reinterpret_cast<std::uintptr_t>(p) -
           (image.e_type == ET_DYN ? reinterpret_cast<std::uintptr_t>(__executable_start) : 0);
  }
  template <class Member>
  std::string at(Member const& m, std::size_t bytes = 1, std::size_t further = 0) {
    auto const o = static_cast<std::size_t>(reinterpret_cast<char const*>(&m) - reinterpret_cast<char const*>(&s));
    return info.name(type, o + further, bytes, "s").path;
  }
  storage s{};
};

TEST_F(names, of_members_arrays_and_bases) {
  ASSERT_NE(type, 0u) << "this program has no debug information";
  EXPECT_EQ(info.name_of(type), "storage");
  EXPECT_EQ(info.size_of(type), sizeof(storage));
  EXPECT_EQ(at(s.columns, 4), "s.columns");
  EXPECT_EQ(at(s.a[1][2][5], 2), "s.a[1][2][5]");  // a number in a struct of its own is the number
  EXPECT_EQ(at(s.a[1][2][4], 8), "s.a[1][2][4..7]");
  EXPECT_EQ(at(s.a[0][2][6], 8), "s.a[0][2][6] to s.a[1][0][1]");
  EXPECT_EQ(at(s.stage[1][63], 4), "s.stage[1][63]");
  EXPECT_EQ(at(s.stage[1][63], 2, 2), "s.stage[1][63]");
  EXPECT_EQ(at(s.stage, sizeof s.stage), "s.stage");
  EXPECT_EQ(at(s.moments[2], 8), "s.moments[2]");
  EXPECT_EQ(at(s.a[1][2][7], 4), "s.a[1][2][7] to s.stage[0][0]");
  EXPECT_EQ(at(s, sizeof s), "s");
  EXPECT_EQ(info.name(type, sizeof(header) + sizeof s.a + 4, 4).type, "float");
}

TEST_F(names, of_unions_bit_fields_and_padding) {
  EXPECT_EQ(at(s.tile[5], 4), "s.tile[5] | s.sums[5]");
  EXPECT_EQ(at(s.tile[0], 2), "s.tile[0] | s.sums[0] | s.first");
  EXPECT_EQ(at(s.last, 1, 1), "padding after s.last");
  EXPECT_EQ(at(s.first, 1, 2), "s.tile[0] | s.sums[0] | s.low | ...");  // and high
}

TEST_F(names, beyond_the_object_are_padding_or_nothing_but_never_wrong) {
  EXPECT_EQ(info.name(type, sizeof(storage) + 400, 4, "s").path, "padding after s.last");
  EXPECT_EQ(info.name(0, 0, 4).path, "");
  EXPECT_FALSE(info.at_address(link_time(anchor_of<storage>()) + 1));
}

// Damage at random places must end in names or in none. The search is bounded, so this ends too.
TEST_F(names, damaged_files_do_no_harm) {
  auto const                 file = debug_info::map("/proc/self/exe");
  checked::dwarf::sections   all(file);
  std::vector<unsigned char> copy(file.begin(), file.end());
  auto const    place_of = [&](checked::dwarf::bytes b) { return static_cast<std::size_t>(b.data() - file.data()); };
  std::uint64_t r        = 12345;
  auto const    random   = [&](std::size_t n) {
    r ^= r << 13, r ^= r >> 7, r ^= r << 17;
    return static_cast<std::size_t>(r % n);
  };
  for (int round = 0; round < 12; ++round) {
    std::vector<std::pair<std::size_t, unsigned char>> before;
    auto const                                         spoil = [&](checked::dwarf::bytes b, int times) {
      for (int i = 0; i < times && !b.empty(); ++i) {
        std::size_t const at = place_of(b) + random(b.size());
        before.emplace_back(at, copy[at]);
        copy[at] = static_cast<unsigned char>(random(256));
      }
    };
    spoil(all.abbreviations, 40), spoil(all.info, 400), spoil(all.string_offsets, 10), spoil(all.addresses, 3);
    spoil(file.first(64), round % 3), spoil(all.symbols, 50);
    debug_info damaged(copy);
    auto const t = damaged.target(damaged.at_address(link_time(anchor_of<storage>())).of);
    for (std::size_t o = 0; o < sizeof(storage); o += 7) damaged.name(t, o, 4);
    for (auto const& symbol : damaged.thread_locals()) damaged.thread_local_at(symbol.offset);
    for (std::size_t i = before.size(); i-- > 0;) copy[before[i].first] = before[i].second;
  }
  for (std::size_t const length : {std::size_t{0}, std::size_t{100}, copy.size() / 3, copy.size() - 1}) {
    debug_info cut(checked::dwarf::bytes(copy.data(), length));
    EXPECT_FALSE(cut.at_address(link_time(anchor_of<storage>())));
  }
}

// ---- in reports -----------------------------------------------------------------------------------------------------

template <class... Args>
finding first_of(void (*kernel)(Args...), std::size_t shared_bytes, std::type_identity_t<Args>... args) {
  auto const found = check({}, kernel, 1, 64, shared_bytes, args...);
  if (found.findings.empty()) {
    ADD_FAILURE() << "nothing was found";
    return {};
  }
  return found.findings[0];
}

__global__ void in_storage(float* y) {
  auto& s                 = tenon::arch::shared<storage>();
  s.stage[1][threadIdx.x] = 1;
  y[threadIdx.x]          = s.stage[1][threadIdx.x ^ 32];
}
TEST(names_in_reports, of_a_storage) {
  buffer<float> y(64);
  auto const    f = first_of(in_storage, sizeof(storage), y.data());
  EXPECT_EQ(f.path, "shared.stage[1][0]") << f;
  EXPECT_EQ(f.bytes.find("shared.stage[1][0] (float): shared memory, bytes ["), 0u) << f;
}

struct pair_of {
  int   key;
  short rank;
};
__global__ void in_an_array(pair_of* y) {
  auto* const s       = dynamic_shared<pair_of>();
  s[threadIdx.x].rank = 1;
  y[threadIdx.x].rank = s[threadIdx.x ^ 32].rank;
}
TEST(names_in_reports, of_dynamic_shared_memory) {
  buffer<pair_of> y(64);
  EXPECT_EQ(first_of(in_an_array, 64 * sizeof(pair_of), y.data()).path, "shared[0].rank");
}

template <int Pad>
__global__ void in_a_static_array(float* y) {
  __shared__ float tile[16][16 + Pad];
  tile[threadIdx.x % 16][threadIdx.x / 16] = 1;
  y[threadIdx.x]                           = tile[threadIdx.x / 16][threadIdx.x % 16];
}
TEST(names_in_reports, of_static_shared_memory) {
  buffer<float> y(64);
  auto const    f = first_of(in_a_static_array<1>, 0, y.data());
  EXPECT_EQ(f.path, "tile[2][0]") << f;
  EXPECT_NE(f.bytes.find(" (float): static shared memory"), std::string::npos) << f;
  EXPECT_NE(f.bytes.find("of 1088"), std::string::npos) << f;
}

// Five bytes, and some that belong to nobody before the next variable begins.
__global__ void beside_a_static_array(float* y, unsigned i) {
  __shared__ char            few[5];
  alignas(64) __shared__ int many[4];
  if (threadIdx.x == 0) few[i] = 1, many[i % 4] = 2, y[0] = static_cast<float>(few[4] + many[i % 4]);
}
TEST(names_in_reports, of_bytes_between_static_variables) {
  buffer<float> y(64);
  auto const    f = first_of(beside_a_static_array, 0, y.data(), 6u);
  EXPECT_EQ(f.what, kind::out_of_bounds) << f;
  EXPECT_EQ(f.bytes.find("1 byte after few (char[5])"), 0u) << f;
  EXPECT_EQ(f.times, 1u);
  EXPECT_TRUE(is_clean(check({}, beside_a_static_array, 1, 64, 0, y.data(), 4u)));
}

__global__ void scaled(float* y, pair_of const* w) { y[threadIdx.x] = static_cast<float>(w[threadIdx.x].rank); }
TEST(names_in_reports, of_buffers) {
  buffer<float>   y(64);
  buffer<pair_of> w(64);
  w.name("weights");
  auto const f = first_of(scaled, 0, y.data(), static_cast<pair_of const*>(w.data()));
  EXPECT_EQ(f.path, "weights[0].rank") << f;
  EXPECT_NE(f.bytes.find(" (weights), element 0 .rank (short"), std::string::npos) << f;
  EXPECT_NE(f.bytes.find(" of 64, bytes [4, 6) of 512"), std::string::npos) << f;
}

#endif

}  // namespace
