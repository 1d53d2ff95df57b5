#pragma once
//  Which of 64 bytes lie in given ranges: one bit each, so that what stands beside what is told by arithmetic on all at once.
//
//  By AVX-512, AVX2 or NEON where the processor has them, else byte by byte; chosen once, when the program starts.
//  Test: tests/engine/text/byte_ranges_test.cpp
#include <array>
#include <cstddef>
#include <cstdint>

namespace tenon::engine {

struct byte_range {
  unsigned char first, more;  // and so many behind it

  constexpr byte_range(unsigned begin = 0, unsigned last = 0)
      : first(static_cast<unsigned char>(begin)), more(static_cast<unsigned char>(last - begin)) {}
};

using range_finder = void (*)(char const* bytes, byte_range const* ranges, std::size_t count, std::uint64_t* found);

/// `found[r]`, bit i: byte i is in ranges[r]. Reads 64 bytes.
void find_ranges_one_by_one(char const* bytes, byte_range const* ranges, std::size_t count, std::uint64_t* found);
/// The fastest of this processor.
extern range_finder const find_ranges;

template <std::size_t N>
std::array<std::uint64_t, N> in_ranges(char const* bytes, std::array<byte_range, N> const& ranges) {
  std::array<std::uint64_t, N> found;
  find_ranges(bytes, ranges.data(), N, found.data());
  return found;
}

}  // namespace tenon::engine
