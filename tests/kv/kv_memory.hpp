#pragma once
//  Memory of a cache's pages in any format, compared byte by byte.
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "../support/tensor.hpp"

namespace test {

struct kv_shape {
  index_t pages, page_size, kv_heads, width;
};

/// Distinct slots of `all` in a scattered order; every fourth token has none.
inline std::vector<std::int64_t> scattered_slots(index_t tokens, index_t all) {
  std::vector<std::int64_t> slots;
  for (index_t t = 0; t < tokens; ++t) slots.push_back(t % 4 == 3 || t >= all ? -1 : all - 1 - t);
  return slots;
}

template <class E>
index_t kv_bytes(kv_shape const& s) {
  if constexpr (tenon::is_kv_codes<E>) return s.pages * tenon::kv_page_bytes<E>(s.page_size, s.kv_heads, s.width);
  else return s.pages * s.page_size * s.kv_heads * s.width * static_cast<index_t>(sizeof(E));
}

/// Pages over memory of kv_bytes: dense numbers, or codes and scales.
template <class E>
tenon::kv_pages<E> kv_over(std::uint8_t* data, kv_shape const& s) {
  if constexpr (tenon::is_kv_codes<E>)
    return tenon::kv_pages_over<E>(reinterpret_cast<std::byte*>(data), s.pages, s.page_size, s.kv_heads, s.width);
  else return tenon::dense(reinterpret_cast<E*>(data), s.pages, s.page_size, s.kv_heads, s.width);
}

/// The operator's memory and the reference's, of one shape, filled with one byte that neither may change where no slot is.
template <class E>
struct kv_memory {
  static constexpr std::uint8_t untouched = 0x5a;

  kv_shape                  shape;
  tensor<std::uint8_t, 1>   device;
  std::vector<std::uint8_t> host;

  explicit kv_memory(kv_shape const& s) : shape(s), device(kv_bytes<E>(s)), host(device.size(), untouched) {
    device.fill(untouched);
  }
  tenon::kv_pages<E> view() { return kv_over<E>(device.view().data, shape); }
  tenon::kv_pages<E> reference() { return kv_over<E>(host.data(), shape); }
  bool               agrees() const { return same_bits(device.values(), host); }
  /// Pages over what the operator has written, to be read on the host.
  std::vector<std::uint8_t> copy() const { return device.values(); }
};

/// The same random bytes in both: every NaN, code and scale that there is.
template <class E>
struct random_memory : kv_memory<E> {
  random_memory(kv_shape const& s, std::uint64_t seed) : kv_memory<E>(s) {
    std::mt19937_64 random(seed);
    for (auto& byte : this->host) byte = static_cast<std::uint8_t>(random());
    this->device.assign(this->host);
  }
};

}  // namespace test
