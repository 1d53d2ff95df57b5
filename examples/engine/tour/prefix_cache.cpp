//  Prompts that begin alike share pages.
#include <string>
#include <utility>
#include <vector>

#include "engine/schedule/latency.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

namespace {

struct served {
  schedule_counts         counts;
  distribution            ttft;
  std::vector<completion> done;
};

/// Requests that all come at once; the system prompt that they begin with, and a question each.
served serve(guide& g, decoder& model, bool cached) {
  constexpr std::size_t requests = 24, shared = 192, own = 16;
  constexpr int         answer = 8;
  g.need_positions(static_cast<int>(shared + own) + answer);
  generator_options o = g.generation(8);
  o.prefix_caching    = cached;
  generator engine(model, g.files().text.get(), o);
  auto      prompt = g.unseen().front();  // of the model's own words
  while (prompt.size() < shared) prompt.insert(prompt.end(), g.unseen()[1].begin(), g.unseen()[1].end());
  prompt.resize(shared);
  for (std::size_t i = 0; i < requests; ++i) {
    auto const& question = g.calibration()[i % g.calibration().size()];
    request     r;
    r.index      = i;
    r.prompt_ids = prompt;
    r.prompt_ids.insert(r.prompt_ids.end(), question.begin() + 1, question.begin() + 1 + own);
    r.max_tokens = answer, r.ignore_eos = true, r.sampling.temperature = 0;
    engine.add(std::move(r));
  }
  served                     s;
  std::vector<request_times> times;
  s.done = answers_of(engine);
  for (completion const& c : s.done) times.push_back({c.asked.arrival, std::ssize(c.asked.prompt_ids), c.times});
  s.counts = engine.scheduled(), s.ttft = summarize(times).ttft;
  return s;
}

}  // namespace

void visit_prefix_cache(guide& g, findings& f) {
  auto const   model   = g.open();
  served const without = serve(g, *model, false), with = serve(g, *model, true);
  bool         alike = without.done.size() == with.done.size();
  for (std::size_t i = 0; alike && i < with.done.size(); ++i) alike = without.done[i].ids == with.done[i].ids;

  table& t = f.add_table(figures::exact, {"prefix cache", "prompt tokens", "found", "computed", "same completions"});
  for (auto const& [name, s] : {std::pair{"off", &without}, {"on", &with}})
    t.rows.push_back({name, number(s->counts.queried_tokens), number(s->counts.cached_tokens),
                      number(s->counts.prompt_tokens),
                      s == &without ? ""
                      : alike       ? "yes"
                                    : "no"});
  table& u = f.add_table(figures::timed, {"prefix cache", "TTFT p50 ms", "TTFT p99 ms"});
  for (auto const& [name, s] : {std::pair{"off", &without}, {"on", &with}})
    u.rows.push_back({name, number("%.1f", 1e3 * s->ttft.p50), number("%.1f", 1e3 * s->ttft.p99)});
}

}  // namespace tenon::engine::tour
