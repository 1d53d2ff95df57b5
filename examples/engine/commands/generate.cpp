#include <unistd.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/program/output.hpp"
#include "engine/program/prompts.hpp"

namespace tenon::engine {

namespace {

request to_request(prompt_request const& p, std::size_t index, model_files const& files) {
  request                 r;
  sampling_options const& s = p.sampling;
  r.index                   = index;
  r.prompt                  = p.prompt;
  if (p.has_ids) {
    r.prompt_ids = p.prompt_ids;
  } else {
    if (!files.text) throw wrong(p.source, "a text prompt needs a tokenizer", "none", "--tokenizer FILE");
    r.prompt_ids = files.text->encode(p.prompt);
  }
  for (std::int32_t const id : r.prompt_ids)
    if (id >= files.config.vocab_size)
      throw wrong(p.source, "a prompt id is outside the vocabulary", std::to_string(id),
                  "below " + std::to_string(files.config.vocab_size));
  for (auto const& [id, value] : s.logit_bias)
    if (id >= files.config.vocab_size)
      throw wrong(p.source, "a logit bias id is outside the vocabulary", std::to_string(id),
                  "below " + std::to_string(files.config.vocab_size));
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
  j["text"] = c.text, j["finish_reason"] = c.reason == finish::stop ? "stop" : "length";
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

std::string closing_line(generation_counts const& c) {
  double const seconds = c.seconds;
  char         line[160];
  std::snprintf(line, sizeof line, "%lld tokens in %.2f s (%.1f tokens/s); prompt %lld tokens in %.2f s",
                static_cast<long long>(c.tokens), seconds, seconds > 0 ? static_cast<double>(c.decoded) / seconds : 0.0,
                static_cast<long long>(c.prompt_tokens), c.prompt_seconds);
  return line;
}

}  // namespace

int run_generate(options const& from) {
  prompt_reader     prompts(from);
  model_files const files  = open_model(from, text_use::wanted);
  run_limits const  limits = limits_of(from, files.config, 64);
  auto const        model  = open_decoder(from, files, limits);

  generator_options o;
  o.max_length         = limits.max_length;
  o.max_sequences      = limits.max_sequences;
  o.max_batched_tokens = limits.max_batched_tokens;
  o.block_size         = static_cast<int>(from.block_size);
  o.end_ids            = end_ids(files);
  generator engine(*model, files.text.get(), o);

  result_writer out;
  bool const    json   = from.output == output_format::json;
  bool const    stream = !json && from.prompts.size() == 1 && from.prompts_file.empty();

  std::size_t                       read = 0, written = 0;
  bool                              more = true;
  std::map<std::size_t, completion> finished;  // waiting for earlier ones to be printed
  auto const                        print = [&](completion const& c) {
    if (json) out.write(to_json(c).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    else if (stream) out.write("\n");
    else out.write((written ? "\n" : "") + c.asked.prompt + c.text + "\n");
    out.flush();
  };
  while (more || !engine.idle()) {
    while (more && engine.wants_more()) {
      auto const p = prompts.next();
      if (!p) {
        more = false;
        break;
      }
      request           r      = to_request(*p, read++, files);
      std::string const prompt = r.prompt;
      engine.add(std::move(r));
      if (stream) out.write(prompt), out.flush();
      if (!from.prompts_file.empty()) break;  // a pipe: run what there is before waiting for more
    }
    if (engine.idle()) continue;
    engine.step(
        [&](std::size_t, std::string const& piece) {
          if (stream) out.write(piece), out.flush();
        },
        [&](completion&& c) {
          finished.emplace(c.asked.index, std::move(c));
          for (auto it = finished.begin(); it != finished.end() && it->first == written; it = finished.erase(it)) {
            print(it->second);
            ++written;
          }
        });
  }
  if (!from.quiet) std::fprintf(stderr, "%s\n", closing_line(engine.counts()).c_str());
  return 0;
}

}  // namespace tenon::engine
