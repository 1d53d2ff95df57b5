#include "engine/compress/self_text.hpp"

#include <string>

#include "engine/error.hpp"

namespace tenon::engine {

token_texts self_sampled(decoder& model, std::int32_t first, int count, int length, std::uint64_t seed,
                         scorer_options const& options) {
  token_texts texts(static_cast<std::size_t>(count), {first});
  auto const  pages = static_cast<std::int32_t>(pages_for(static_cast<std::size_t>(length), options));
  if (std::int64_t{count} * pages > model.pages())
    throw wrong("--calibration-texts", "do not fit the KV cache together",
                std::to_string(std::int64_t{count} * pages) + " pages", "at most " + std::to_string(model.pages()));
  step_batch step;
  draw_batch draw;
  drawn      next;
  for (std::int32_t at = 0; at + 1 < length; ++at) {
    step.clear(), draw.clear();
    step.max_pages = pages;
    step.query_start.push_back(0);
    for (std::int32_t s = 0; s < count; ++s) {
      step.ids.push_back(texts[static_cast<std::size_t>(s)].back());
      step.positions.push_back(at);
      step.slots.push_back(std::int64_t{s} * pages * options.block_size + at);
      step.query_start.push_back(s + 1);
      step.kv_length.push_back(at + 1);
      step.logit_rows.push_back(s);
      for (std::int32_t p = 0; p < pages; ++p) step.block_table.push_back(s * pages + p);
      draw.params.push_back(
          {.temperature = 1, .seed = seed + static_cast<std::uint64_t>(s), .position = static_cast<std::uint64_t>(at)});
    }
    model.forward(step);
    model.draw(draw, next);
    for (std::size_t s = 0; s < texts.size(); ++s) texts[s].push_back(next.ids[s]);
  }
  return texts;
}

}  // namespace tenon::engine
