// What a user's file with one matrix product costs to compile: its seconds end the table of scripts/test --full.
#include <tenon/gemm.hpp>

using tenon::bf16, tenon::tensor_view;

tenon::status product(tenon::context const& where, tensor_view<bf16, 2> d, tensor_view<bf16 const, 2> a,
                      tensor_view<bf16 const, 2> b, tensor_view<bf16 const, 1> bias) {
  return tenon::gemm(where, d, a, b, {}, tenon::epilogue::bias(bias));
}
