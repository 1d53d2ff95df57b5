#include <unistd.h>

#include <cstdio>
#include <map>
#include <string>

#include "engine/commands/requests.hpp"
#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/program/output.hpp"
#include "engine/program/prompts.hpp"

namespace tenon::engine {

namespace {

std::string closing_line(generation_counts const& c, std::int64_t prompt_tokens) {
  double const seconds = c.seconds;
  char         line[160];
  std::snprintf(line, sizeof line, "%lld tokens in %.2f s (%.1f tokens/s); prompt %lld tokens in %.2f s",
                static_cast<long long>(c.tokens), seconds, seconds > 0 ? static_cast<double>(c.decoded) / seconds : 0.0,
                static_cast<long long>(prompt_tokens), c.prompt_seconds);
  return line;
}

std::string cache_line(compression_counts const& c) {
  char line[200];
  std::snprintf(line, sizeof line,
                "KV cache: %lld of %lld keys of prompts kept, %lld of %lld head pages freed, %lld tokens rebuilt",
                static_cast<long long>(c.kept), static_cast<long long>(c.tokens), static_cast<long long>(c.freed_pages),
                static_cast<long long>(c.pages), static_cast<long long>(c.rebuilt));
  return line;
}

}  // namespace

int run_generate(options const& from) {
  prompt_reader     prompts(from.prompts, from.prompts_file, from.sampling);
  model_files const files      = open_model(from, text_use::wanted);
  bool const        compresses = from.kv.how.keep < 1;  // one request at a time
  run_limits        limits     = limits_of(from, files.config, compresses ? 1 : 64);
  generator_options how        = generator_options_of(from, limits, files);
  if (compresses) {
    make_room_to_compress(limits, from, files.config);
    how.kv = from.kv.how, how.kv->seed = from.sampling.seed.value_or(0);
    how.config = &files.config, how.runs = limits.max_sequences, how.prefix_caching = false;
  }
  auto const model = open_decoder(from, files, limits);
  generator  engine(*model, files.text.get(), how);

  result_writer out;
  bool const    json   = from.output == output_format::json;
  bool const    stream = !json && from.prompts.size() == 1 && from.prompts_file.empty();

  std::size_t                       read = 0, written = 0, failed = 0;
  bool                              more = true;
  std::map<std::size_t, completion> finished;  // waiting for earlier ones to be printed
  auto const                        print = [&](completion const& c) {
    if (json) out.write(to_line(to_json(c)));
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
          failed += c.reason == finish::invalid;
          finished.emplace(c.asked.index, std::move(c));
          for (auto it = finished.begin(); it != finished.end() && it->first == written; it = finished.erase(it)) {
            print(it->second);
            ++written;
          }
        });
  }
  if (!from.quiet)
    std::fprintf(stderr, "%s\n", closing_line(engine.counts(), engine.scheduled().prompt_tokens).c_str());
  if (!from.quiet && how.kv) std::fprintf(stderr, "%s\n", cache_line(engine.compressed()).c_str());
  if (failed > 0)
    throw wrong("--model", "completions could not be made", std::to_string(failed) + " whose logits are not finite",
                "none");
  return 0;
}

}  // namespace tenon::engine
