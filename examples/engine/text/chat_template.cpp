#include "engine/text/chat_template.hpp"

#include <filesystem>
#include <string_view>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/files/mapped_file.hpp"
#include "engine/text/added_tokens.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

namespace fs = std::filesystem;

/// The text of a token, which is written as one or as an object with its content.
std::optional<std::string> token_text(json_value const& v) {
  if (v.is_string()) return v.get<std::string>();
  if (v.is_object() && v.contains("content") && v["content"].is_string()) return v["content"].get<std::string>();
  return std::nullopt;
}

/// The template in tokenizer_config.json; none: it has none.
std::optional<std::string> template_in(json_fields const& config) {
  json_value const* v = config.find("chat_template");
  if (v == nullptr) return std::nullopt;
  if (v->is_string()) return v->get<std::string>();
  if (!v->is_array()) throw config.wrong("chat_template", "wrong type", describe(*v), "a text or a list of named ones");
  std::string names;
  for (json_value const& one : *v) {
    json_fields const f(one, config.file(), "chat_template");
    std::string const name = f.text("name");
    if (name == "default") return f.text("template");
    names += (names.empty() ? "" : ", ") + in_quotes(name);
  }
  throw config.wrong("chat_template", "has no template of that name", names.empty() ? "none" : names, "\"default\"");
}

/// Tokens may take the white space beside them, a message's, too.
token_span without_space(std::string_view spelled, token_span s) {
  std::size_t const front = leading_bytes(spelled, is_white_space);
  if (front == spelled.size()) return s;
  return {s.begin + front, s.end - trailing_bytes(spelled, is_white_space)};
}

}  // namespace

chat_template_file find_chat_template(std::string const& model_directory, std::string const& file) {
  chat_template_file         found;
  std::error_code            ignored;
  auto const                 config_path = fs::path(model_directory) / "tokenizer_config.json";
  auto const                 jinja_path  = fs::path(model_directory) / "chat_template.jinja";
  std::string                separate    = file;
  std::optional<std::string> source;
  if (file.empty() && !model_directory.empty() && fs::exists(jinja_path, ignored)) separate = jinja_path.string();
  if (!model_directory.empty() && fs::exists(config_path, ignored)) {
    json_value const  tree = read_json(config_path.string());
    json_fields const config(tree, config_path.string());
    for (auto const& [key, v] : config.object().items())
      if (key.ends_with("_token"))
        if (auto text = token_text(v)) found.tokens.emplace_back(key, std::move(*text));
    if (separate.empty()) source = template_in(config), found.name = config_path.string() + ": chat_template";
  }
  if (!separate.empty()) source = read_bytes(separate, template_limits{}.template_bytes), found.name = separate;
  if (!source)
    throw wrong(model_directory.empty() ? "--model" : model_directory, "has no chat template",
                "none in tokenizer_config.json or chat_template.jinja", "one of them, or --chat-template FILE");
  found.source = std::move(*source);
  return found;
}

chat_template::chat_template(chat_template_file const& file, template_limits limits)
    : template_(file.source, file.name, limits) {
  for (auto const& [name, text] : file.tokens) tokens_.push_back({name, text, text_origin::own});
}

marked_text chat_template::render(chat_input const& input) const {
  std::vector<template_variable> variables = tokens_;
  variables.push_back({"messages", input.messages});
  // What is not there is none, not undefined, as Transformers has it.
  variables.push_back({"tools", input.tools});
  variables.push_back({"documents", nullptr});
  variables.push_back({"add_generation_prompt", input.generation_prompt});
  variables.insert(variables.end(), input.more.begin(), input.more.end());
  return template_.render(variables, input.seconds);
}

std::vector<std::int32_t> encode_prompt(tokenizer const& text, marked_text const& prompt) {
  encode_options options{.add_special = false, .control_in_text = true, .foreign = prompt.foreign()};
  encoding       e = text.encode_with_spans(prompt.bytes(), options);
  for (std::size_t i = 0; i < e.ids.size(); ++i) {
    if (!text.is_special(e.ids[i])) continue;
    token_span const       s       = e.spans[i];
    std::string_view const spelled = std::string_view(prompt.bytes()).substr(s.begin, s.end - s.begin);
    if (touches(prompt.foreign(), without_space(spelled, s)))
      throw wrong("the prompt", "a control token would come from a message", in_quotes(spelled),
                  "a tokenizer that tells them apart");
  }
  return std::move(e.ids);
}

}  // namespace tenon::engine
