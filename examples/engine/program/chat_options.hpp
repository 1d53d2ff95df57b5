#pragma once
//  The options of `chat`.
#include <string>

namespace tenon::engine {

class option_set;
struct options;

struct chat_options {
  std::string template_file;  // --chat-template, in place of the model's
  std::string system;         // what the conversation begins with; empty: nothing
};

void add_chat(option_set& set, options& o);
/// Answers are as long as the model allows where the command line does not say it.
void check_chat(option_set const& set, options& o);

}  // namespace tenon::engine
