//  Text as it comes.
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/commands/requests.hpp"
#include "engine/schedule/latency.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

void visit_stream(guide& g, findings& f) {
  prompt_request asked;
  asked.prompt              = guide::story;
  asked.sampling            = {.max_tokens = 96, .temperature = 0.8};
  asked.sampling.seed       = 7;
  model_files const& files  = g.files();
  run_limits const   limits = limits_of(g.asked(), files.config, 1);
  auto const         model  = open_decoder(g.asked(), files, limits);
  generator          engine(*model, files.text.get(), generator_options_of(g.asked(), limits, files));

  f.say(asked.prompt);
  completion done;
  for (int run = 0; run < 2; ++run) {  // the first one warms up
    request r = to_request(asked, 0, files);
    r.arrival = engine.now();
    engine.add(std::move(r));
    done = answers_of(engine, [&](std::string_view piece) {
             if (run == 1) f.say(piece);
           }).front();
  }

  auto const          tokens = static_cast<double>(done.times.size());
  std::vector<double> gaps;
  for (std::size_t i = 1; i < done.times.size(); ++i) gaps.push_back(done.times[i] - done.times[i - 1]);
  std::sort(gaps.begin(), gaps.end());
  double const decoding = done.times.back() - done.times.front();
  f.add_table(figures::exact, {"prompt tokens", "tokens"})
      .rows.push_back({number(std::ssize(done.asked.prompt_ids)), number(std::ssize(done.ids))});
  f.add_table(figures::timed, {"TTFT ms", "ITL p50 ms", "ITL p99 ms", "tokens/s"})
      .rows.push_back({number("%.2f", 1e3 * (done.times.front() - done.asked.arrival)),
                       number("%.2f", 1e3 * percentile(gaps, .5)), number("%.2f", 1e3 * percentile(gaps, .99)),
                       number("%.0f", decoding > 0 ? (tokens - 1) / decoding : 0)});
}

}  // namespace tenon::engine::tour
