#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/commands/interruption.hpp"
#include "engine/commands/requests.hpp"
#include "engine/commands/run_report.hpp"
#include "engine/commands/run_requests.hpp"
#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/program/option_set.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

namespace {

/// Completions in the order of requests, each written as soon as all before it are there.
class ordered_output {
 public:
  explicit ordered_output(options const& from)
      : json_(from.output == output_format::json), silent_(!json_ && !from.run.trace.file.empty()) {}

  /// `error` is empty unless the completion could not be made.
  void take(completion&& c, std::string error) {
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
    if (json_) {
      auto j = to_json(c);
      if (c.asked.n > 1) j["completion"] = c.number;
      add_times(j, c);
      if (!wrong.empty()) j["error"] = wrong;
      out_.write(to_line(j));
    } else if (!silent_ && (c.reason != finish::cancelled || !c.ids.empty())) {
      out_.write((std::exchange(first_, false) ? "" : "\n") + c.asked.prompt + c.text + "\n");
    }
    out_.flush();
  }

  bool                                                                      json_, silent_, first_ = true;
  std::map<std::pair<std::size_t, int>, std::pair<completion, std::string>> waiting_;
  std::pair<std::size_t, int>                                               next_{};
  result_writer                                                             out_;
};

/// What comes of the completions.
class ledger {
 public:
  explicit ledger(options const& from) : out_(from) {}

  void take(completion&& c, std::string why = {}) {
    ++done_;
    if (c.reason == finish::invalid && failed_++ == 0) first_error_ = why;
    if (c.asked.max_tokens > 0 || c.reason == finish::invalid) times_.push_back(times_of(c));
    out_.take(std::move(c), std::move(why));
  }
  /// All completions of a request, which ended before they began.
  void take_unserved(request const& r, finish reason, std::string const& why = {}) {
    for (int k = 0; k < r.n; ++k) {
      completion c;
      c.asked  = r;
      c.number = k;
      c.reason = reason;
      take(std::move(c), why);
    }
  }

  std::size_t                       done() const { return done_; }
  std::vector<request_times> const& times() const { return times_; }

  void throw_if_failed(std::string const& input) const {
    if (failed_ == 0) return;
    throw wrong(input, "completions could not be made",
                std::to_string(failed_) + " with an error, the first: " + first_error_, "none");
  }

 private:
  ordered_output             out_;
  std::vector<request_times> times_;  // of those that were asked for tokens
  std::size_t                done_ = 0, failed_ = 0;
  std::string                first_error_;
};

/// Or until somebody interrupts.
void sleep_until(generator const& engine, double time, interruption const& stop) {
  constexpr double longest = .05;
  for (double left = time - engine.now(); left > 0 && !stop.wanted(); left = time - engine.now())
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, longest)));
}

}  // namespace

int run_requests(options const& from) {
  result_file       saved(from.run.result_file);
  model_files const files  = open_model(from, text_use::wanted);
  run_limits        limits = limits_of(from, files.config, 64);
  auto const        o      = generator_options_of(from, limits, files);
  auto              asked  = requests_of(from, files);
  make_room(limits, o, from.schedule.kv_blocks);
  auto const model = open_decoder(from, files, limits);

  std::stable_sort(asked.begin(), asked.end(),
                   [](auto const& a, auto const& b) { return a.what.arrival < b.what.arrival; });
  std::size_t next = 0, all = 0;
  double      tokenizing = 0;
  for (asked_request const& a : asked) all += static_cast<std::size_t>(a.what.n), tokenizing += a.what.tokenize_seconds;
  ledger             completions(from);
  progress_line      progress(!from.quiet, all);
  interruption const stop;
  bool               stopped = false;
  generator          engine(*model, files.text.get(), o);  // the clock starts here

  auto const submit = [&](asked_request& a) {
    if (a.error.empty() && stopped) return completions.take_unserved(a.what, finish::cancelled);
    try {
      if (a.error.empty()) engine.add(a.what);
    } catch (error const& e) {
      a.error = e.what();
    }
    if (!a.error.empty()) completions.take_unserved(a.what, finish::invalid, a.error);
  };
  while (next < asked.size() || !engine.idle()) {
    if (!stopped && stop.wanted()) stopped = true, engine.cancel_all();
    for (; next < asked.size() && (stopped || asked[next].what.arrival <= engine.now()); ++next) submit(asked[next]);
    bool const worked =
        engine.step([](std::size_t, std::string const&) {},
                    [&](completion&& c) {
                      std::string why;
                      if (c.reason == finish::invalid)
                        why = "prompt " + std::to_string(c.asked.index) + ": the model's logits are not finite";
                      completions.take(std::move(c), std::move(why));
                    });
    progress.show(engine, completions.done());
    if (worked) continue;
    double const arrival = next < asked.size() ? asked[next].what.arrival : INFINITY;
    double const wake    = engine.idle() ? arrival : std::min(arrival, engine.next_event());
    if (std::isfinite(wake)) sleep_until(engine, wake, stop);
    else if (!engine.idle()) throw error("internal: requests wait, and nothing runs");
  }

  progress.clear();
  latency_summary const summary = summarize(completions.times());
  if (!from.quiet) std::fputs(summary_text(summary, engine, tokenizing).c_str(), stderr);
  if (saved) saved.write(summary_json(summary, engine, tokenizing).dump(2) + "\n");
  if (stopped) interruption::follow();
  completions.throw_if_failed(input_name(from.run.input()));
  return 0;
}

}  // namespace tenon::engine
