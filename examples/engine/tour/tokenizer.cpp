//  Text to ids and back, and what that is of the time to a first token.
#include <algorithm>
#include <span>
#include <string>

#include "engine/tour/stops.hpp"
#include "engine/tour/timing.hpp"

namespace tenon::engine::tour {

void visit_tokenizer(guide& g, findings& f) {
  tokenizer const& words = *g.files().text;
  std::string      text;
  for (auto const* const all : {&g.calibration(), &g.unseen()})
    for (auto const& ids : *all) text += words.decode(ids) + "\n";
  auto const        ids   = words.encode(text, false);
  std::string const again = words.decode(ids);

  // A prompt of 200 tokens as text: its ids alone, and with the first token that the model answers.
  std::string const prompt = words.decode(std::span(ids).first(std::min<std::size_t>(200, ids.size())));
  auto const        answer = [&] {
    generator_options o = g.generation(1);
    o.prefix_caching    = false;
    generator engine(g.reference(), &words, o);
    request   r;
    r.prompt_ids = words.encode(prompt), r.max_tokens = 1, r.sampling.temperature = 0;
    engine.add(std::move(r));
    (void)answers_of(engine);
  };
  auto const seconds = seconds_in_turns(7, {[&] { (void)words.encode(text, false); }, [&] { (void)words.decode(ids); },
                                            [&] { (void)words.encode(prompt); }, answer});
  auto const bytes   = static_cast<double>(text.size());
  f.add_table(figures::exact, {"bytes", "tokens", "bytes per token", "decoded again"})
      .rows.push_back({number(std::ssize(text)), number(std::ssize(ids)),
                       number("%.2f", bytes / static_cast<double>(ids.size())), again == text ? "the same" : "other"});
  f.add_table(figures::timed, {"encode MB/s", "decode MB/s", "prompt of 200 tokens, us", "share of its TTFT"})
      .rows.push_back({number("%.1f", bytes / seconds[0] * 1e-6), number("%.1f", bytes / seconds[1] * 1e-6),
                       number("%.0f", 1e6 * seconds[2]), percent(seconds[2] / seconds[3])});
}

}  // namespace tenon::engine::tour
