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

#include "engine/commands/requests.hpp"
#include "engine/commands/scored_texts.hpp"
#include "engine/commands/setup.hpp"
#include "engine/compress/depth_cut.hpp"
#include "engine/compress/editable_model.hpp"
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

/// Decoders of the models that compressing makes, in f32 on the host, each text alone.
class workbench {
 public:
  workbench(options const& from, model_config const& config, int texts, int length) {
    compress_options const& c = from.compress;
    o_.threads = o_.load.threads = static_cast<int>(from.threads.value_or(0));
    o_.block_size                = static_cast<int>(from.block_size);
    o_.max_length                = static_cast<int>(std::min<std::int64_t>(length, config.max_position));
    o_.max_batched_tokens = o_.max_rows = std::max(c.chunk, texts);
    o_.max_sequences                    = std::max(texts, 1);
    scoring_.max_length                 = o_.max_length;
    scoring_.max_batched_tokens = scoring_.max_rows = o_.max_rows;
    scoring_.block_size                             = o_.block_size;
  }

  std::unique_ptr<decoder> open(model_config const& config, checkpoint const& weights) const {
    return make_decoder(config, &weights, 0, o_);
  }
  std::unique_ptr<decoder> open(editable_model const& m) const {
    checkpoint const weights = m.as_checkpoint();
    return open(m.config(), weights);
  }
  scorer_options const& scoring() const { return scoring_; }

 private:
  decoder_options o_;
  scorer_options  scoring_;
};

std::int32_t first_token(model_files const& files) {
  if (files.text)
    if (auto const ids = files.text->encode(""); !ids.empty()) return ids.front();
  return files.config.bos_id.value_or(0);
}

nlohmann::ordered_json to_json(cut_step const& s) {
  nlohmann::ordered_json j;
  j["kind"] = name_of(s.kind), j["layer"] = s.layer;
  for (cut_candidate const& c : s.candidates)
    j["candidates"].push_back({{"layer", c.layer}, {"kl_plain", c.plain}, {"kl", c.cost()}, {"healed", c.can_heal}});
  return j;
}

nlohmann::ordered_json to_json(score const& s, double original_nll) {
  nlohmann::ordered_json j;
  j["tokens"] = s.tokens, j["nll"] = s.mean_nll(), j["nll_original"] = original_nll;
  j["perplexity_change"] = std::exp(s.mean_nll() - original_nll) - 1;
  j["kl"] = s.against.mean_kl(), j["kl_stderr"] = s.against.kl_standard_error();
  j["top1_agreement"] = s.against.top1_agreement();
  return j;
}

