//  tenon compress: a smaller model from a model, and a report of what it cost.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/commands/compress_report.hpp"
#include "engine/commands/learned_scales_report.hpp"
#include "engine/commands/quantize_report.hpp"
#include "engine/commands/requests.hpp"
#include "engine/commands/scored_texts.hpp"
#include "engine/commands/setup.hpp"
#include "engine/commands/workbench.hpp"
#include "engine/compress/depth_cut.hpp"
#include "engine/compress/editable_model.hpp"
#include "engine/compress/learned_scales.hpp"
#include "engine/compress/model_saver.hpp"
#include "engine/compress/quantize_model.hpp"
#include "engine/compress/self_text.hpp"
#include "engine/compress/width_cut.hpp"
#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

namespace {

char const* name_of(cut_kind k) {
  return k == cut_kind::layer ? "layer" : k == cut_kind::attention ? "attention" : "mlp";
}

nlohmann::ordered_json to_json(cut_step const& s) {
  nlohmann::ordered_json j;
  j["kind"] = name_of(s.kind), j["layer"] = s.layer;
  for (cut_candidate const& c : s.candidates) {
    auto& one    = j["candidates"].emplace_back();
    one["layer"] = c.layer, one["kl_plain"] = c.plain;
    one["kl_healed"] = c.healed ? nlohmann::ordered_json(*c.healed) : nlohmann::ordered_json(nullptr);
    one["kl"]        = c.cost();
  }
  return j;
}

/// Of texts that the decoder takes: long ones are cut into pieces.
token_texts pieces_of(token_texts const& texts, std::size_t length) {
  token_texts pieces;
  for (auto const& ids : texts)
    for (std::size_t first = 0; first + 1 < ids.size(); first += length) {
      auto const begin = ids.begin() + static_cast<std::ptrdiff_t>(first);
      pieces.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(std::min(length, ids.size() - first)));
    }
  return pieces;
}

token_texts calibration_texts(options const& from, model_files const& files, editable_model const& model,
                              workbench const& bench) {
  auto const length = bench.scoring().max_length;
  if (from.text_file.empty() && from.ids_file.empty()) {
    auto const itself = bench.open(model);
    return self_sampled(*itself, first_token(files), from.compress.texts, length, from.sampling.seed.value_or(0),
                        bench.scoring());
  }
  auto pieces = pieces_of(texts_of(from.text_file, from.ids_file, files), static_cast<std::size_t>(length));
  if (pieces.empty())
    throw wrong(from.text_file + from.ids_file, "holds nothing to calibrate with", "fewer than 2 tokens", "at least 2");
  return pieces;
}

unit_options units_of(options const& from) {
  unit_options o;
  o.heal = from.compress.heal;
  if (from.compress.random_units) o.drawn_by = from.sampling.seed.value_or(0);
  return o;
}

/// Layers and halves go, the cheapest first.
void cut_depth(nlohmann::ordered_json& report, editable_model& model, model_opener const& open,
               token_texts const& texts, workbench const& bench, compress_options const& c) {
  depth_cutter const    cutter(model, open, texts, bench.scoring(), c.heal);
  layer_influence const influence = cutter.influence();
  report["block_influence"] = influence.block_influence, report["angular_distance"] = influence.angular_distance;
  for (auto const& [kind, count] : {std::pair{cut_kind::layer, c.drop_layers},
                                    {cut_kind::attention, c.drop_attention},
                                    {cut_kind::mlp, c.drop_mlp}})
    for (std::int64_t i = 0; i < count; ++i) report["cuts"].push_back(to_json(cutter.cut(model, kind)));
}

/// The files that were written against the model as it was, each text at the model's full length.
nlohmann::ordered_json evaluation_of(options const& from, model_files const& files, editable_model const& original) {
  compress_options const& c = from.compress;
  workbench const         bench(from, files.config, 1, std::int64_t{1} << 13);
  model_config const      written = read_model_config(c.out);
  checkpoint const        weights(c.out);
  auto const              tested = bench.open(written, weights), reference = bench.open(original);
  score                   s, alone;
  for (auto const& ids : texts_of(c.eval_text, c.eval_ids, files)) {
    score_text(*tested, reference.get(), ids, bench.scoring(), s);
    score_text(*reference, nullptr, ids, bench.scoring(), alone);
  }
  nlohmann::ordered_json j;
  j["tokens"] = s.tokens, j["nll"] = s.mean_nll(), j["nll_original"] = alone.mean_nll();
  j["perplexity_change"] = std::exp(s.mean_nll() - alone.mean_nll()) - 1;
  j["kl"] = s.against.mean_kl(), j["kl_stderr"] = s.against.kl_standard_error();
  j["top1_agreement"] = s.against.top1_agreement(), j["not_finite"] = s.against.broken();
  return j;
}

