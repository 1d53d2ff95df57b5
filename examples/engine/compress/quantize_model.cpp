#include "engine/compress/quantize_model.hpp"

#include <tenon/compress/gptq.hpp>
#include <tenon/compress/gram.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/precision/tensor_error.hpp>

#include <array>
#include <cmath>
#include <span>
#include <string_view>
#include <utility>

#include "engine/model/quantized_linear.hpp"

namespace tenon::engine {

namespace {

/// A stage, and the modules that read it.
struct site {
  stage                      what;
  std::array<char const*, 3> modules;  // null: fewer
};
constexpr site sites[] = {{stage::attention_norm, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                          {stage::attention, {"self_attn.o_proj", nullptr, nullptr}},
                          {stage::mlp_norm, {"mlp.gate_proj", "mlp.up_proj", nullptr}},
                          {stage::gated, {"mlp.down_proj", nullptr, nullptr}}};

/// By GPTQ where that is asked for, possible, and the inputs allow it; else to nearest. `method` becomes what it was.
quantized_weight quantized(tensor_view<float const, 2> w, gram_statistics const& gram, quantize_choice choice,
                           std::int64_t hidden, std::string const& name, quantize_method& method) {
  if (choice == quantize_choice::fp8) method = quantize_method::nearest;
  if (method == quantize_method::gptq) {
    quantized_weight q;
    status const     s = gptq(q, w, gram, format_of(choice, hidden));
    if (s.ok()) return q;
    if (std::string_view(s.subject) != "pivot") throw_if(s);
    method = quantize_method::nearest;  // the Gram matrix has no factor, whatever the damping
  }
  return quantize(choice, hidden, w, name).weight;
}

}  // namespace

std::vector<quantized_module> quantize_model(editable_model& model, model_opener const& open, token_texts const& texts,
                                             scorer_options const& options, quantize_choice choice,
                                             quantize_method method) {
  std::vector<quantized_module> done;
  for (std::size_t i = 0; i < model.layers(); ++i) {
    std::array<gram_accumulator, std::size(sites)> rows;
    {
      auto const         now = open(model);
      stage_reader const look(*now, [&](tap_site const& s, std::vector<float>& values) {
        for (std::size_t k = 0; k < rows.size(); ++k)
          if (s.layer == static_cast<int>(i) && s.what == sites[k].what)
            throw_if(rows[k].add(
                dense(std::as_const(values).data(), static_cast<index_t>(s.rows), static_cast<index_t>(s.width))));
        return false;
      });
      each_step(texts, options, [&](step_batch const& step, bool) { now->forward(step); });
    }
    for (std::size_t k = 0; k < rows.size(); ++k) {
      if (rows[k].rows() == 0) continue;  // a half that the layer does not have
      gram_statistics const gram = rows[k].take();
      for (char const* const module : sites[k].modules) {
        if (module == nullptr) continue;
        editable_model::tensor const& t    = model.matrix(i, module);
        std::string const             name = "model.layers." + std::to_string(i) + "." + module;
        quantize_method               used = method;
        quantized_weight const        q =
            quantized(dense(t.values.data(), t.shape[0], t.shape[1]), gram, choice, model.config().hidden, name, used);
        std::vector<float> const values = q.dequantized();
        std::vector<double>      whole(values.size()), off(values.size());
        for (std::size_t j = 0; j < values.size(); ++j)
          whole[j] = static_cast<double>(t.values[j]), off[j] = static_cast<double>(values[j]) - whole[j];
        tensor_error error;
        throw_if(error.add(std::span<float const>(t.values), std::span<float const>(values)));
        double const all = output_error(gram, whole);
        done.push_back({name, used, all > 0 ? std::sqrt(output_error(gram, off) / all) : 0, error.sqnr()});
        model.set_codes(i, module, q, choice);
      }
    }
  }
  return done;
}

}  // namespace tenon::engine
