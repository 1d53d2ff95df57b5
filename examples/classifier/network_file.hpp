#pragma once
//  Tensors of a safetensors file as vectors, with the shapes that the caller expects.
#include <tenon/core/tensor_view.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "classifier/feature_map.hpp"
#include "engine/error.hpp"
#include "engine/files/safetensors.hpp"

namespace classifier {

/// A convolution's weight with channels last, as conv2d wants it.
struct conv_weight {
  index_t            out = 0, kernel = 0, in = 0;
  std::vector<float> values;  // (out, kernel, kernel, in)

  tenon::tensor_view<float, 4>       view() { return tenon::dense(values.data(), out, kernel, kernel, in); }
  tenon::tensor_view<float const, 4> view() const { return tenon::dense(values.data(), out, kernel, kernel, in); }
  /// A row per output.
  tenon::tensor_view<float const, 2> rows() const { return tenon::dense(values.data(), out, kernel * kernel * in); }
};

class network_file {
 public:
  explicit network_file(std::filesystem::path const& path) : file_(path) {}

  bool has(std::string const& name) const { return file_.find(name) != nullptr; }

  /// The elements of tensor `name`; an extent of -1 may be anything.
  std::vector<float> floats(std::string const& name, std::vector<index_t> const& shape) const {
    return copy<float>(name, tenon::engine::dtype::f32, shape);
  }
  std::vector<std::uint8_t> bytes(std::string const& name, std::vector<index_t> const& shape) const {
    return copy<std::uint8_t>(name, tenon::engine::dtype::u8, shape);
  }

  /// A weight that is stored (out, in, kernel, kernel), as PyTorch does.
  conv_weight convolution(std::string const& name, index_t kernel) const {
    auto const  v     = floats(name, {-1, -1, kernel, kernel});
    auto const& shape = file_.find(name)->shape;
    conv_weight w{shape[0], kernel, shape[1], std::vector<float>(v.size())};
    auto const  from = tenon::dense(v.data(), w.out, w.in, kernel, kernel);
    auto const  to   = w.view();
    for (index_t o = 0; o < w.out; ++o)
      for (index_t p = 0; p < kernel; ++p)
        for (index_t q = 0; q < kernel; ++q)
          for (index_t c = 0; c < w.in; ++c) to(o, p, q, c) = from(o, c, p, q);
    return w;
  }

 private:
  template <class T>
  std::vector<T> copy(std::string const& name, tenon::engine::dtype type, std::vector<index_t> const& shape) const {
    auto const* const t    = file_.find(name);
    auto const        fail = [&](std::string const& found) {
      return tenon::engine::wrong(file_.name(), name, found, "a tensor of the classifier's type and shape");
    };
    if (t == nullptr) throw fail("nothing");
    bool fits = t->type == type && t->shape.size() == shape.size();
    for (std::size_t d = 0; fits && d < shape.size(); ++d) fits = shape[d] < 0 || t->shape[d] == shape[d];
    if (!fits) throw fail("another one");
    std::vector<T> v(t->bytes.size() / sizeof(T));
    if (!v.empty()) std::memcpy(v.data(), t->bytes.data(), t->bytes.size());
    return v;
  }

  tenon::engine::safetensors_file file_;
};

}  // namespace classifier
