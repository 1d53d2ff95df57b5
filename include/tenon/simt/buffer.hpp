#pragma once
//  Device memory of the host target: unset contents, red zones on both sides.
#include <tenon/config.hpp>
#include <tenon/simt/type_anchor.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace tenon::simt {

#if TENON_CHECKED
namespace machine {
/// `type` is anchor_of<T>(): reports name members of elements.
std::byte* allocate(std::size_t bytes, std::size_t element_bytes, void const* type);
void       name(std::byte* p, std::string_view name);
void       release(std::byte* p);
void       copy_from_host(void* to, void const* from, std::size_t bytes);
void       copy_to_host(void* to, void const* from, std::size_t bytes);
}  // namespace machine
#else
namespace machine {
// Unset memory holds a pattern that reads as NaN in every floating-point format.
inline std::byte* allocate(std::size_t bytes, std::size_t, void const*) {
  auto* const p = static_cast<std::byte*>(::operator new (bytes == 0 ? 1 : bytes, std::align_val_t{256}));
  std::memset(p, 0xff, bytes);
  return p;
}
inline void name(std::byte*, std::string_view) {}
inline void release(std::byte* p) { ::operator delete (p, std::align_val_t{256}); }
inline void copy_from_host(void* to, void const* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
inline void copy_to_host(void* to, void const* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
}  // namespace machine
#endif

/// `size` elements of T, 256-byte aligned. A checked run reports a read of an element that nobody wrote and any access
/// beside the buffer. Elements that the host writes, through assign() or in place, count as written.
template <class T>
class buffer {
  static_assert(std::is_trivially_copyable_v<T>, "tenon::simt::buffer: T must be trivially copyable");

 public:
  buffer() = default;
  explicit buffer(std::size_t size)
      : size_(size),
        data_(reinterpret_cast<T*>(
            machine::allocate(size * sizeof(T), sizeof(T), TENON_CHECKED ? anchor_of<T>() : nullptr))) {}
  explicit buffer(std::span<T const> contents) : buffer(contents.size()) { assign(contents); }
  buffer(std::size_t size, T const& value) : buffer(std::span<T const>(std::vector<T>(size, value))) {}
  buffer(buffer&& from) noexcept : size_(std::exchange(from.size_, 0)), data_(std::exchange(from.data_, nullptr)) {}
  buffer& operator=(buffer&& from) noexcept {
    std::swap(size_, from.size_), std::swap(data_, from.data_);
    return *this;
  }
  ~buffer() {
    if (data_) machine::release(reinterpret_cast<std::byte*>(data_));
  }

  void assign(std::span<T const> contents) {
    if (contents.size() != size_) throw std::invalid_argument("tenon::simt::buffer: wrong number of elements");
    if (size_) machine::copy_from_host(data_, contents.data(), size_ * sizeof(T));
  }
  std::vector<T> values() const {
    std::vector<T> v(size_);
    if (size_) machine::copy_to_host(v.data(), data_, size_ * sizeof(T));
    return v;
  }

  /// What reports call it: x.name("weights").
  void name(std::string_view name) {
    if (data_) machine::name(reinterpret_cast<std::byte*>(data_), name);
  }

  T*          data() { return data_; }
  T const*    data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
  T*          data_ = nullptr;
};

}  // namespace tenon::simt
