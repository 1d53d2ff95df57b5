#include "engine/compress/quantize_model.hpp"

#include <tenon/compress/awq.hpp>
#include <tenon/compress/gptq.hpp>
#include <tenon/compress/gram.hpp>
#include <tenon/compress/observers.hpp>
#include <tenon/compress/smooth_quant.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/precision/tensor_error.hpp>
#include <tenon/quant/quantize_weight.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string_view>
#include <utility>

#include "engine/compress/cache_ranges.hpp"
#include "engine/compress/input_codes.hpp"
#include "engine/compress/layer_stream.hpp"
#include "engine/compress/linear_sites.hpp"
#include "engine/model/quantized_linear.hpp"

namespace tenon::engine {

namespace {

using rows_view = tensor_view<float const, 2>;

bool quantises_inputs(quantize_choice c) { return c == quantize_choice::w8a8 || c == quantize_choice::fp8; }

rows_view view_of(editable_model::tensor const& t) { return dense(t.values.data(), t.shape[0], t.shape[1]); }

/// f(k, rows) for each stage of a layer that is the input of site k.
template <class F>
tap each_site(F const& f) {
  return [&f](tap_site const& s, std::vector<float>& values) {
    for (std::size_t k = 0; k < linear_sites.size(); ++k)
      if (s.what == linear_sites[k].what)
        f(k, dense(std::as_const(values).data(), static_cast<index_t>(s.rows), static_cast<index_t>(s.width)));
    return false;
  };
}

/// Part of the weights that their codes do not reach.
double beyond_range(quantized_weight const& q, rows_view w) {
  std::int64_t out = 0;
  for (index_t i = 0; i < q.rows; ++i)
    for (index_t j = 0; j < q.columns; ++j) {
      float low = -464, high = 464;  // what still rounds to the largest code
      if (q.format.code == weight_code::int8) low = -128.5f, high = 127.5f;
      if (q.format.code == weight_code::int4) {
        auto const  group = static_cast<std::size_t>(i * q.groups() + (q.format.group > 0 ? j / q.format.group : 0));
        float const zero  = q.format.zero_points ? static_cast<float>(q.zeros[group]) : 8.f;
        low = -.5f - zero, high = 15.5f - zero;
      }
      float const v = w(i, j) / q.scale(i, j);
      out += v < low || v > high;
    }
  return w.size() > 0 ? static_cast<double>(out) / static_cast<double>(w.size()) : 0;
}

/// One layer on its way into codes.
class layer_quantizer {
 public:
  layer_quantizer(editable_model& model, std::size_t layer, quantize_choice choice, quantize_options const& how,
                  quantized_layers& report)
      : model_(model), i_(layer), choice_(choice), how_(how), report_(report) {}

  void run(layer_stream& stream, model_opener const& open, bool last) {
    gather(stream, open);
    if (how_.smooth || how_.method == code_method::awq) fold();
    if (how_.inputs != input_scales::dynamic && quantises_inputs(choice_)) choose_scales(stream, open);
    for (std::size_t k = 0; k < linear_sites.size(); ++k)
      if (present(k)) quantise(k);
    if (how_.kv_scales && model_.has(i_, layer_half::attention)) {
      cache_ranges ranges(model_, i_);
      stream.pass(model_, i_, open, ranges.reader());
      report_.caches.push_back({i_, ranges.k_scale(), ranges.v_scale()});
      model_.set_kv_scales(report_.caches.back());
    } else if (!last) {
      stream.pass(model_, i_, open);
    }
  }

 private:
  bool present(std::size_t k) const { return grams_[k].rows > 0; }  // the layer has that half

  void gather(layer_stream& stream, model_opener const& open) {
    std::array<gram_accumulator, 4> rows;
    auto const                      add = [&](std::size_t k, rows_view x) { throw_if(rows[k].add(x)); };
    stream.look(model_, i_, open, each_site(add));
    for (std::size_t k = 0; k < rows.size(); ++k) {
      grams_[k]       = rows[k].take();
      sites_[k].layer = i_, sites_[k].name = linear_sites[k].name;
    }
  }

