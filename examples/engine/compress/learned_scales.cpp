#include "engine/compress/learned_scales.hpp"

#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/throw_if.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "engine/compress/linear_sites.hpp"
#include "engine/error.hpp"
#include "engine/model/quantized_linear.hpp"
#include "engine/model/weight_loader.hpp"

namespace tenon::engine {

namespace {

bool is_plain(dtype t) { return t == dtype::f32 || t == dtype::f16 || t == dtype::bf16; }

/// "model.layers.0.mlp.up_proj.weight_scale" -> "weight_scale"; with a quantizer's name: "weight_quantizer._amax".
std::string_view part_of(std::string_view name) {
  std::size_t at = name.rfind('.');
  if (at == std::string_view::npos) return name;
  if (std::size_t const before = name.rfind('.', at - 1);
      before != std::string_view::npos && name.substr(before, at - before).ends_with("_quantizer"))
    at = before;
  return name.substr(at + 1);
}

bool is_scale(std::string_view part) {
  return part == "weight_scale" || part == "input_scale" || part.find("_quantizer.") != std::string_view::npos;
}

template <class T>
std::vector<T> elements(tensor_info const& t) {
  std::vector<T> v(t.bytes.size() / sizeof(T));
  if (!v.empty()) std::memcpy(v.data(), t.bytes.data(), t.bytes.size());
  return v;
}

/// f(std::vector<T>) of a tensor of 16 or 32 bits.
template <class F>
auto visit_elements(tensor_info const& t, std::string const& file, F const& f) {
  switch (t.type) {
    case dtype::f32: return f(elements<float>(t));
    case dtype::f16: return f(elements<f16>(t));
    case dtype::bf16: return f(elements<bf16>(t));
    default: throw wrong(file + ": tensor " + t.name, "has an unsupported type", name_of(t.type), "F32, F16 or BF16");
  }
}

std::vector<float> floats(tensor_info const& t, std::string const& file) {
  return visit_elements(t, file, [](auto const& v) { return std::vector<float>(v.begin(), v.end()); });
}

float largest_code_of(weight_code code) {
  return code == weight_code::int4 ? 7.f : code == weight_code::int8 ? 127.f : 448.f;
}

/// Scales of one module, and the tensor that they come from.
struct found_scales {
  tensor_info const* from = nullptr;
  std::vector<float> values;
};

/// NAME.`plain` as it is, or NAME.`quantizer` as a largest magnitude; none where there is neither. `sign`: whether a
/// scale may be below 0, as those of integers may.
std::optional<found_scales> scales_of(checkpoint const& files, std::string const& name, char const* plain,
                                      char const* quantizer, float largest, bool sign) {
  found_scales s;
  s.from               = files.find(name + "." + plain);
  bool const magnitude = s.from == nullptr;
  if (magnitude) s.from = files.find(name + "." + quantizer);
  if (s.from == nullptr) return {};
  s.values = floats(*s.from, files.name());
  for (std::size_t i = 0; i < s.values.size(); ++i) {
    if (magnitude) s.values[i] /= largest;
    float const v      = s.values[i];
    bool const  finite = std::abs(v) <= std::numeric_limits<float>::max(), positive = v >= 0;
    if (!finite || (!positive && (magnitude || !sign)))
      throw wrong(files.name() + ": tensor " + s.from->name, "has an element that is no scale",
                  std::to_string(v) + " at " + std::to_string(i), finite ? "numbers not below 0" : "finite numbers");
  }
  return s;
}

/// A matrix and how many scales it has.
struct scaled_matrix {
  std::size_t        layer = 0;
  std::string        module, name;  // "mlp.up_proj", "model.layers.0.mlp.up_proj"
  tensor_info const* weight = nullptr;
  found_scales       scales;

