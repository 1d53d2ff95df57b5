#pragma once
//  Where a layer's matrices get their inputs: four stages, the matrices that read each, and what wrote it.
#include <array>
#include <span>
#include <string>
#include <vector>

#include "engine/compress/editable_model.hpp"
#include "engine/model/tap.hpp"

namespace tenon::engine {

struct linear_site {
  stage                      what;
  char const*                name;      // of the inputs
  std::array<char const*, 3> matrices;  // null: fewer

  /// Those that are there.
  [[nodiscard]] std::span<char const* const> modules() const {
    return std::span(matrices).first(matrices[1] == nullptr ? 1 : matrices[2] == nullptr ? 2 : 3);
  }
  [[nodiscard]] layer_half half() const {
    return what == stage::attention_norm || what == stage::attention ? layer_half::attention : layer_half::mlp;
  }
};
inline constexpr std::array<linear_site, 4> linear_sites = {
    {{stage::attention_norm, "attention_norm", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
     {stage::attention, "attention", {"self_attn.o_proj", nullptr, nullptr}},
     {stage::mlp_norm, "mlp_norm", {"mlp.gate_proj", "mlp.up_proj", nullptr}},
     {stage::gated, "gated", {"mlp.down_proj", nullptr, nullptr}}}};

/// What the norm is called that writes the site's inputs, "input_layernorm"; null: a matrix does.
[[nodiscard]] char const* norm_in_front(model_config const& config, linear_site const& site);

/// (columns of the site's inputs): inputs with the same number are written by one row, and share a factor. Query heads of a group
/// read one value head. Empty: each has a row of its own.
[[nodiscard]] std::vector<index_t> tied_inputs(layer_shape const& layer, linear_site const& site);

/// The site's inputs divided by `factors`, in what writes them, and its matrices' columns multiplied: a norm's gain; the rows of
/// v_proj for o_proj, those of up_proj for down_proj. The layer computes what it did, but for rounding.
///
/// factors  (columns), > 0, equal where inputs are tied. Becomes those that were folded: a gain is rounded to its type in the
///          file, and factors follow it, so that what is written is still exact.
void fold_factors(editable_model& model, std::size_t i, linear_site const& site, std::vector<float>& factors);

}  // namespace tenon::engine
