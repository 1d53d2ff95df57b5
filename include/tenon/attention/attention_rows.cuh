#pragma once
//  The rows of one query tile and kv head: whose they are, and what the mask leaves of them.
#include <tenon/arch/arch.cuh>
#include <tenon/attention/query_tile.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/mask.hpp>

#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

template <class Params>
struct attention_rows {
  Params const&     p;
  query_tile const& tile;
  int const&        kv_head;

  __device__ int     token(int row) const { return tile.first_token + (tile.first_head + row) / p.group; }
  __device__ int     head(int row) const { return kv_head * p.group + (tile.first_head + row) % p.group; }
  __device__ int     position(int row) const { return tile.position + token(row); }
  __device__ index_t batch_token(int row) const { return tile.query_start + token(row); }

  /// What the mask leaves of tokens first..last, every head of the group, and keys k_first..k_last; ends included.
  __device__ coverage classify(int first, int last, int k_first, int k_last) const {
    auto const& mask = p.variant.mask;
    auto const  of   = [&](int g) {
      return mask.classify(tile.request, kv_head * p.group + g, tile.position + first, tile.position + last, k_first,
                              k_last);
    };
    coverage const c = of(0);
    if constexpr (!same_for_all_heads<std::remove_cvref_t<decltype(mask)>>) {
      for (int g = 1; g < p.group; ++g)
        if (of(g) != c) return coverage::partial;
    }
    return c;
  }
};

}  // namespace tenon::inline TENON_TARGET::kernel