  index_t rows() const { return weight->shape[0]; }
  index_t columns() const { return weight->shape[1]; }
  bool    shared() const { return scales.values.size() == 1; }
  /// Scales per row.
  index_t groups() const { return shared() ? 1 : static_cast<index_t>(scales.values.size()) / rows(); }
  bool    grouped_by(index_t group) const { return (columns() + group - 1) / group == groups(); }
};

/// Columns that share a scale, in all matrices alike; 0: a whole row. Files do not say it, and the last group of a row
/// may be a partial one: what divides every row goes before powers of two, and these before other multiples of eight.
int common_group(std::vector<scaled_matrix> const& all, std::string const& file) {
  index_t longest = 0;
  bool    grouped = false;
  for (auto const& m : all) longest = std::max(longest, m.columns()), grouped = grouped || m.groups() > 1;
  if (!grouped) return 0;
  int best = 0, rank = 0;
  for (index_t group = 1; group < longest; ++group) {
    bool fits = true, divides = true;
    for (auto const& m : all) {
      fits    = fits && m.grouped_by(group) && !(m.shared() && m.rows() > 1);
      divides = divides && m.columns() % group == 0;
    }
    int const here = divides ? 3 : (group & (group - 1)) == 0 ? 2 : group % 8 == 0 ? 1 : 0;
    if (fits && here > rank) best = static_cast<int>(group), rank = here;
  }
  if (best == 0) throw wrong(file, "scales of its matrices differ in form", "no group of columns that fits all", "one");
  return best;
}

/// Inputs whose channels were scaled in training are not the engine's inputs.
void refuse_smoothed_inputs(checkpoint const& files, std::string const& name) {
  tensor_info const* const t = files.find(name + ".input_quantizer._pre_quant_scale");
  if (t == nullptr) return;
  for (float const v : floats(*t, files.name()))
    if (v != 1)
      throw wrong(files.name() + ": tensor " + t->name, "scales the inputs' channels", std::to_string(v),
                  "1: fold it into what comes before");
}

/// Scales that cannot be those of the weights: of another matrix, inverted, or under another name's meaning.
void refuse_foreign_scales(checkpoint const& files, quantized_weight const& q, grid_report const& r,
                           std::string const& name, tensor_info const& scales) {
  std::string const subject = files.name() + ": tensor " + scales.name;
  if (r.saturated_part() > most_saturated)
    throw wrong(subject, "cannot be the scale of " + name,
                std::to_string(static_cast<int>(100 * r.saturated_part())) + " % of its weights beyond the last code",
                "at most 5 %");
  if (q.format.code == weight_code::fp8 || r.on_grid == r.weights) return;
  float reach = 0;
  for (index_t i = 0; i < q.rows; ++i)
    for (index_t j = 0; j < q.columns; ++j) reach = std::max(reach, std::abs(q.number(i, j)));
  if (reach < largest_code_of(q.format.code) / 8)
    throw wrong(subject, "cannot be the scale of " + name, "no code beyond " + std::to_string(static_cast<int>(reach)),
                "codes beyond an eighth of the range");
}

}  // namespace

bool has_learned_scales(checkpoint const& files) {
  for (std::string const& name : files.names()) {
    std::string_view const part = part_of(name);
    if (part != "weight_scale" && part != "weight_quantizer._amax") continue;
    tensor_info const* const w = files.find(name.substr(0, name.size() - part.size()) + "weight");
    if (w != nullptr && is_plain(w->type)) return true;
  }
  return false;
}

checkpoint without_learned_scales(checkpoint const& files) {
  std::vector<tensor_info> list;
  for (std::string const& name : files.names())
    if (!is_scale(part_of(name))) list.push_back(files.at(name));
  return {files.name(), std::move(list)};
}

learned_layers quantize_with_learned_scales(editable_model& model, checkpoint const& files, quantize_choice choice,
                                            std::function<void(std::size_t)> const& done) {
  learned_layers    all;
  weight_code const code    = format_of(choice, 0).code;
  float const       largest = largest_code_of(code);
  bool const        inputs  = choice == quantize_choice::w8a8 || choice == quantize_choice::fp8;

  // What there is, before anything is changed.
  std::vector<scaled_matrix> matrices;
  std::vector<cache_scales>  caches;
  load_options const         unchanged{};
  weight_loader const        loader(model.config(), &files, 0, number_format::f32, unchanged);
  for (std::size_t i = 0; i < model.layers(); ++i) {
    if (auto const kv = loader.kv_scales(i); !kv.empty()) caches.push_back({i, kv[0], kv[1]});
    for (linear_site const& site : linear_sites) {
      if (!model.has(i, site.half())) continue;
      for (char const* const module : site.modules()) {
        scaled_matrix m{i, module, layer_prefix(i) + module, nullptr, {}};
        auto          scales =
            scales_of(files, m.name, "weight_scale", "weight_quantizer._amax", largest, code != weight_code::fp8);
        if (!scales) {
          all.kept.push_back(m.name);
          continue;
        }
        refuse_smoothed_inputs(files, m.name);
        m.weight = &files.at(m.name + ".weight"), m.scales = std::move(*scales);
        if (m.weight->shape.size() != 2 || m.rows() == 0)
          throw wrong(files.name() + ": tensor " + m.weight->name, "is no matrix",
                      std::to_string(m.weight->shape.size()) + " extents", "two, with rows");
        auto const count = static_cast<index_t>(m.scales.values.size());
        if (!m.shared() && (count % m.rows() != 0 || count == 0 || m.groups() > m.columns()))
          throw wrong(files.name() + ": tensor " + m.scales.from->name, "has the wrong number of scales",
                      std::to_string(count), "1, or as many for each of " + std::to_string(m.rows()) + " rows");
        matrices.push_back(std::move(m));
      }
    }
  }
  all.format = {.code = code, .group = common_group(matrices, files.name())};
  all.caches = caches.size();

  for (cache_scales const& c : caches) model.set_kv_scales(c);
  auto next = matrices.begin();
  for (std::size_t i = 0; i < model.layers(); ++i) {
    for (; next != matrices.end() && next->layer == i; ++next) {
      scaled_matrix const&              from = *next;
      learned_module                    m{from.name, {}, false};
      quantized_weight                  q;
      index_t const                     groups = from.groups();
      tensor_view<float const, 2> const s{
          from.scales.values.data(),
          {from.rows(), groups},
          {from.shared() ? index_t{0} : groups, from.shared() ? index_t{0} : index_t{1}}};
      status const made = visit_elements(*from.weight, files.name(), [&](auto const& w) {
        return quantize_on_grid(q, m.grid, dense(w.data(), from.rows(), from.columns()), all.format, s);
      });
      if (!made.ok()) throw error(files.name() + ": module " + m.name + ": " + describe(made));
      refuse_foreign_scales(files, q, m.grid, m.name, *from.scales.from);

      auto const x = scales_of(files, m.name, "input_scale", "input_quantizer._amax", largest, false);
      if (x && inputs) {
        if (x->values.size() != 1 || x->values[0] == 0)
          throw wrong(files.name() + ": tensor " + x->from->name, "is no scale of all inputs",
                      x->values.size() == 1 ? "0" : std::to_string(x->values.size()) + " numbers",
                      "one number above 0");
        q.input_scale  = x->values[0];
        m.fixed_inputs = true;
      }
      model.set_codes(i, from.module, std::move(q), choice);
      all.modules.push_back(std::move(m));
    }
    if (done) done(i);
  }
  if (all.modules.empty())
    throw wrong(files.name(), "has no learned scales", "none", "NAME.weight_scale or NAME.weight_quantizer._amax");

  for (std::string const& name : files.names()) {
    std::string_view const part  = part_of(name);
    bool const             taken = part == "weight_scale" || part == "weight_quantizer._amax" ||
                       part == "input_quantizer._pre_quant_scale" ||
                       (inputs && (part == "input_scale" || part == "input_quantizer._amax"));
    if (is_scale(part) && !taken) all.ignored.push_back(name);
  }
  return all;
}

}  // namespace tenon::engine
