#include "engine/text/template/template.hpp"

#include <utility>

#include "engine/text/template/evaluator.hpp"

namespace tenon::engine {
namespace {

jinja::value value_of(jinja::execution& x, nlohmann::ordered_json const& j, text_origin from) {
  jinja::execution::level const deeper(x);
  switch (j.type()) {
    case nlohmann::ordered_json::value_t::null: return jinja::none_value{};
    case nlohmann::ordered_json::value_t::boolean: return j.get<bool>();
    case nlohmann::ordered_json::value_t::number_integer: return j.get<std::int64_t>();
    case nlohmann::ordered_json::value_t::number_unsigned:
      if (!std::in_range<std::int64_t>(j.get<std::uint64_t>()))
        x.fail("an integer is out of range", j.dump(), "one of 64 bits with a sign");
      return j.get<std::int64_t>();
    case nlohmann::ordered_json::value_t::number_float: return j.get<double>();
    case nlohmann::ordered_json::value_t::string: return x.text({j.get<std::string>(), from});
    case nlohmann::ordered_json::value_t::array: {
      std::vector<jinja::value> items;
      for (auto const& item : j) items.push_back(value_of(x, item, from));
      return x.list(std::move(items));
    }
    case nlohmann::ordered_json::value_t::object: {
      jinja::mapping_value m;
      for (auto const& [key, item] : j.items()) m.set(x, x.text({key, from}), value_of(x, item, from));
      return x.mapping(std::move(m));
    }
    default: x.fail("no value for a template", j.type_name(), "JSON");
  }
}

}  // namespace

text_template::text_template(std::string_view source, std::string name, template_limits limits)
    : name_(std::move(name)), limits_(limits), tree_(jinja::parse_template(source, name_, limits_)) {}
text_template::text_template(text_template&&) noexcept            = default;
text_template& text_template::operator=(text_template&&) noexcept = default;
text_template::~text_template()                                   = default;

marked_text text_template::render(std::span<template_variable const> variables,
                                  std::optional<std::int64_t>        seconds) const {
  jinja::execution     x(name_, limits_);
  jinja::mapping_value given;
  for (template_variable const& v : variables) given.set(x, x.own_text(v.name), value_of(x, v.content, v.from));
  return jinja::evaluate(x, tree_, std::move(given), seconds);
}

}  // namespace tenon::engine