  /// Factors of the inputs of each site into what writes them; the statistics are then those of the divided inputs.
  void fold() {
    for (std::size_t k = 0; k < linear_sites.size(); ++k) {
      if (!present(k)) continue;
      std::vector<editable_model::tensor> matrices;
      for (char const* const module : linear_sites[k].modules()) matrices.push_back(model_.matrix(i_, module));
      std::vector<rows_view> views;
      for (auto const& m : matrices) views.push_back(view_of(m));
      auto const         tied = tied_inputs(model_.config().shapes[i_], linear_sites[k]);
      std::vector<float> factors =
          how_.smooth ? smooth_factors(views, grams_[k], tied) : awq_factors_of(k, views, tied);
      fold_factors(model_, i_, linear_sites[k], factors);
      throw_if(scale_gram(grams_[k], factors));
    }
  }

  std::vector<float> smooth_factors(std::span<rows_view const> weights, gram_statistics const& gram,
                                    std::span<index_t const> tied) const {
    std::vector<float> inputs(gram.absmax.begin(), gram.absmax.end()), columns(inputs.size());
    auto const         n = gram.columns;
    for (rows_view const& w : weights) throw_if(column_absmax(dense(columns.data(), n), w));
    if (!tied.empty())
      for (auto* v : {&inputs, &columns}) {
        std::vector<float> most(v->size());
        for (std::size_t j = 0; j < v->size(); ++j) {
          float& m = most[static_cast<std::size_t>(tied[j])];
          m        = std::max(m, (*v)[j]);
        }
        for (std::size_t j = 0; j < v->size(); ++j) (*v)[j] = most[static_cast<std::size_t>(tied[j])];
      }
    std::vector<float> factors(inputs.size());
    throw_if(smooth_quant_factors(dense(factors.data(), n), dense(std::as_const(inputs).data(), n),
                                  dense(std::as_const(columns).data(), n), {.alpha = *how_.smooth}));
    return factors;
  }

  std::vector<float> awq_factors_of(std::size_t k, std::span<rows_view const> weights, std::span<index_t const> tied) {
    std::vector<float> factors;
    awq_report         did;
    throw_if(awq_factors(factors, weights, grams_[k], format(), {.method = scale_method(), .tied = tied}, &did));
    sites_[k].awq_ratio = did.ratio;
    return factors;
  }

  /// Fixed scales, and what they cost against those that are found as inputs come.
  void choose_scales(layer_stream& stream, model_opener const& open) {
    std::array<activation_histogram, 4> magnitudes;
    auto const                          count = [&](std::size_t k, rows_view x) { throw_if(magnitudes[k].add(x)); };
    stream.look(model_, i_, open, each_site(count));
    std::array<float, 4> scales{};
    for (std::size_t k = 0; k < scales.size(); ++k) {
      float range = 0;
      throw_if(activation_range(range, magnitudes[k], {.method = method_of(how_.range)}));
      scales[k] = static_scale(range, fp8() ? 448 : 127);
    }
    std::array<gram_accumulator, 4> dynamic, fixed;
    auto const                      compare = [&](std::size_t k, rows_view x) {
      throw_if(dynamic[k].add(input_errors(x, fp8(), 0, scratch_)));
      throw_if(fixed[k].add(input_errors(x, fp8(), scales[k], scratch_)));
    };
    stream.look(model_, i_, open, each_site(compare));
    for (std::size_t k = 0; k < scales.size(); ++k) {
      if (!present(k)) continue;
      gram_statistics const by_token = dynamic[k].take(), by_file = fixed[k].take();
      double                whole = 0, found = 0, given = 0;
      for (char const* const module : linear_sites[k].modules()) {
        auto const                m = model_.matrix(i_, module);
        std::vector<double> const w(m.values.begin(), m.values.end());
        whole += output_error(grams_[k], w), found += output_error(by_token, w), given += output_error(by_file, w);
      }
      quantized_site& site = sites_[k];
      site.error_dynamic   = whole > 0 ? std::sqrt(found / whole) : 0;
      site.error_fixed     = whole > 0 ? std::sqrt(given / whole) : 0;
      if (how_.inputs == input_scales::fixed || !loses(site)) site.scale = scales[k];
    }
  }

  /// A fixed scale does harm where it spoils a part of the outputs that counts, and scales of tokens would not.
  static bool loses(quantized_site const& s) { return s.error_fixed > .02 && s.error_fixed > 2 * s.error_dynamic; }

  static range_method method_of(input_range r) {
    switch (r) {
      case input_range::percentile: return range_method::percentile;
      case input_range::squared_error: return range_method::squared_error;
      case input_range::entropy: return range_method::entropy;
      default: return range_method::max;
    }
  }

