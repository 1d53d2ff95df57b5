#pragma once
//  Arrays that other programs wrote: NumPy's .npy files in the shared data, where it is present.
//
//  A test that needs them says so:
//    auto const vectors = test::kernel_vectors("rmsnorm_f32_8x128");
//    if (!vectors) GTEST_SKIP() << test::no_shared_data;
//    auto const x = vectors->values<float>("x");
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "shared_data.hpp"

namespace test {

/// One array: little-endian, in C order.
struct npy {
  std::string                 type;  // NumPy's name: "<f4", "<i8", "<u2" (which may hold bf16)
  std::vector<tenon::index_t> shape;
  std::vector<char>           bytes;

  /// The elements as T: f4 as float; u2 as bf16 or f16 bits, or those widened to float (as bf16); i4 and i8 as any integer.
  template <class T>
  std::vector<T> values() const {
    if (type == "<f4") return convert<float, T>();
    if (type == "<f8") return convert<double, T>();
    if (type == "<i4") return convert<std::int32_t, T>();
    if (type == "<i8") return convert<std::int64_t, T>();
    if (type == "|u1") return convert<std::uint8_t, T>();
    if (type == "<u2") return convert<tenon::bf16, T>();
    throw std::runtime_error("test::npy: type " + type + " is not read");
  }

 private:
  template <class From, class T>
  std::vector<T> convert() const {
    std::vector<From> raw(bytes.size() / sizeof(From));
    if (!raw.empty()) std::memcpy(raw.data(), bytes.data(), raw.size() * sizeof(From));
    if constexpr (std::is_same_v<From, T>) {
      return raw;
    } else if constexpr (sizeof(From) == sizeof(T) && !std::is_arithmetic_v<T> && !std::is_arithmetic_v<From>) {
      std::vector<T> v(raw.size());  // 16 bits of another kind
      if (!v.empty()) std::memcpy(static_cast<void*>(v.data()), raw.data(), v.size() * sizeof(T));
      return v;
    } else {
      std::vector<T> v;
      v.reserve(raw.size());
      for (From const& e : raw) {
        if constexpr (std::is_arithmetic_v<From> && std::is_arithmetic_v<T>) {
          v.push_back(static_cast<T>(e));
        } else {
          v.push_back(static_cast<T>(static_cast<float>(e)));
        }
      }
      return v;
    }
  }
};

/// Reads a .npy file of version 1 or 2 (numpy.lib.format).
inline npy read_npy(std::filesystem::path const& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("test::read_npy: cannot open " + path.string());
  std::vector<char> const all{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  auto const              byte = [&](std::size_t i) {
    return i < all.size() ? static_cast<std::size_t>(static_cast<unsigned char>(all[i])) : std::size_t{0};
  };
  bool const        wide   = byte(6) > 1;
  std::size_t const begin  = wide ? 12 : 10;
  std::size_t const length = byte(8) | byte(9) << 8 | (wide ? byte(10) << 16 | byte(11) << 24 : 0);
  if (all.size() < begin + length || std::memcmp(all.data(), "\x93NUMPY", 6) != 0)
    throw std::runtime_error("test::read_npy: not a .npy file: " + path.string());
  std::string const header(all.data() + begin, length);
  if (header.find("'fortran_order': True") != std::string::npos)
    throw std::runtime_error("test::read_npy: Fortran order: " + path.string());

  npy               array;
  std::size_t const type = header.find('\'', header.find("'descr':") + 8) + 1;
  array.type             = header.substr(type, header.find('\'', type) - type);
  std::size_t i          = header.find('(', header.find("'shape':")) + 1;
  for (std::size_t const end = header.find(')', i); i < end;) {
    std::size_t digits = 0;
    if (header[i] < '0' || header[i] > '9') {
      ++i;
      continue;
    }
    array.shape.push_back(std::stoll(header.substr(i), &digits));
    i += digits;
  }
  array.bytes.assign(all.begin() + static_cast<std::ptrdiff_t>(begin + length), all.end());
  return array;
}

/// The arrays of one folder of the shared kernel vectors, by the names of its manifest.
struct vectors {
  std::filesystem::path folder;

  npy array(std::string const& name) const { return read_npy(folder / (name + ".npy")); }
  template <class T>
  std::vector<T> values(std::string const& name) const {
    return array(name).values<T>();
  }
};

/// Nothing where the shared data is absent.
inline std::optional<vectors> kernel_vectors(std::string const& name) {
  auto const data = shared_data();
  if (data.empty()) return std::nullopt;
  return vectors{data / "kernel_vectors" / name};
}

/// The largest excess of |got - want| over atol + rtol |want|; at most 0 where every element is within; NaN gives infinity.
template <class Got, class Want>
double excess(std::vector<Got> const& got, std::vector<Want> const& want, double atol, double rtol) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double worst = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < got.size(); ++i) {
    double const g = static_cast<double>(static_cast<float>(got[i]));
    double const w = static_cast<double>(static_cast<float>(want[i]));
    double const e = std::abs(g - w) - (atol + rtol * std::abs(w));
    if (std::isnan(e)) return std::numeric_limits<double>::infinity();
    worst = e > worst ? e : worst;
  }
  return worst;
}

}  // namespace test
