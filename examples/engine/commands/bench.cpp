#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/commands/model_size.hpp"
#include "engine/commands/requests.hpp"
#include "engine/commands/setup.hpp"
#include "engine/commands/timed_steps.hpp"
#include "engine/error.hpp"
#include "engine/model/copy_bandwidth.hpp"
#include "engine/program/output.hpp"
#include "engine/schedule/cost_model_file.hpp"

namespace tenon::engine {

namespace {

/// Prefill of one prompt, or decode of a batch.
struct bench_test {
  bool prefill = true;
  int  tokens = 0, batch = 1, depth = 0;

  std::string name() const {
    std::string s = (prefill ? "pp" : "tg") + std::to_string(tokens);
    if (!prefill) s += " b" + std::to_string(batch);
    if (depth > 0) s += " @ d" + std::to_string(depth);
    return s;
  }
};

struct bench_result {
  bench_test          test;
  std::vector<double> rates;      // tokens per second, by repetition
  double              bytes = 0;  // that a step reads, on average: weights, and keys and values
  double              steps = 0;

  double mean() const {
    double sum = 0;
    for (double const r : rates) sum += r;
    return sum / static_cast<double>(rates.size());
  }
  double deviation() const {
    double sum = 0;
    for (double const r : rates) sum += (r - mean()) * (r - mean());
    return rates.size() > 1 ? std::sqrt(sum / static_cast<double>(rates.size() - 1)) : 0;
  }
  double bandwidth() const { return bytes * steps * mean() / (double{1} * test.tokens * test.batch); }
};

std::vector<bench_test> tests_of(bench_options const& b) {
  std::vector<bench_test> tests;
  auto const              i = [](std::int64_t v) { return static_cast<int>(v); };
  for (std::int64_t const depth : b.depths) {
    for (std::int64_t const p : b.prompts)
      if (p > 0) tests.push_back({true, i(p), 1, i(depth)});
    for (std::int64_t const n : b.decodes)
      for (std::int64_t const batch : b.batches)
        if (n > 0) tests.push_back({false, i(n), i(batch), i(depth)});
  }
  return tests;
}

/// Seconds of the test.
double run(timed_steps& steps, bench_test const& t) {
  double seconds = 0;
  if (!t.prefill) {
    for (int i = 0; i < t.tokens; ++i) {
      for (int s = 0; s < t.batch; ++s) steps.add(s, t.depth + i, 1, 1);
      seconds += steps.run();
    }
    return seconds;
  }
  for (int at = 0; at < t.tokens;) {
    int const count = std::min(steps.shape().max_batched_tokens, t.tokens - at);
    steps.add(0, t.depth + at, count, 1);
    seconds += steps.run();
    at += count;
  }
  return seconds;
}

bench_result measure(timed_steps& steps, bench_test const& t, int repetitions, double weight_bytes, double kv_bytes) {
  bench_result r{.test = t, .rates = {}};
  steps.fill(t.depth);
  run(steps, t);
  for (int i = 0; i < repetitions; ++i) r.rates.push_back(static_cast<double>(t.tokens) * t.batch / run(steps, t));
  int const chunk = steps.shape().max_batched_tokens;
  r.steps         = t.prefill ? (t.tokens + chunk - 1) / chunk : t.tokens;
  r.bytes         = weight_bytes + kv_bytes * t.batch * (t.depth + (t.tokens + 1) / 2.);
  return r;
}

struct bench_report {
  std::string               model, dtype, quantize, kv_dtype, device;
  std::uint64_t             parameters = 0, bytes = 0, step_bytes = 0;
  double                    copy_bandwidth = 0;  // bytes read and written per second; 0: not measured
  std::vector<bench_result> results;
};

double percent_of_floor(bench_report const& b, bench_result const& r) { return 100 * r.bandwidth() / b.copy_bandwidth; }

std::string table(bench_report const& b) {
  bool const  floor = b.copy_bandwidth > 0;
  std::string text  = "| model | size | params | dtype | device | test | t/s | GB/s |";
  text += floor ? " % of floor |\n" : "\n";
  text += floor ? "|---|---:|---:|---|---|---|---:|---:|---:|\n" : "|---|---:|---:|---|---|---|---:|---:|\n";
  for (bench_result const& r : b.results) {
    char params[32], rate[64], bandwidth[32], share[32];
    std::snprintf(params, sizeof params, "%.2f M", static_cast<double>(b.parameters) * 1e-6);
    std::snprintf(rate, sizeof rate, "%.1f ± %.1f", r.mean(), r.deviation());
    std::snprintf(bandwidth, sizeof bandwidth, "%.1f", r.bandwidth() * 1e-9);
    std::snprintf(share, sizeof share, " %.1f |", floor ? percent_of_floor(b, r) : 0.);
    text += "| " + b.model + " | " + bytes_text(b.bytes) + " | " + params + " | " + b.dtype +
            (b.quantize.empty() ? "" : " " + b.quantize) + " | " + b.device + " | " + r.test.name() + " | " + rate +
            " | " + (r.test.prefill ? "" : bandwidth) + " |" +
            (!floor           ? ""
             : r.test.prefill ? " |"
                              : share) +
            "\n";
  }
  return text;
}

nlohmann::ordered_json to_json(bench_report const& b) {
  nlohmann::ordered_json j;
  j["model"] = b.model, j["parameters"] = b.parameters;
  j["weight_bytes"] = b.bytes, j["step_bytes"] = b.step_bytes, j["dtype"] = b.dtype;
  j["quantize"]       = b.quantize.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(b.quantize);
  j["kv_cache_dtype"] = b.kv_dtype, j["device"] = b.device;
  if (b.copy_bandwidth > 0) j["copy_bytes_per_second"] = b.copy_bandwidth;
  auto& list = j["results"] = nlohmann::ordered_json::array();
  for (bench_result const& r : b.results) {
    nlohmann::ordered_json one;
    one["test"] = r.test.name(), one["kind"] = r.test.prefill ? "prefill" : "decode";
    one["tokens"] = r.test.tokens, one["batch"] = r.test.batch, one["depth"] = r.test.depth;
    one["tokens_per_second"] = r.mean(), one["deviation"] = r.deviation(), one["samples"] = r.rates;
    if (!r.test.prefill) {
      one["bytes_per_second"] = r.bandwidth();
      if (b.copy_bandwidth > 0) one["percent_of_floor"] = percent_of_floor(b, r);
    }
    list.push_back(std::move(one));
  }
  return j;
}

void add_cost_model(nlohmann::ordered_json& j, std::span<measured_step const> steps) {
  auto& list = j["steps"] = nlohmann::ordered_json::array();
  for (auto const& [load, seconds] : steps) {
    nlohmann::ordered_json one;
    one["tokens"] = load.tokens, one["sequences"] = load.sequences, one["rows"] = load.rows, one["keys"] = load.keys;
    one["pairs"] = load.pairs, one["seconds"] = seconds;
    list.push_back(std::move(one));
  }
  cost_model const model = fit_cost_model(steps);
  fit_error const  error = error_of(model, steps);
  j["cost_model"]        = to_json(model);
  j["cost_model_error"]  = {{"mean", error.mean}, {"worst", error.worst}};
}

/// Its folder's, however that was written.
std::string model_name(options const& from) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path const  at = fs::weakly_canonical(from.config.empty() ? from.model : from.config, ignored);
  return (fs::is_directory(at, ignored) ? at : at.parent_path()).filename().string();
}

/// Sizes that hold every test, and a prompt beside the largest batch.
run_limits bench_limits(options const& from, model_config const& config, std::span<bench_test const> tests) {
  run_limits l      = limits_of(from, config, 1);
  int        length = 1, batch = 8;
  for (bench_test const& t : tests) {
    if (t.depth + t.tokens > l.max_length)
      throw wrong(t.prefill ? "--n-prompt" : "--n-gen", "is longer than the model", t.name(),
                  "at most " + std::to_string(l.max_length) + " tokens, --depth among them");
    length = std::max(length, t.depth + t.tokens), batch = std::max(batch, t.batch);
  }
  l.max_length    = length;
  l.max_sequences = batch + 1;
  if (from.max_num_batched_tokens && *from.max_num_batched_tokens < l.max_sequences)
    throw wrong("--max-num-batched-tokens", "is less than the largest batch and a prompt beside it",
                std::to_string(*from.max_num_batched_tokens), "at least " + std::to_string(l.max_sequences));
  l.max_batched_tokens = std::max(l.max_batched_tokens, l.max_sequences);
  l.max_rows           = l.max_sequences;
  l.pages              = std::int64_t{l.max_sequences} * ((length + from.block_size - 1) / from.block_size);
  return l;
}

}  // namespace

