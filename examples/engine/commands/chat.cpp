//  `tenon chat`: a conversation in a terminal, or from a script.
//
//  Every turn renders the whole conversation and runs it as a request of its own; what the last turn left in the pages of the KV
//  cache is found there again, so only what is new is computed.
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <iostream>
#include <string>

#include "engine/commands/chat_lines.hpp"
#include "engine/commands/interruption.hpp"
#include "engine/commands/requests.hpp"
#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/program/output.hpp"
#include "engine/text/chat_template.hpp"

namespace tenon::engine {
namespace {

/// The control token that the files name as the end of a turn, if it is one.
void add_end_of_turn(std::set<std::int32_t>& ids, tokenizer const& text, chat_template_file const& file) {
  for (auto const& [name, token] : file.tokens)
    if (name == "eos_token")
      if (auto const id = text.encode(token, encode_options{false, true}); id.size() == 1 && text.is_special(id[0]))
        ids.insert(id[0]);
}

class conversation {
 public:
  conversation(options const& from, model_files const& files, chat_template const& form, generator& engine,
               run_limits const& limits)
      : from_(from), files_(files), form_(form), engine_(engine), limits_(limits) {
    reset();
  }

  void reset() {
    messages_ = nlohmann::ordered_json::array();
    if (!from_.chat.system.empty()) say("system", from_.chat.system);
  }

  /// Answers, and remembers both. An error leaves the conversation as it was.
  void answer(std::string const& message) {
    say("user", message);
    try {
      std::string const text = run();
      say("assistant", text);
    } catch (...) {
      messages_.erase(messages_.size() - 1);
      throw;
    }
  }

  std::size_t turns() const { return turns_; }

 private:
  void say(char const* role, std::string const& content) {
    messages_.push_back({{"role", role}, {"content", content}});
  }

  std::string run() {
    chat_input input{.messages = messages_, .tools = nullptr, .seconds = static_cast<std::int64_t>(std::time(nullptr))};
    prompt_request p;
    p.source     = "the conversation";
    p.has_ids    = true;
    p.prompt_ids = encode_prompt(*files_.text, form_.render(input));
    p.sampling   = from_.sampling;
    if (p.prompt_ids.empty())
      throw wrong(p.source, "is an empty prompt", "0 tokens", "a template that writes something");
    if (p.prompt_ids.size() > static_cast<std::size_t>(limits_.max_length))
      throw wrong(p.source, "is longer than the model's length", std::to_string(p.prompt_ids.size()) + " tokens",
                  "at most " + std::to_string(limits_.max_length) + " (/reset begins a new one)");
    std::int64_t const before = engine_.scheduled().cached_tokens;
    bool const         json   = from_.output == output_format::json;
    std::string        text;
    bool               invalid = false;
    interruption const stop;
    engine_.add(to_request(p, turns_++, files_));
    for (bool cancelled = false; !engine_.idle();) {
      if (!cancelled && stop.wanted()) engine_.cancel_all(), cancelled = true;
      engine_.step(
          [&](std::size_t, std::string const& piece) {
            if (!json) out_.write(piece), out_.flush();
          },
          [&](completion&& c) {
            text = c.text;
            if (json) print(c, engine_.scheduled().cached_tokens - before);
            else out_.write("\n"), out_.flush(), note(c);
            invalid = c.reason == finish::invalid;
          });
    }
    if (invalid) throw wrong("--model", "an answer could not be made", "logits that are not finite", "finite ones");
    return text;
  }

  void print(completion const& c, std::int64_t cached) {
    nlohmann::ordered_json j;
    j["turn"] = c.asked.index, j["prompt_tokens"] = c.asked.prompt_ids.size(), j["cached_tokens"] = cached;
    j["ids"] = c.ids, j["text"] = c.text, j["finish_reason"] = name_of(c.reason);
    out_.write(to_line(j));
    out_.flush();
  }

  /// Why an answer is not whole.
  void note(completion const& c) const {
    if (from_.quiet || c.reason == finish::stop) return;
    if (c.reason == finish::cancelled) std::fputs("(interrupted)\n", stderr);
    else if (c.asked.prompt_ids.size() + c.ids.size() > static_cast<std::size_t>(limits_.max_length))
      std::fprintf(stderr, "(the model's length is reached: %zu of %d tokens; /reset begins a new conversation)\n",
                   c.asked.prompt_ids.size() + c.ids.size() - 1, limits_.max_length);
  }

  options const&         from_;
  model_files const&     files_;
  chat_template const&   form_;
  generator&             engine_;
  run_limits const&      limits_;
  nlohmann::ordered_json messages_;
  result_writer          out_;
  std::size_t            turns_ = 0;
};

std::string closing_line(std::size_t turns, generation_counts const& c, schedule_counts const& s) {
  char line[200];
  std::snprintf(line, sizeof line,
                "%zu %s: %lld tokens in %.2f s (%.1f tokens/s); prompts %lld tokens, %lld of them cached", turns,
                turns == 1 ? "answer" : "answers", static_cast<long long>(c.tokens), c.seconds,
                c.seconds > 0 ? static_cast<double>(c.decoded) / c.seconds : 0.0,
                static_cast<long long>(s.queried_tokens), static_cast<long long>(s.cached_tokens));
  return line;
}

}  // namespace

int run_chat(options const& from) {
  chat_template_file const file = find_chat_template(from.model, from.chat.template_file);
  chat_template const      form(file);  // before the model is loaded, that takes longer
  model_files const        files  = open_model(from, text_use::needed);
  run_limits const         limits = limits_of(from, files.config, 1);
  auto const               model  = open_decoder(from, files, limits);
  generator_options        how    = generator_options_of(from, limits, files);
  add_end_of_turn(how.end_ids, *files.text, file);
  generator engine(*model, files.text.get(), how);

  conversation      talk(from, files, form, engine, limits);
  bool const        terminal = isatty(STDIN_FILENO) != 0;
  std::string const prompt   = terminal && !from.quiet ? "tenon" : "";
  if (!prompt.empty())
    std::fputs("/reset begins a new conversation, /exit ends; a \\ at the end of a line goes on in the next\n", stderr);
  while (auto const line = read_chat_line(std::cin, prompt)) {
    if (line->what == chat_line::kind::leave) break;
    if (line->what == chat_line::kind::reset) {
      talk.reset();
      continue;
    }
    try {
      talk.answer(line->text);
    } catch (error const& e) {
      if (!terminal) throw;  // a script should not go on as if it had been answered
      std::fprintf(stderr, "tenon: %s\n", one_line(e.what()).c_str());
    }
  }
  if (!from.quiet)
    std::fprintf(stderr, "%s\n", closing_line(talk.turns(), engine.counts(), engine.scheduled()).c_str());
  return 0;
}

}  // namespace tenon::engine
