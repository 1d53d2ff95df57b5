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
  char const*                stage;
  std::array<char const*, 3> modules;  // null: fewer
};
constexpr site sites[] = {{"attention_norm", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                          {"attention", {"self_attn.o_proj", nullptr, nullptr}},
                          {"mlp_norm", {"mlp.gate_proj", "mlp.up_proj", nullptr}},
                          {"gated", {"mlp.down_proj", nullptr, nullptr}}};

quantized_weight quantized(tensor_view<float const, 2> w, gram_statistics const& gram, quantize_choice choice,
                           quantize_method method, std::int64_t hidden, std::string const& name) {
  if (method == quantize_method::nearest || choice == quantize_choice::fp8)
    return quantize(choice, hidden, w, name).weight;
  quantized_weight q;
  throw_if(gptq(q, w, gram, format_of(choice, hidden)));
  return q;
}

}  // namespace

std::vector<quantized_module> quantize_model(editable_model& model, model_opener const& open, token_texts const& texts,
                                             scorer_options const& options, quantize_choice choice,
                                             quantize_method method) {
  std::vector<quantized_module> done;
  for (std::size_t i = 0; i < model.layers(); ++i) {
    std::array<gram_accumulator, std::size(sites)> rows;
    {
      auto const   now = open(model);
      stage_reader reader(*now, [&](tap_site const& s, std::vector<float>& values) {
        for (std::size_t k = 0; k < rows.size(); ++k)
          if (s.layer == static_cast<int>(i) && std::string_view(s.name) == sites[k].stage)
            throw_if(rows[k].add(
                dense(std::as_const(values).data(), static_cast<index_t>(s.rows), static_cast<index_t>(s.width))));
        return false;
      });
      each_step(texts, options, [&](step_batch const& step, bool) { reader.feed(step); });
    }
    for (std::size_t k = 0; k < rows.size(); ++k) {
      if (rows[k].rows() == 0) continue;  // a half that the layer does not have
      gram_statistics const gram = rows[k].take();
      for (char const* const module : sites[k].modules) {
        if (module == nullptr) continue;
        std::string const             name = "model.layers." + std::to_string(i) + "." + module;
        editable_model::tensor const& t    = model.matrix(name);
        quantized_weight const   q = quantized(dense(t.values.data(), t.shape[0], t.shape[1]), gram, choice, method,
                                               model.config().hidden, name);
        std::vector<float> const values = q.dequantized();
        std::vector<double>      whole(values.size()), off(values.size());
        for (std::size_t j = 0; j < values.size(); ++j)
          whole[j] = static_cast<double>(t.values[j]), off[j] = static_cast<double>(values[j]) - whole[j];
        tensor_error error;
        throw_if(error.add(std::span<float const>(t.values), std::span<float const>(values)));
        double const all = output_error(gram, whole);
        done.push_back({name, all > 0 ? std::sqrt(output_error(gram, off) / all) : 0, error.sqnr()});
        model.set_codes(name, q, choice);
      }
    }
  }
  return done;
}

}  // namespace tenon::engine