std::string text_of(nlohmann::ordered_json const& report) {
  std::string text;
  auto const  line = [&](char const* format, auto... values) {
    char buffer[200];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text += buffer;
  };
  for (auto const& step : report["cuts"]) {
    line("%-9s  kl plain  kl healed\n", step["kind"].get<std::string>().c_str());
    for (auto const& c : step["candidates"])
      line("%9d  %8.4f  %9.4f%s\n", c["layer"].get<int>(), c["kl_plain"].get<double>(), c["kl"].get<double>(),
           c["layer"] == step["layer"] ? "  dropped" : "");
  }
  if (report.contains("widths")) {
    text += "layer  neurons         error of the output, plain and fitted\n";
    for (auto const& w : report["widths"])
      line("%5d  %5d -> %5d  %8.4f  %8.4f\n", w["layer"].get<int>(), w["before"].get<int>(), w["after"].get<int>(),
           w["output_error_plain"].get<double>(), w["output_error"].get<double>());
  }
  if (report.contains("modules")) {
    double worst = 0, sum = 0;
    for (auto const& m : report["modules"]) {
      double const e = m["output_error"].get<double>();
      worst          = std::max(worst, e), sum += e;
    }
    line("%zu matrices in %s: error of their outputs %.4f in the mean, %.4f at most\n", report["modules"].size(),
         report["quantize"].get<std::string>().c_str(), sum / static_cast<double>(report["modules"].size()), worst);
  }
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
  if (fs::exists(fs::path(c.out) / "config.json"))
    throw wrong((fs::path(c.out) / "config.json").string(), "is there already", "a model", "an empty folder, or none");

  bool const        reads_text = !from.text_file.empty() || !c.eval_text.empty();
  model_files const files      = open_model(from, reads_text ? text_use::needed : text_use::wanted);
  editable_model    model(from.model, files.config, *files.weights);
  workbench const   bench(from, files.config, c.texts, static_cast<int>(c.length));

  nlohmann::ordered_json report;
  report["model"] = from.model, report["parameters_before"] = model.parameters(),
  report["bytes_before"] = model.bytes();
  token_texts texts;
  if (!from.text_file.empty() || !from.ids_file.empty()) {
    texts                 = texts_of(from.text_file, from.ids_file, files);
    report["calibration"] = from.text_file + from.ids_file;
  } else {
    auto const itself     = bench.open(model);
    texts                 = self_sampled(*itself, first_token(files), c.texts, bench.scoring().max_length,
                                         from.sampling.seed.value_or(0), bench.scoring());
    report["calibration"] = "sampled from the model";
  }
  for (auto& ids : texts)  // what fits the decoder, alone
    if (ids.size() > static_cast<std::size_t>(bench.scoring().max_length))
      ids.resize(static_cast<std::size_t>(bench.scoring().max_length));
  std::erase_if(texts, [](auto const& ids) { return ids.size() < 2; });
  if (texts.empty())
    throw wrong(from.text_file + from.ids_file, "holds nothing to calibrate with", "fewer than 2 tokens", "at least 2");
  report["calibration_texts"] = texts.size();

  editable_model const  original = model;
  model_opener const    open     = [&](editable_model const& m) { return bench.open(m); };
  depth_cutter const    cutter(original, open, texts, bench.scoring(), c.heal);
  layer_influence const influence = cutter.influence();
  report["block_influence"] = influence.block_influence, report["angular_distance"] = influence.angular_distance;
  report["cuts"] = nlohmann::ordered_json::array();
  for (auto const& [kind, count] : {std::pair{cut_kind::layer, c.drop_layers},
                                    {cut_kind::attention, c.drop_attention},
                                    {cut_kind::mlp, c.drop_mlp}})
    for (std::int64_t i = 0; i < count; ++i) report["cuts"].push_back(to_json(cutter.cut(model, kind)));
  if (c.mlp_width > 0)
    for (width_cut const& w : cut_mlp_width(model, open, texts, bench.scoring(), c.mlp_width, c.heal))
      report["widths"].push_back({{"layer", w.layer},
                                  {"before", w.before},
                                  {"after", w.after},
                                  {"output_error_plain", w.plain},
                                  {"output_error", w.fitted}});
  if (quantize_choice const choice = quantize_of(from); choice != quantize_choice::none) {
    report["quantize"] = from.quantize, report["method"] = c.nearest || choice == quantize_choice::fp8 ? "rtn" : "gptq";
    for (quantized_module const& m : quantize_model(model, open, texts, bench.scoring(), choice,
                                                    c.nearest ? quantize_method::nearest : quantize_method::gptq))
      report["modules"].push_back({{"name", m.name}, {"output_error", m.output_error}, {"sqnr_db", m.sqnr}});
  }
  report["parameters"] = model.parameters(), report["bytes"] = model.bytes();
  for (std::size_t i = 0; i < model.layers(); ++i)
    report["layers"].push_back({{"was", model.origin(i)},
                                {"attention", model.has(i, layer_half::attention)},
                                {"mlp", model.has(i, layer_half::mlp)}});
  model.save(c.out);

  if (!c.eval_text.empty() || !c.eval_ids.empty()) {
    // Of the files that were written, rounded as they are.
    model_config const written = read_model_config(c.out);
    checkpoint const   weights(c.out);
    auto const         tested = bench.open(written, weights), reference = bench.open(original);
    score              s, alone;
    for (auto const& ids : texts_of(c.eval_text, c.eval_ids, files)) {
      score_text(*tested, reference.get(), ids, bench.scoring(), s);
      score_text(*reference, nullptr, ids, bench.scoring(), alone);
    }
    if (s.tokens > 0) report["evaluation"] = to_json(s, alone.mean_nll());
  }
  result_file((fs::path(c.out) / "compress_report.json").string()).write(report.dump(2) + "\n");
  report["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result_writer out;
  out.write(from.output == output_format::json ? to_line(report) : text_of(report));
  out.flush();
  return 0;
}

}  // namespace tenon::engine
