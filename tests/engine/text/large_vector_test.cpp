//  Large and small tables: where they begin, and that they hold what a vector holds.
#include <engine/text/large_vector.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <numeric>
#include <utility>
#include <vector>

namespace {

using tenon::engine::large_vector;

TEST(large_vector, begins_at_a_large_page_from_half_of_one_on) {
  for (std::size_t const bytes : {std::size_t{1} << 20, std::size_t{3} << 20, (std::size_t{5} << 20) + 1}) {
    large_vector<char> const v(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(v.data()) % (std::uintptr_t{1} << 21), 0u) << bytes;
  }
}

TEST(large_vector, holds_what_a_vector_holds) {
  large_vector<std::uint32_t> large;
  for (std::size_t const size :
       {1u, 1000u, 262143u, 262144u, 700000u, 1600000u, 10u}) {  // from small to large and back
    large.resize(size), large.shrink_to_fit();
    std::iota(large.begin(), large.end(), static_cast<std::uint32_t>(size));
    large_vector<std::uint32_t> copy = large, moved = std::move(large);
    std::vector<std::uint32_t>  expected(size);
    std::iota(expected.begin(), expected.end(), static_cast<std::uint32_t>(size));
    EXPECT_TRUE(std::equal(copy.begin(), copy.end(), expected.begin(), expected.end())) << size;
    EXPECT_TRUE(copy == moved) << size;
    large.swap(moved);
  }
}

TEST(large_vector, refuses_more_than_memory_has) {
  tenon::engine::large_allocator<std::uint64_t> allocator;
  EXPECT_THROW((void)allocator.allocate(~std::size_t{0} / 8), std::bad_array_new_length);
}

TEST(large_vector, small_ones_of_aligned_types_are_aligned) {
  struct alignas(256) line {
    char bytes[256];
  };
  for (std::size_t n = 1; n < 20; ++n) {
    large_vector<line> const v(n);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(v.data()) % alignof(line), 0u) << n;
  }
}

}  // namespace
