#include "engine/commands/compress_report.hpp"

#include <algorithm>
#include <cstdio>

namespace tenon::engine {

nlohmann::ordered_json to_json(merged_adapter const& a) {
  nlohmann::ordered_json j;
  for (merged_module const& m : a.modules)
    j["modules"].push_back({{"name", m.name},
                            {"rank", m.rank},
                            {"scale", m.scale},
                            {"weight_change", m.change},
                            {"lost_to_rounding", m.rounding}});
  j["replaced"] = a.replaced, j["untied_head"] = a.untied;
  return j;
}

namespace {

nlohmann::ordered_json to_json(logits_change const& c) {
  return {{"positions", c.positions}, {"relative_l2", c.relative_l2}, {"other_choices", c.other_choices}, {"kl", c.kl}};
}

}  // namespace

nlohmann::ordered_json to_json(folded_norms const& f) {
  nlohmann::ordered_json j;
  j["folded"] = f.folded, j["left"] = f.left, j["untied_head"] = f.untied;
  j["weights"] = f.weights.values, j["weights_rounded"] = f.weights.rounded;
  j["largest_weight_error"] = f.weights.largest_error, j["lossy"] = f.weights.lossy();
  j["logits_f32"] = to_json(f.fold), j["logits_stored"] = to_json(f.stored);
  return j;
}

nlohmann::ordered_json to_json(head_cut const& c) {
  return {{"layer", c.layer},
          {"heads_before", c.before.heads},
          {"heads", c.after.heads},
          {"kv_heads_before", c.before.kv_heads},
          {"kv_heads", c.after.kv_heads},
          {"kept", c.kept},
          {"output_error_plain", c.plain},
          {"output_error", c.fitted}};
}

std::string text_of_structure(nlohmann::ordered_json const& report) {
  std::string text;
  auto const  line = [&](char const* format, auto... values) {
    char buffer[200];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text += buffer;
  };
  if (report.contains("lora")) {
    double least = 1, most = 0, lost = 0;
    for (auto const& m : report["lora"]["modules"]) {
      double const change = m["weight_change"].get<double>();
      least = std::min(least, change), most = std::max(most, change);
      lost = std::max(lost, m["lost_to_rounding"].get<double>());
    }
    line("adapter merged into %zu matrices, which change by %.4f to %.4f; rounding lost %.2g of that at most\n",
         report["lora"]["modules"].size(), std::min(least, most), most, lost);
  }
  if (report.contains("fold_norms")) {
    auto const& f = report["fold_norms"];
    line("%zu norms folded%s: logits change by %.2g, relative; %d of %d positions say something else\n",
         f["folded"].size(), f["untied_head"].get<bool>() ? ", the head untied" : "",
         f["logits_f32"]["relative_l2"].get<double>(), f["logits_f32"]["other_choices"].get<int>(),
         f["logits_f32"]["positions"].get<int>());
    if (f["lossy"].get<bool>())
      line("storing the weights in their 16 bits rounds them again: logits change by %.2g, relative, kl %.2g\n",
           f["logits_stored"]["relative_l2"].get<double>(), f["logits_stored"]["kl"].get<double>());
  }
  if (report.contains("heads")) {
    text += "layer  heads over kv heads     error of the output, plain and fitted\n";
    for (auto const& h : report["heads"])
      line("%5d  %3d/%-3d -> %3d/%-3d       %8.4f  %8.4f\n", h["layer"].get<int>(), h["heads_before"].get<int>(),
           h["kv_heads_before"].get<int>(), h["heads"].get<int>(), h["kv_heads"].get<int>(),
           h["output_error_plain"].get<double>(), h["output_error"].get<double>());
  }
  return text;
}

}  // namespace tenon::engine
