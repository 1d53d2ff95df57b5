#pragma once
//  A ragged batch whose cache holds codes: every place that no token owns has codes of ones and scales of NaN.
#include <tenon/kv/kv_format.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "ragged_batch.hpp"

namespace test {

/// Pages of E, made of the numbers of a batch's pages; on the host, and in memory of the device.
template <class E>
struct coded_pages {
  std::vector<std::byte>                bytes;
  std::unique_ptr<tensor<std::byte, 1>> copy;
  tenon::index_t                        pages, page_size, kv_heads, width;

  template <class T>
  coded_pages(ragged_batch<T>& batch, std::vector<T> const& values, int width_)
      : pages(batch.pages), page_size(batch.shape.page_size), kv_heads(batch.shape.kv_heads), width(width_) {
    bytes.assign(static_cast<std::size_t>(pages * tenon::kv_page_bytes<E>(page_size, kv_heads, width)),
                 std::byte{0xff});
    auto const to = over_bytes(bytes.data());
    for (std::size_t r = 0; r < batch.requests.size(); ++r)
      for (int position = 0; position < batch.requests[r].keys; ++position) {
        auto const page  = batch.table[r * static_cast<std::size_t>(batch.max_pages) +
                                      static_cast<std::size_t>(position / batch.shape.page_size)];
        auto const place = position % batch.shape.page_size;
        for (int h = 0; h < kv_heads; ++h)
          quantize(to, page, place, h,
                   &values[static_cast<std::size_t>(((page * page_size + place) * kv_heads + h) * width)]);
      }
    copy = std::make_unique<tensor<std::byte, 1>>(static_cast<tenon::index_t>(bytes.size()));
    copy->assign(bytes);
  }

  tenon::kv_pages<E> host() { return over_bytes(bytes.data()); }
  tenon::kv_pages<E> device() { return over_bytes(copy->view().data); }

 private:
  tenon::kv_pages<E> over_bytes(std::byte* data) {
    return tenon::kv_pages_over<E>(data, pages, page_size, kv_heads, width);
  }
  template <class T>
  void quantize(tenon::kv_pages<E> const& to, int page, int place, int head, T const* row) {
    int const group = E::group == 0 ? static_cast<int>(width) : E::group;
    for (int first = 0, g = 0; first < width; first += group, ++g) {
      float      least = float(row[first]), most = least;
      auto const end = std::min<int>(first + group, static_cast<int>(width));
      for (int d = first; d < end; ++d) least = std::min(least, float(row[d])), most = std::max(most, float(row[d]));
      auto& scale = to.scale(page, place, head, g);
      if constexpr (std::is_same_v<E, tenon::kv_fp8>) scale = tenon::kv_fp8_scale(std::max(-least, most));
      else scale = tenon::kv_range_of<E>(least, most);
      for (int d = first; d < end; ++d) {
        auto const    code = tenon::kv_code_of<E>(float(row[d]), scale);
        std::uint8_t& byte = to.code(page, place, head, d * E::bits / 8);
        if (E::bits == 8) byte = code;
        else byte = static_cast<std::uint8_t>(d % 2 ? (byte & 15) | code << 4 : (byte & 0xf0) | code);
      }
    }
  }
};

/// The pages of a batch as they are.
template <tenon::floating E>
struct coded_pages<E> {
  tensor<E, 4>*   on_device;
  std::vector<E>* values;
  int             pages, page_size, kv_heads, width;

  coded_pages(ragged_batch<E>& batch, std::vector<E>& v, int width_)
      : on_device(&v == &batch.k_values ? batch.k.get() : batch.v.get()),
        values(&v),
        pages(batch.pages),
        page_size(batch.shape.page_size),
        kv_heads(batch.shape.kv_heads),
        width(width_) {}
  auto host() { return over(*values, pages, page_size, kv_heads, width); }
  auto device() { return on_device->view(); }
};

template <class T, class K, class V>
struct coded_batch : ragged_batch<T> {
  coded_pages<K> k_pages;
  coded_pages<V> v_pages;

  coded_batch(batch_shape const& s, std::vector<request> const& r)
      : ragged_batch<T>(s, r),
        k_pages(*this, this->k_values, s.head_dim),
        v_pages(*this, this->v_values, s.value_dim) {}

  auto cache() { return tenon::paged_kv{k_pages.device(), v_pages.device()}; }

  template <class O, class Mask = tenon::causal, class Logits = tenon::scaled_logits>
  tenon::status run(tenon::context const& where, tensor<O, 3>& o, tenon::paged_attention_options options = {},
                    tenon::attention_variant<Mask, Logits> variant = {}, tensor<float, 2>* lse = nullptr) {
    return tenon::paged_attention(where, o.view(), this->q->view(), cache(), this->block_table->view(),
                                  this->query_start->view(), this->kv_length->view(), options, variant,
                                  lse ? lse->view() : tenon::tensor_view<float, 2>{});
  }
  template <class Mask = tenon::causal, class Logits = tenon::scaled_logits>
  typename ragged_batch<T>::expectation expect(tenon::attention_variant<Mask, Logits> variant = {},
                                               tenon::tensor_view<float const, 1>     sinks   = {}) {
    auto const&                           s = this->shape;
    typename ragged_batch<T>::expectation e;
    e.o.assign(static_cast<std::size_t>(this->tokens * s.heads * s.value_dim), 0.f);
    e.lse.assign(static_cast<std::size_t>(this->tokens * s.heads), 0);
    int const count = static_cast<int>(this->requests.size());
    tenon::ref::paged_attention(over(e.o, this->tokens, s.heads, s.value_dim), over(e.lse, this->tokens, s.heads),
                                over(this->q_values, this->tokens, s.heads, s.head_dim),
                                tenon::paged_kv{k_pages.host(), v_pages.host()},
                                over(this->table, count, this->max_pages), over(this->starts, count + 1),
                                over(this->lengths, count), 1 / std::sqrt(double(s.head_dim)), variant, sinks);
    return e;
  }
};

}  // namespace test
