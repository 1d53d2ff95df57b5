#pragma once
//  Templates in the subset of Jinja2 that chat templates are written in, run within bounds: steps, memory, output, depth.
//
//  A template reads what it is given and writes text; it reaches no file, no other template and no attribute but those of
//  docs/chat.md. Settings are those of Transformers: trim_blocks, lstrip_blocks, loop controls, no escaping.
//  Test: tests/engine/text/template_test.cpp
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/template/limits.hpp"
#include "engine/text/template/marked_text.hpp"

namespace tenon::engine {

namespace jinja {
struct statement;
}

/// What a template can name. Texts in it, keys included, are from there.
struct template_variable {
  std::string            name;
  nlohmann::ordered_json content;
  text_origin            from = text_origin::foreign;
};

/// Immutable: may be rendered by several threads at once.
class text_template {
 public:
  /// `name` is for messages. Throws jinja::template_error, as render does.
  text_template(std::string_view source, std::string name, template_limits limits = {});
  text_template(text_template&&) noexcept;
  text_template& operator=(text_template&&) noexcept;
  ~text_template();

  /// `seconds`: the time for strftime_now, since 1970 in UTC.
  [[nodiscard]] marked_text render(std::span<template_variable const> variables,
                                   std::optional<std::int64_t>        seconds = {}) const;

 private:
  std::string                   name_;
  template_limits               limits_;
  std::vector<jinja::statement> tree_;
};

}  // namespace tenon::engine
