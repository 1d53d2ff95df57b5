#pragma once
//  A conversation to a model's prompt, by the chat template that comes with the model.
//
//  What the template writes itself may be control tokens; what comes from messages is text, whatever it spells
//  (marked_text.hpp). The prompt is encoded as one text, so no token borders appear where a message begins or ends.
//  Page: docs/chat.md
//  Test: tests/engine/text/chat_template_test.cpp
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/template/template.hpp"
#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

/// What a template needs to know of its model: tokens by their texts.
struct chat_template_file {
  std::string                                      name;  // of the file, for messages
  std::string                                      source;
  std::vector<std::pair<std::string, std::string>> tokens;  // bos_token, eos_token, ...
};

/// What a conversation gives a template.
struct chat_input {
  nlohmann::ordered_json         messages;                  // [{"role": "user", "content": "..."}, ...]
  nlohmann::ordered_json         tools;                     // null: none
  bool                           generation_prompt = true;  // the answer begins where the prompt ends
  std::vector<template_variable> more              = {};    // of the template's own: documents, enable_thinking, ...
  std::optional<std::int64_t>    seconds           = {};    // the time, since 1970 in UTC
};

class chat_template {
 public:
  explicit chat_template(chat_template_file const& file, template_limits limits = {});

  [[nodiscard]] marked_text render(chat_input const& input) const;

 private:
  text_template                  template_;
  std::vector<template_variable> tokens_;
};

/// The ids of what a template has written: control tokens where it wrote all of their bytes itself. Nothing is added:
/// templates write their own beginning. Throws where the tokenizer cannot tell the two apart.
[[nodiscard]] std::vector<std::int32_t> encode_prompt(tokenizer const& text, marked_text const& prompt);

/// The template of a model directory: chat_template.jinja, else `chat_template` of tokenizer_config.json, a text or a
/// list of named ones, of which "default" is taken. `file` is read in their place; tokens are tokenizer_config.json's.
/// Throws where there is none.
[[nodiscard]] chat_template_file find_chat_template(std::string const& model_directory, std::string const& file = {});

}  // namespace tenon::engine
