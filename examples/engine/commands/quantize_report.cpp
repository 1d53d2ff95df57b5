#include "engine/commands/quantize_report.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace tenon::engine {

namespace {

using json = nlohmann::ordered_json;

char const* name_of(code_method m) { return m == code_method::gptq ? "gptq" : m == code_method::awq ? "awq" : "rtn"; }

template <class T>
json or_null(std::optional<T> const& v) {
  return v ? json(*v) : json(nullptr);
}

}  // namespace

void add_to_report(json& report, quantized_layers const& done) {
  for (quantized_module const& m : done.modules)
    report["modules"].push_back({{"name", m.name},
                                 {"method", name_of(m.method)},
                                 {"output_error", m.output_error},
                                 {"sqnr_db", m.sqnr},
                                 {"clip_share", m.clip_share}});
  for (quantized_site const& s : done.sites) {
    if (!s.awq_ratio && s.error_fixed == 0) continue;
    json& one = report["activations"].emplace_back(json{{"layer", s.layer}, {"inputs", s.name}});
    if (s.awq_ratio) one["awq_ratio"] = *s.awq_ratio;
    if (s.error_fixed == 0) continue;
    one["scale"]         = s.scale ? "static" : "dynamic";
    one["input_scale"]   = or_null(s.scale);
    one["error_dynamic"] = s.error_dynamic, one["error_static"] = s.error_fixed;
  }
  for (cache_scales const& c : done.caches)
    report["kv_scales"].push_back({{"layer", c.layer}, {"k_scale", c.k}, {"v_scale", c.v}});
}

std::string quantize_text(json const& report) {
  if (!report.contains("modules")) return {};
  std::string text;
  auto const  line = [&](char const* format, auto... values) {
    char buffer[200];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text += buffer;
  };
  double worst = 0, sum = 0;
  int    rounded = 0;
  for (auto const& m : report["modules"]) {
    double const e = m["output_error"].get<double>();
    worst          = std::max(worst, e), sum += e, rounded += m["method"] == "rtn";
  }
  line("%zu matrices in %s, %d of them rounded: error of their outputs %.4f in the mean, %.4f at most\n",
       report["modules"].size(), report["quantize"].get<std::string>().c_str(), rounded,
       sum / static_cast<double>(report["modules"].size()), worst);
  if (report.contains("activations") && report["activations"][0].contains("scale")) {
    text += "layer  inputs          error of the outputs, dynamic and static\n";
    for (auto const& s : report["activations"])
      line("%5zu  %-14s  %8.5f  %8.5f  %s\n", s["layer"].get<std::size_t>(), s["inputs"].get<std::string>().c_str(),
           s["error_dynamic"].get<double>(), s["error_static"].get<double>(), s["scale"].get<std::string>().c_str());
  }
  if (report.contains("kv_scales"))
    for (auto const& c : report["kv_scales"])
      line("layer %zu: k_scale %.6g, v_scale %.6g\n", c["layer"].get<std::size_t>(), c["k_scale"].get<double>(),
           c["v_scale"].get<double>());
  return text;
}

}  // namespace tenon::engine
