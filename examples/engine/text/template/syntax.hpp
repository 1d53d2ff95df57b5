#pragma once
//  A template as a tree.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/template/execution.hpp"

namespace tenon::engine::jinja {

enum class expression_kind : unsigned char {
  constant,
  name,
  list,         // parts
  tuple,        // parts
  mapping,      // parts: key, value, key, value...
  attribute,    // parts[0].name
  item,         // parts[0][parts[1]]
  slice,        // parts[0][parts[1]:parts[2]:parts[3]], `absent` where one is not there
  call,         // parts[0](arguments)
  filter,       // parts[0]|name(arguments)
  test,         // parts[0] is name(arguments)
  negative,     // -parts[0]
  positive,     // +parts[0]
  negation,     // not parts[0]
  arithmetic,   // parts[0] name parts[1]
  join,         // parts[0] ~ parts[1] ~ ...
  comparison,   // parts[0] words[0] parts[1] words[1] parts[2] ...
  conjunction,  // parts[0] and parts[1]
  disjunction,  // parts[0] or parts[1]
  conditional,  // parts[1] if parts[0] else parts[2], which may be absent
  member,       // of a namespace, in what is assigned to: words[0].name
  absent
};

struct expression {
  expression_kind          kind      = expression_kind::absent;
  place                    at        = {};
  int                      depth     = 1;
  std::string              name      = {};
  value                    constant  = {};
  std::vector<expression>  parts     = {};
  std::vector<std::string> words     = {};                           // arguments: names of the last parts
  bool                     rest_list = false, rest_mapping = false;  // *list, **mapping: the last parts of all
};

enum class statement_kind : unsigned char {
  data,         // text
  print,        // a
  assign,       // a = b
  assign_body,  // a = body, through the filters of b
  loop,         // for a in b if c: body, else otherwise
  branch,       // the arms in body, of which the first that applies is run
  arm,          // if a, which may be absent: body
  leave,        // break
  next,         // continue
  macro,        // text(parameters): body
  call,         // a with body as its caller(parameters)
  filter,       // body through the filters of a
  scope         // body, with variables of its own: a is a tuple of targets, b of values
};

struct statement {
  statement_kind           kind;
  place                    at   = {};
  text_ptr                 data = {};
  std::string              name = {};
  expression               a = {}, b = {}, c = {};
  std::vector<statement>   body       = {};
  std::vector<statement>   otherwise  = {};
  std::vector<std::string> parameters = {};
  std::vector<expression>  defaults   = {};                          // of the last parameters
  bool                     takes_rest = false, takes_named = false;  // the body speaks of varargs, of kwargs
};

/// Throws template_error.
[[nodiscard]] std::vector<statement> parse_template(std::string_view source, std::string const& name,
                                                    template_limits const& limits);

}  // namespace tenon::engine::jinja
