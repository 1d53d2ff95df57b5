#include "engine/compress/linear_sites.hpp"

#include <tenon/compress/scale_pair.hpp>
#include <tenon/compress/smooth_quant.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/throw_if.hpp>

#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

float stored(dtype type, float v) {
  switch (type) {
    case dtype::f16: return static_cast<float>(static_cast<f16>(v));
    case dtype::bf16: return static_cast<float>(static_cast<bf16>(v));
    default: return v;
  }
}

/// Gains over their factors, as the file can have them; the factors become what that has made of them.
void divide_gain(editable_model& model, std::string const& name, std::vector<float>& factors) {
  auto gain = model.find(name);
  if (!gain || gain->values.size() != factors.size()) throw wrong(name, "is missing", "none", "the norm in front");
  double const one = model.config().norm_from_one ? 1 : 0;
  for (std::size_t j = 0; j < factors.size(); ++j) {
    double const before = one + static_cast<double>(gain->values[j]);
    float const  to     = stored(gain->stored, static_cast<float>(before / static_cast<double>(factors[j]) - one));
    double const after  = one + static_cast<double>(to);
    bool const   usable = before / after > 0 && std::isfinite(before / after);  // not where a gain is, or becomes, zero
    factors[j]          = usable ? static_cast<float>(before / after) : 1.f;
    if (usable) gain->values[j] = to;
  }
  model.set_values(name, std::move(gain->values));
}

void multiply_columns(editable_model& model, std::size_t i, char const* module, std::vector<float> const& factors) {
  auto w = model.matrix(i, module);
  throw_if(scale_channels(dense(w.values.data(), w.shape[0], w.shape[1]),
                          dense(factors.data(), static_cast<index_t>(factors.size()))));
  model.set_matrix(i, module, std::move(w.values));
}

}  // namespace

char const* norm_in_front(model_config const& config, linear_site const& site) {
  if (site.what == stage::attention_norm) return "input_layernorm";
  if (site.what != stage::mlp_norm) return nullptr;
  // Where nothing is normed behind the attention, the norm before the MLP has the name.
  return config.norms_after ? "pre_feedforward_layernorm" : "post_attention_layernorm";
}

std::vector<index_t> tied_inputs(layer_shape const& s, linear_site const& site) {
  std::vector<index_t> tied;
  if (site.what != stage::attention || s.heads == s.kv_heads) return tied;
  for (index_t h = 0; h < s.heads; ++h)
    for (index_t d = 0; d < s.head_dim; ++d) tied.push_back(h / (s.heads / s.kv_heads) * s.head_dim + d);
  return tied;
}

void fold_factors(editable_model& model, std::size_t i, linear_site const& site, std::vector<float>& factors) {
  if (char const* const norm = norm_in_front(model.config(), site)) {
    divide_gain(model, layer_prefix(i) + norm + ".weight", factors);
    for (char const* const module : site.modules()) multiply_columns(model, i, module, factors);
    return;
  }
  bool const         values = site.what == stage::attention;
  char const* const  writer = values ? "self_attn.v_proj" : "mlp.up_proj";
  layer_shape const& s      = model.config().shapes[i];
  auto               rows = model.matrix(i, writer), columns = model.matrix(i, site.matrices[0]);
  auto               bias = model.bias(i, writer);
  // One factor for each row of the writer, as what the row is multiplied by.
  std::vector<double> inverse;
  index_t const       group = values ? s.heads / s.kv_heads : 1, width = values ? s.head_dim : s.intermediate;
  for (index_t r = 0; r < rows.shape[0]; ++r)
    inverse.push_back(1 /
                      static_cast<double>(factors[static_cast<std::size_t>(r / width * group * width + r % width)]));
  auto const  w = dense(rows.values.data(), rows.shape[0], rows.shape[1]);
  auto const  c = dense(columns.values.data(), columns.shape[0], columns.shape[1]);
  auto const  b = dense(bias.data(), static_cast<index_t>(bias.size()));
  auto const  f = dense(std::as_const(inverse).data(), static_cast<index_t>(inverse.size()));
  fold_report report;
  if (values) throw_if(scale_value_heads(report, w, b, c, f, s.heads, s.kv_heads));
  else throw_if(scale_pair(report, w, b, c, f));
  model.set_matrix(i, writer, std::move(rows.values));
  model.set_matrix(i, site.matrices[0], std::move(columns.values));
  if (!bias.empty()) model.set_bias(i, writer, std::move(bias));
}

}  // namespace tenon::engine
