#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/commands/requests.hpp"
#include "engine/commands/run_report.hpp"
#include "engine/commands/run_requests.hpp"
#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

namespace {

/// Completions in the order of requests, each written as soon as all before it are there.
class ordered_output {
 public:
  explicit ordered_output(options const& from)
      : json_(from.output == output_format::json), silent_(!json_ && !from.run.trace_file.empty()) {}

  /// `error` is empty unless the request could not run.
  void take(completion&& c, std::string error = {}) {
    auto const at = std::pair(c.asked.index, c.number);
    waiting_.emplace(at, std::pair(std::move(c), std::move(error)));
    for (auto it = waiting_.find(next_); it != waiting_.end(); it = waiting_.find(next_)) {
      auto const& [done, wrong] = it->second;
      write(done, wrong);
      next_ =
          next_.second + 1 < done.asked.n ? std::pair(next_.first, next_.second + 1) : std::pair(next_.first + 1, 0);
      waiting_.erase(it);
    }
  }

 private:
  void write(completion const& c, std::string const& wrong) {
    if (silent_) return;
    if (json_) {
      auto j = to_json(c);
      if (c.asked.n > 1) j["completion"] = c.number;
      add_times(j, c);
      if (!wrong.empty()) j["error"] = wrong;
      out_.write(to_line(j));
    } else {
      out_.write((next_ == std::pair<std::size_t, int>{} ? "" : "\n") + c.asked.prompt + c.text + "\n");
    }
    out_.flush();
  }

  bool                                                                      json_, silent_;
  std::map<std::pair<std::size_t, int>, std::pair<completion, std::string>> waiting_;
  std::pair<std::size_t, int>                                               next_{};
  result_writer                                                             out_;
};

void save(std::string const& file, nlohmann::ordered_json const& j) {
  std::ofstream out(file, std::ios::binary);
  out << j.dump(2) << "\n";
  if (!out.flush()) throw wrong(file, "cannot be written", "an error", "a writable file");
}

void sleep_until(generator const& engine, double time) {
  double const wait = time - engine.now();
  if (wait > 0) std::this_thread::sleep_for(std::chrono::duration<double>(wait));
}

}  // namespace

int run_requests(options const& from) {
  model_files const files  = open_model(from, text_use::wanted);
  run_limits        limits = limits_of(from, files.config, 64);
  auto const        o      = generator_options_of(from, limits, files);
  auto              asked  = requests_of(from, files);

  padding_need const padding = padding_of(o);
  limits.padding_sequences   = padding.sequences;
  if (from.schedule.kv_blocks) limits.pages = *from.schedule.kv_blocks + padding.pages;
  auto const model = open_decoder(from, files, limits);

  std::vector<std::size_t> order(asked.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return asked[a].arrival < asked[b].arrival; });

  ordered_output             out(from);
  std::vector<request_times> times;
  std::size_t                next = 0, failed = 0, done = 0, all = 0;
  for (request const& r : asked) all += static_cast<std::size_t>(r.n);
  progress_line progress(!from.quiet, all);
  generator     engine(*model, files.text.get(), o);  // the clock starts here

  auto const on_done = [&](completion&& c) {
    times.push_back(times_of(c));
    failed += c.reason == finish::invalid;
    ++done;
    std::string why = c.reason == finish::invalid ? "the model's logits are not finite" : "";
    out.take(std::move(c), std::move(why));
  };
  auto const submit = [&](request r) {
    try {
      engine.add(r);
    } catch (error const& e) {
      for (int k = 0; k < r.n; ++k) {
        completion c;
        c.asked  = r;
        c.number = k;
        c.reason = finish::invalid;
        times.push_back(times_of(c));
        ++failed, ++done;
        out.take(std::move(c), e.what());
      }
    }
  };
  while (next < order.size() || !engine.idle()) {
    for (; next < order.size() && asked[order[next]].arrival <= engine.now(); ++next)
      submit(std::move(asked[order[next]]));
    bool const worked = engine.step([](std::size_t, std::string const&) {}, on_done);
    progress.show(engine, done);
    if (worked) continue;
    double const arrival = next < order.size() ? asked[order[next]].arrival : INFINITY;
    double const wake    = engine.idle() ? arrival : std::min(arrival, engine.next_event());
    if (std::isfinite(wake)) sleep_until(engine, wake);
    else if (!engine.idle()) throw error("internal: requests wait, and nothing runs");
  }

  progress.clear();
  latency_summary const summary = summarize(times);
  if (!from.run.result_file.empty()) save(from.run.result_file, summary_json(summary, engine));
  if (!from.quiet) std::fputs(summary_text(summary, engine).c_str(), stderr);
  if (failed > 0)
    throw wrong(from.run.requests_file.empty() ? from.run.trace_file : from.run.requests_file,
                "completions could not be made", std::to_string(failed) + " with an error", "none");
  return 0;
}

}  // namespace tenon::engine
