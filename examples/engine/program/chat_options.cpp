#include "engine/program/chat_options.hpp"

#include "engine/program/command_line.hpp"
#include "engine/program/option_set.hpp"
#include "engine/program/sampling_fields.hpp"

namespace tenon::engine {

void add_chat(option_set& set, options& o) {
  set.text("--chat-template", "FILE", "the template of prompts, in place of the model's own", o.chat.template_file);
  set.text("--system", "TEXT", "a system message in front of the conversation", o.chat.system);
}

void check_chat(option_set const& set, options& o) {
  if (o.model.empty()) misuse("--model", "missing", "nothing", "a model directory");
  if (!set.given("--max-tokens")) o.sampling.max_tokens = largest_int32;
}

}  // namespace tenon::engine
