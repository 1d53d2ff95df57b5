// Every sampling operator: their logits are f32.
#include <tenon/sampling/logprobs.hpp>
#include <tenon/sampling/penalties.hpp>
#include <tenon/sampling/sample.hpp>

#include <cstdint>

using tenon::tensor_view;

tenon::status sampling(tenon::context const& where, tensor_view<float, 2> logits, tensor_view<std::int32_t, 1> ids,
                       tensor_view<std::int32_t, 2> top, tensor_view<float, 1> values,
                       tensor_view<tenon::sampling_params const, 1> params) {
  TENON_TRY(tenon::apply_penalties(where, logits, params, ids, ids, ids));
  TENON_TRY(tenon::add_logit_bias(where, logits, ids, values, ids));
  TENON_TRY(tenon::token_logprobs(where, values, logits, ids));
  TENON_TRY(tenon::top_logprobs(where, top, logits, logits));
  return tenon::sample(where, ids, logits, params);
}
