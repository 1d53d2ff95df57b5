// Configurations of attention: numbers, codes.
#include <tenon/attention/paged_attention.hpp>

#include <cstdint>

using tenon::bf16, tenon::tensor_view;

tenon::status attention(tenon::context const& where, tensor_view<bf16, 3> o, tensor_view<bf16 const, 3> q,
                        tenon::paged_kv<bf16 const> kv, tensor_view<std::int32_t const, 2> block_table,
                        tensor_view<std::int32_t const, 1> lengths) {
  return tenon::paged_attention(where, o, q, kv, block_table, lengths, lengths);
}

tenon::status attention_over_codes(tenon::context const& where, tensor_view<bf16, 3> o, tensor_view<bf16 const, 3> q,
                                   tenon::paged_kv<tenon::kv_int8 const, tenon::kv_int4 const> kv,
                                   tensor_view<std::int32_t const, 2>                          block_table,
                                   tensor_view<std::int32_t const, 1>                          lengths) {
  return tenon::paged_attention(where, o, q, kv, block_table, lengths, lengths);
}