  void quantise(std::size_t k) {
    for (char const* const module : linear_sites[k].modules()) {
      editable_model::tensor const t = model_.matrix(i_, module);
      quantized_module             m{layer_prefix(i_) + module, how_.method};
      quantized_weight             q      = codes_of(view_of(t), grams_[k], module, m);
      std::vector<float> const     values = q.dequantized();
      std::vector<double>          whole(values.size()), off(values.size());
      for (std::size_t j = 0; j < values.size(); ++j)
        whole[j] = static_cast<double>(t.values[j]), off[j] = static_cast<double>(values[j]) - whole[j];
      tensor_error error;
      throw_if(error.add(std::span<float const>(t.values), std::span<float const>(values)));
      double const all = output_error(grams_[k], whole);
      m.output_error   = all > 0 ? std::sqrt(output_error(grams_[k], off) / all) : 0;
      m.sqnr = error.sqnr(), m.clip_share = beyond_range(q, view_of(t));
      report_.modules.push_back(std::move(m));
      q.input_scale = sites_[k].scale;
      model_.set_codes(i_, module, std::move(q), choice_);
    }
    report_.sites.push_back(sites_[k]);
  }

  bool fp8() const { return choice_ == quantize_choice::fp8 || choice_ == quantize_choice::fp8_block; }

  weight_format format() const {
    weight_format f = format_of(choice_, model_.config().hidden);
    f.zero_points   = how_.zero_points.value_or(how_.method == code_method::awq && f.code == weight_code::int4);
    return f;
  }

  /// How the scale of a group is found. With zero points AWQ takes ranges as they are: which part of a range is best is then for the
  /// clip search to say, which asks the outputs, and a search by the weights alone would undo its answers. Without them, signs and
  /// sizes have to be searched.
  weight_scale_method scale_method() const {
    bool const plain = fp8() || (how_.method == code_method::awq && format().zero_points);
    return plain ? weight_scale_method::absmax : weight_scale_method::searched;
  }

  /// By the method that is asked for, where it can; else to nearest. `m.method` becomes what it was.
  quantized_weight codes_of(rows_view w, gram_statistics const& gram, std::string_view module,
                            quantized_module& m) const {
    quantized_weight q;
    if (fp8()) m.method = code_method::nearest;
    if (m.method == code_method::gptq) {
      status const s = gptq(q, w, gram, format());
      if (s.ok()) return q;
      if (std::string_view(s.subject) != "pivot") throw_if(s);
      m.method = code_method::nearest;  // the Gram matrix has no factor, whatever the damping
    }
    // Errors of q and k multiply in the scores: AWQ leaves both unclipped.
    bool const         scores = module == "self_attn.q_proj" || module == "self_attn.k_proj";
    std::vector<float> clipped;
    if (m.method == code_method::awq && how_.clip && !scores) {
      clipped.reserve(static_cast<std::size_t>(w.size()));
      for (index_t i = 0; i < w.extent[0]; ++i)
        for (index_t j = 0; j < w.extent[1]; ++j) clipped.push_back(w(i, j));
      throw_if(awq_clip(dense(clipped.data(), w.extent[0], w.extent[1]), gram, format(), {.method = scale_method()}));
      w = dense(std::as_const(clipped).data(), w.extent[0], w.extent[1]);
    }
    throw_if(quantize_weight(q, w, format(), {.method = scale_method()}));
    return q;
  }

  editable_model&                model_;
  std::size_t                    i_;
  quantize_choice                choice_;
  quantize_options const&        how_;
  quantized_layers&              report_;
  std::array<gram_statistics, 4> grams_;
  std::array<quantized_site, 4>  sites_;
  std::vector<float>             scratch_;
};

}  // namespace

quantized_layers quantize_model(editable_model& model, model_opener const& open, token_texts const& texts,
                                scorer_options const& options, quantize_choice choice, quantize_options const& how,
                                std::function<void(std::size_t)> const& done) {
  quantized_layers report;
  layer_stream     stream(model, texts, options);
  for (std::size_t i = 0; i < model.layers(); ++i) {
    layer_quantizer(model, i, choice, how, report).run(stream, open, i + 1 == model.layers());
    if (done) done(i);
  }
  return report;
}

}  // namespace tenon::engine
