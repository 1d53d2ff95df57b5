#include "engine/commands/requests.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {

request to_request(prompt_request const& p, std::size_t index, model_files const& files) {
  request                 r;
  sampling_options const& s = p.sampling;
  r.index                   = index;
  r.prompt                  = p.prompt;
  if (p.has_ids) {
    r.prompt_ids = p.prompt_ids;
  } else {
    if (!files.text) throw wrong(p.source, "a text prompt needs a tokenizer", "none", "--tokenizer FILE");
    auto const began   = std::chrono::steady_clock::now();
    r.prompt_ids       = files.text->encode(p.prompt);
    r.tokenize_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }
  for (std::int32_t const id : r.prompt_ids)
    if (id >= files.config.vocab_size)
      throw wrong(p.source, "a prompt id is outside the vocabulary", std::to_string(id),
                  "below " + std::to_string(files.config.vocab_size));
  for (auto const& [id, value] : s.logit_bias)
    if (id >= files.config.vocab_size)
      throw wrong(p.source, "a logit bias id is outside the vocabulary", std::to_string(id),
                  "below " + std::to_string(files.config.vocab_size));
  r.n                           = static_cast<int>(p.schedule.n);
  r.priority                    = p.schedule.priority;
  r.arrival                     = p.schedule.arrival;
  r.deadline                    = p.schedule.arrival + p.schedule.deadline;
  r.max_tokens                  = static_cast<int>(std::min<std::int64_t>(s.max_tokens, files.config.max_position + 1));
  r.sampling.temperature        = static_cast<float>(s.temperature);
  r.sampling.top_k              = static_cast<std::int32_t>(std::min<std::int64_t>(s.top_k, files.config.vocab_size));
  r.sampling.top_p              = static_cast<float>(s.top_p);
  r.sampling.min_p              = static_cast<float>(s.min_p);
  r.sampling.repetition_penalty = static_cast<float>(s.repetition_penalty);
  r.sampling.presence_penalty   = static_cast<float>(s.presence_penalty);
  r.sampling.frequency_penalty  = static_cast<float>(s.frequency_penalty);
  r.sampling.seed = s.seed ? *s.seed + (index << 32) : std::random_device{}() + (std::uint64_t{index} << 32);
  r.logit_bias    = s.logit_bias;
  r.stop          = s.stop;
  r.ignore_eos    = s.ignore_eos;
  r.logprobs      = static_cast<int>(std::min<std::int64_t>(s.logprobs, files.config.vocab_size));
  return r;
}

nlohmann::ordered_json to_json(completion const& c) {
  nlohmann::ordered_json j;
  j["index"] = c.asked.index, j["prompt"] = c.asked.prompt, j["prompt_ids"] = c.asked.prompt_ids, j["ids"] = c.ids;
  j["text"] = c.text, j["finish_reason"] = name_of(c.reason);
  if (c.asked.logprobs > 0) {
    auto& list = j["logprobs"] = nlohmann::ordered_json::array();
    for (token_logprob const& t : c.logprobs) {
      nlohmann::ordered_json top = nlohmann::ordered_json::array();
      for (auto const& [id, value] : t.top) top.push_back({{"id", id}, {"logprob", value}});
      list.push_back({{"id", t.id}, {"logprob", t.logprob}, {"top", std::move(top)}});
    }
  }
  return j;
}

std::string to_line(nlohmann::ordered_json const& j) {
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace tenon::engine
