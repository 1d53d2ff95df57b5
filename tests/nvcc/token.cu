// One configuration of the operators at a model's ends and between its projections.
#include <tenon/embedding/embedding_gather.hpp>
#include <tenon/kv/kv_append.hpp>
#include <tenon/kv/rope_kv_append.hpp>
#include <tenon/position/rope.hpp>

#include <cstdint>

using tenon::bf16, tenon::tensor_view;

tenon::status token(tenon::context const& where, tensor_view<bf16, 2> x, tensor_view<bf16, 3> q, tensor_view<bf16, 3> k,
                    tensor_view<std::int32_t const, 1> ids, tensor_view<float const, 2> table,
                    tenon::paged_kv<bf16> cache, tensor_view<std::int64_t const, 1> slots) {
  TENON_TRY(tenon::embedding_gather(where, x, x, ids));
  TENON_TRY(tenon::rope(where, q, k, ids, table));
  return tenon::kv_append(where, cache, k, k, slots);
}

tenon::status token_in_one(tenon::context const& where, tensor_view<bf16, 3> q, tensor_view<bf16 const, 3> k,
                           tensor_view<bf16 const, 3> v, tensor_view<std::int32_t const, 1> positions,
                           tensor_view<float const, 2> table, tenon::paged_kv<tenon::kv_int8> cache,
                           tensor_view<std::int64_t const, 1> slots, tenon::qk_norm<float> norm) {
  return tenon::rope_kv_append(where, cache, q, k, v, positions, table, slots, {}, norm);
}