int run_bench(options const& from) {
  auto const        tests  = tests_of(from.bench);
  model_files const files  = open_model(from, text_use::none);
  run_limits const  limits = bench_limits(from, files.config, tests);
  auto const        model  = open_decoder(from, files, limits);
  timed_steps       steps(*model, {limits.max_sequences, limits.max_length, static_cast<int>(from.block_size),
                                   limits.max_batched_tokens, files.config.vocab_size});

  device_kind const     device = device_of(from);
  number_format const   dtype  = format_of(from, files.config, device);
  kv_cache_format const kv     = kv_format_of(from, dtype);
  bench_report          report;
  report.model          = model_name(from);
  report.parameters     = files.weights ? files.weights->parameters() : parameters_of(files.config);
  report.bytes          = model_bytes_of(from, files.config, dtype);
  report.step_bytes     = step_bytes_of(from, files.config, dtype);
  report.quantize       = from.quantize;
  report.dtype          = name_of(unquantised(dtype));
  report.kv_dtype       = name_of(kv);
  report.device         = device == device_kind::cuda ? "cuda" : "host";
  report.copy_bandwidth = device == device_kind::cuda ? cuda_copy_bandwidth() : 0;
  auto const kv_bytes   = static_cast<double>(kv_bytes_of(files.config, kv));
  for (bench_test const& t : tests)
    report.results.push_back(
        measure(steps, t, static_cast<int>(from.bench.repetitions), static_cast<double>(report.step_bytes), kv_bytes));

  result_writer out;
  if (from.output == output_format::json) {
    auto j = to_json(report);
    if (from.bench.steps) {
      steps.fill(limits.max_length);
      add_cost_model(
          j, measure(steps, cost_grid(steps.shape(), from.bench.batches), static_cast<int>(from.bench.repetitions)));
    }
    out.write(to_line(j));
  } else {
    out.write(table(report));
  }
  out.flush();
  return 0;
}

}  // namespace tenon::engine
