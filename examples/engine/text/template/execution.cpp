#include "engine/text/template/execution.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace tenon::engine::jinja {

void fail_at(std::string const& name, place at, failure reason, std::string_view what, std::string_view found,
             std::string_view expected) {
  throw template_error(
      reason, at,
      wrong(name + ": line " + std::to_string(at.line) + ", column " + std::to_string(at.column), what, found, expected)
          .what());
}

execution::~execution() {
  for (namespace_ptr const& s : spaces_) s->attributes = {};
}

void execution::fail_undefined(value const& v) const {
  auto const* u = std::get_if<undefined_value>(&v);
  fail(failure::undefined, "a value that is not there is used", u && u->why ? *u->why : "an undefined value",
       "a value");
}

void execution::fail_steps() const {
  fail(failure::limit, "the template takes too long", "more than " + std::to_string(limits_.steps) + " steps",
       "at most that");
}

void execution::fail_depth() const {
  fail(failure::limit, "the template goes too deep", "more than " + std::to_string(limits_.depth) + " levels",
       "at most that");
}

void execution::make(std::size_t bytes) {
  if (bytes > limits_.memory_bytes - memory_)
    fail(failure::limit, "the template takes too much memory",
         "more than " + std::to_string(limits_.memory_bytes) + " bytes", "at most that");
  memory_ += bytes;
  read(bytes);
}

void execution::check_depth(int depth) const {
  if (depth > limits_.value_depth)
    fail(failure::limit, "lists are nested too deeply", "more than " + std::to_string(limits_.value_depth) + " levels",
         "at most that");
}

value execution::text(marked_text t) {
  make(t.size() + t.foreign().size_bytes() + sizeof(marked_text));
  return std::make_shared<marked_text const>(std::move(t));
}

value execution::list(std::vector<value> items, sequence_kind kind) {
  int depth = 0;
  for (value const& v : items) depth = std::max(depth, depth_of(v));
  check_depth(depth + 1);
  make(items.size() * sizeof(value) + sizeof(list_value));
  return std::make_shared<list_value>(list_value{std::move(items), kind, 0, depth + 1});
}

value execution::mapping(mapping_value entries) {
  int depth = 0;
  for (auto const& [k, v] : entries.entries()) depth = std::max({depth, depth_of(k), depth_of(v)});
  check_depth(depth + 1);
  entries.depth = depth + 1;
  make(entries.size() * 4 * sizeof(value) + sizeof(mapping_value));
  return std::make_shared<mapping_value const>(std::move(entries));
}

value execution::space(mapping_value entries) {
  make(entries.size() * 4 * sizeof(value) + sizeof(namespace_value));
  auto s = std::make_shared<namespace_value>(namespace_value{std::move(entries)});
  spaces_.push_back(s);
  return s;
}

}  // namespace tenon::engine::jinja
