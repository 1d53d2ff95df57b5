#pragma once
//  y[t,h] = epilogue(table[ids[t],h])
//
//  One block per token; threads stride over the row. Traffic: one table row in, one row out per token.
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/embedding/embedding_gather_policy.hpp>
#include <tenon/op/epilogue.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

template <class Y, class T, elementwise Epilogue>
struct embedding_gather_params {
  tensor_view<Y, 2>                  y;      // (tokens, hidden)
  tensor_view<T const, 2>            table;  // (vocabulary, hidden)
  tensor_view<std::int32_t const, 1> ids;    // (tokens)
  Epilogue                           epilogue;
};

template <class Policy, class Y, class T, elementwise Epilogue>
__global__ __launch_bounds__(Policy::value.threads_per_block, 1) void embedding_gather(
    __grid_constant__ embedding_gather_params<Y, T, Epilogue> const p) {
  constexpr int threads = Policy::value.threads_per_block;
  constexpr int vector  = Policy::value.vector;

  // Index map: one block per token; threads stride over the row's whole vectors, then over its tail.
  index_t const token  = blockIdx.x;
  index_t const hidden = p.y.extent[1];
  index_t const whole  = hidden / vector * vector;
  index_t const thread = static_cast<index_t>(threadIdx.x);
  index_t const id     = p.ids(token);
  bool const    known  = id >= 0 && id < p.table.extent[0];
  T const*      row    = known ? &p.table(id, 0) : p.table.data;  // an unknown id's row is not read
  Y*            y      = &p.y(token, 0);

  for (index_t h = thread * vector; h < whole; h += threads * vector) {
    vec<T, vector> v{};
    if (known) v = arch::load_constant<vector>(row + h);
    if constexpr (std::is_same_v<Y, T> && std::is_same_v<Epilogue, identity>) {
      arch::store<vector>(y + h, v);  // a copy, without a way through fp32
    } else {
      vec<Y, vector> r;
      TENON_UNROLL
      for (int i = 0; i < vector; ++i) r[i] = static_cast<Y>(p.epilogue(static_cast<float>(v[i]), token, h + i));
      arch::store<vector>(y + h, r);
    }
  }
  for (index_t h = whole + thread; h < hidden; h += threads)
    y[h] = static_cast<Y>(p.epilogue(known ? static_cast<float>(row[h]) : 0.0f, token, h));
}

}  // namespace tenon::inline TENON_TARGET::kernel