std::string text_of(nlohmann::ordered_json const& report) {
  std::string text = learned_scales_text(report);
  auto const  line = [&](char const* format, auto... values) {
    char buffer[200];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text += buffer;
  };
  for (auto const& step : report["cuts"]) {
    line("%-9s  kl plain         kl\n", step["kind"].get<std::string>().c_str());
    for (auto const& c : step["candidates"])
      line("%9d  %8.4f  %9.4f%s\n", c["layer"].get<int>(), c["kl_plain"].get<double>(), c["kl"].get<double>(),
           c["layer"] == step["layer"] ? "  dropped" : "");
  }
  text += text_of_structure(report);
  if (report.contains("widths")) {
    text += "layer  neurons         error of the output, plain and fitted\n";
    for (auto const& w : report["widths"])
      line("%5d  %5d -> %5d  %8.4f  %8.4f\n", w["layer"].get<int>(), w["before"].get<int>(), w["after"].get<int>(),
           w["output_error_plain"].get<double>(), w["output_error"].get<double>());
  }
  text += quantize_text(report);
  line("parameters %lld -> %lld, bytes %lld -> %lld\n", report["parameters_before"].get<long long>(),
       report["parameters"].get<long long>(), report["bytes_before"].get<long long>(),
       report["bytes"].get<long long>());
  if (report.contains("evaluation")) {
    auto const& e = report["evaluation"];
    line("on %lld tokens of other text: kl %.4f +- %.4f nats, top-1 agreement %.3f, perplexity %+.2f %%\n",
         e["tokens"].get<long long>(), e["kl"].get<double>(), e["kl_stderr"].get<double>(),
         e["top1_agreement"].get<double>(), 100 * e["perplexity_change"].get<double>());
  }
  return text;
}

}  // namespace

int run_compress(options const& from) {
  compress_options const& c     = from.compress;
  auto const              start = std::chrono::steady_clock::now();
  namespace fs                  = std::filesystem;
  model_saver saver(c.out);

  bool const        reads_text = !from.text_file.empty() || !c.eval_text.empty();
  model_files const files      = open_model(from, reads_text ? text_use::needed : text_use::wanted);
  bool const        learned    = c.scales == scale_source::learned;
  if (!learned && c.scales != scale_source::found && !from.quantize.empty() && has_learned_scales(*files.weights))
    throw wrong("--quantize", "the checkpoint has scales of its own", "no --scales",
                "--scales learned to use them, --scales found to find others");
  checkpoint const       plain = without_learned_scales(*files.weights);
  editable_model         original(from.model, files.config, plain);
  std::uint64_t const    parameters_before = original.parameters();
  nlohmann::ordered_json report;
  if (!c.lora.empty()) report["lora"] = to_json(merge_adapter(original, c.lora));  // is the model from now on
  editable_model         model = original;
  head_cut_options const heads{c.cut_heads, c.cut_kv_heads, units_of(from)};
  check_heads(model, heads);  // now, not after hours of other steps
  workbench const    bench(from, files.config, c.texts, c.length);
  model_opener const open  = bench.opener();
  token_texts const  texts = learned ? token_texts{} : calibration_texts(from, files, original, bench);

  std::uint64_t bytes_before = 0;
  for (auto const& [type, bytes] : files.weights->bytes_by_dtype()) bytes_before += bytes;
  std::string const calibration = from.text_file + from.ids_file;
  report["calibration"]         = learned               ? "none: scales are learned"
                                  : calibration.empty() ? "sampled from the model"
                                                        : calibration;
  report["calibration_texts"]   = texts.size();
  report["cuts"]                = nlohmann::ordered_json::array();
  if (c.fold_norms) report["fold_norms"] = to_json(fold_norms(model, open, texts, bench.scoring()));
  if (c.drop_layers + c.drop_attention + c.drop_mlp > 0) cut_depth(report, model, open, texts, bench, c);
  if (heads.heads + heads.kv_heads > 0)
    for (head_cut const& h : cut_heads(model, open, texts, bench.scoring(), heads))
      report["heads"].push_back(to_json(h));
  if (c.mlp_width > 0)
    for (width_cut const& w : cut_mlp_width(model, open, texts, bench.scoring(), c.mlp_width, heads.units))
      report["widths"].push_back({{"layer", w.layer},
                                  {"before", w.before},
                                  {"after", w.after},
                                  {"output_error_plain", w.plain},
                                  {"output_error", w.fitted}});
  auto const written = [&](std::size_t i) {  // a layer that is codes need not stay
    saver.layer(model);
    model.forget(i);
  };
  if (quantize_choice const choice = quantize_of(from); learned) {
    report["quantize"]       = from.quantize;
    report["learned_scales"] = to_json(quantize_with_learned_scales(model, *files.weights, choice, written));
  } else if (choice != quantize_choice::none) {
    report["quantize"] = from.quantize;
    add_to_report(report, quantize_model(model, open, texts, bench.scoring(), choice, c.quantizing, written));
  }
  for (std::size_t i = 0; i < model.layers(); ++i)
    report["layers"].push_back({{"was", model.origin(i)},
                                {"attention", model.has(i, layer_half::attention)},
                                {"mlp", model.has(i, layer_half::mlp)}});
  report["parameters_before"] = parameters_before, report["parameters"] = model.parameters();
  report["bytes_before"] = bytes_before, report["bytes"] = saver.finish(model);
  if (!c.eval_text.empty() || !c.eval_ids.empty()) report["evaluation"] = evaluation_of(from, files, original);
  result_file((fs::path(c.out) / "compress_report.json").string()).write(report.dump(2) + "\n");
  report["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result_writer out;
  out.write(from.output == output_format::json ? to_line(report) : text_of(report));
  out.flush();
  return 0;
}

}  // namespace tenon::engine
