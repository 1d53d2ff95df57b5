#pragma once
//  What keys and values of the cache are stored as, chosen when the program starts.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tenon::engine {

enum class number_format { f32, bf16, f16 };
enum class kv_cache_format : std::uint8_t { f32, bf16, f16, fp8, int8, int4 };

inline constexpr kv_cache_format kv_cache_formats[] = {kv_cache_format::f32,  kv_cache_format::bf16,
                                                       kv_cache_format::f16,  kv_cache_format::fp8,
                                                       kv_cache_format::int8, kv_cache_format::int4};

/// As --kv-cache-dtype spells it.
constexpr std::string_view name_of(kv_cache_format f) {
  constexpr std::string_view names[] = {"f32", "bf16", "f16", "fp8", "int8", "int4"};
  return names[static_cast<int>(f)];
}

constexpr kv_cache_format unquantised(number_format f) {
  return f == number_format::f32    ? kv_cache_format::f32
         : f == number_format::bf16 ? kv_cache_format::bf16
                                    : kv_cache_format::f16;
}

/// f.operator()<Element>() for the element of caches of this format (tenon/kv/kv_format.hpp).
template <class F>
constexpr auto visit_kv_format(kv_cache_format format, F const& f) {
  switch (format) {
    case kv_cache_format::bf16: return f.template operator()<bf16>();
    case kv_cache_format::f16: return f.template operator()<f16>();
    case kv_cache_format::fp8: return f.template operator()<kv_fp8>();
    case kv_cache_format::int8: return f.template operator()<kv_int8>();
    case kv_cache_format::int4: return f.template operator()<kv_int4>();
    default: return f.template operator()<float>();
  }
}

/// Bytes of the keys (or the values) of one layer: of a page, and of a token without what rounds a page up.
constexpr index_t page_bytes_of(kv_cache_format format, index_t page_size, index_t kv_heads, index_t width) {
  return visit_kv_format(format, [&]<class E>() -> index_t {
    if constexpr (is_kv_codes<E>) return tenon::kv_page_bytes<E>(page_size, kv_heads, width);
    else return page_size * kv_heads * width * static_cast<index_t>(sizeof(E));
  });
}
constexpr index_t token_bytes_of(kv_cache_format format, index_t kv_heads, index_t width) {
  return visit_kv_format(format, [&]<class E>() -> index_t {
    if constexpr (is_kv_codes<E>)
      return kv_heads *
             (width * E::bits / 8 + kv_groups<E>(width) * static_cast<index_t>(sizeof(typename E::scale_type)));
    else return kv_heads * width * static_cast<index_t>(sizeof(E));
  });
}

}  // namespace tenon::engine
