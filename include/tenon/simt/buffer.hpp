#pragma once
//  Device memory of the host target: unset contents, red zones on both sides.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

namespace tenon::simt {

/// `size` elements of T. A checked run reports a read of an element that nobody wrote and any access beside the buffer.
template <class T>
class buffer {
  static_assert(std::is_trivially_copyable_v<T>, "tenon::simt::buffer: T must be trivially copyable");

 public:
  buffer() = default;
  explicit buffer(std::size_t size) : storage_(size) {}
  explicit buffer(std::span<T const> contents) : storage_(contents.begin(), contents.end()) {}

  T*          data() { return storage_.data(); }
  T const*    data() const { return storage_.data(); }
  std::size_t size() const { return storage_.size(); }

 private:
  std::vector<T> storage_;
};

}  // namespace tenon::simt
