#pragma once
//  Tables and lists of indices, in the operator's memory and on the host.
#include <tenon/core/tensor_view.hpp>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "../support/tensor.hpp"

namespace test {

template <int Rank>
struct index_table {
  std::vector<std::int32_t>                    host;
  tensor<std::int32_t, Rank>                   device;
  tenon::tensor_view<std::int32_t const, Rank> at;  // of the host

  template <class... Extent>
  index_table(std::vector<std::int32_t> values, Extent... extent)
      : host(std::move(values)), device(extent...), at(tenon::as_const(over(host, extent...))) {
    device.assign(host);
  }
  index_table(index_table const&) = delete;
  tenon::tensor_view<std::int32_t const, Rank> view() const { return device.view(); }
};

/// A table (requests, 1, pages) for kv_heads heads that share it.
inline tenon::tensor_view<std::int32_t const, 3> shared_by_heads(tenon::tensor_view<std::int32_t const, 3> table,
                                                                 index_t                                   kv_heads) {
  table.extent[1] = kv_heads, table.stride[1] = 0;
  return table;
}

/// 0..count-1 in some order.
inline std::vector<std::int32_t> shuffled(index_t count, std::uint64_t seed) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937_64(seed));
  return numbers;
}

}  // namespace test
