//  Tokens to a tree. The grammar is that of Jinja2's parser.py (Pallets, BSD), without what reads other templates.
#include <algorithm>
#include <set>

#include "engine/text/template/lexer.hpp"
#include "engine/text/template/syntax.hpp"

namespace tenon::engine::jinja {
namespace {

using kind = expression_kind;

class parser {
 public:
  parser(std::string_view source, std::string const& name, template_limits const& limits)
      : name_(name), limits_(limits), tokens_(tokens_of(source, name)) {}

  std::vector<statement> run() {
    std::vector<statement> body = statements({});
    if (now().kind != token_kind::end) fail_found("a tag that belongs to no other", "text");
    return body;
  }

 private:
  // --- tokens
  token const& now() const { return tokens_[at_]; }
  token const& after() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void         advance() {
            if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool take(std::string_view symbol) {
    if (!now().is(symbol)) return false;
    advance();
    return true;
  }
  bool take_name(std::string_view word) {
    if (!now().is_name(word)) return false;
    advance();
    return true;
  }
  [[noreturn]] void fail(place at, failure why, std::string_view what, std::string_view found,
                         std::string_view expected) const {
    fail_at(name_, at, why, what, found, expected);
  }
  [[noreturn]] void fail_found(std::string_view what, std::string_view expected) const {
    fail(now().at, failure::syntax, what, shown(now()), expected);
  }
  void expect(std::string_view symbol) {
    if (!take(symbol)) fail_found("unexpected token", in_quotes(symbol));
  }
  std::string expect_name(std::string_view what = "a name") {
    if (now().kind != token_kind::name) fail_found("unexpected token", what);
    std::string name = now().text;
    advance();
    return name;
  }
  void expect_end() {
    if (now().kind != token_kind::block_end) fail_found("unexpected token", "%}");
    advance();
  }
  static std::string shown(token const& t) {
    switch (t.kind) {
      case token_kind::data: return "text";
      case token_kind::block_begin: return "{%";
      case token_kind::block_end: return "%}";
      case token_kind::print_begin: return "{{";
      case token_kind::print_end: return "}}";
      case token_kind::string: return "the string " + in_quotes(t.text);
      case token_kind::integer: return std::to_string(t.integer);
      case token_kind::real: return "a number";
      case token_kind::end: return "the end of the text";
      default: return in_quotes(t.text);
    }
  }

  // --- depth
  struct level {
    explicit level(parser& p) : parser_(p) {
      if (++p.depth_ > p.limits_.nesting) p.fail_depth();
    }
    level(level const&)            = delete;
    level& operator=(level const&) = delete;
    ~level() { --parser_.depth_; }
    parser& parser_;
  };
  [[noreturn]] void fail_depth() const {
    fail(now().at, failure::limit, "the template is nested too deeply",
         "more than " + std::to_string(limits_.nesting) + " levels", "at most that");
  }
  expression node(kind k, place at, std::vector<expression> parts, std::string name = {}) {
    expression e{.kind = k, .at = at, .name = std::move(name)};
    for (expression const& p : parts) e.depth = std::max(e.depth, p.depth + 1);
    if (e.depth > limits_.nesting) fail_depth();
    e.parts = std::move(parts);
    return e;
  }
  static std::vector<expression> list_of(expression a) {
    std::vector<expression> v;
    v.push_back(std::move(a));
    return v;
  }
  static std::vector<expression> list_of(expression a, expression b) {
    std::vector<expression> v = list_of(std::move(a));
    v.push_back(std::move(b));
    return v;
  }
  static expression constant(place at, value v) { return {.kind = kind::constant, .at = at, .constant = std::move(v)}; }
  static value      text_of(std::string text) {
         return std::make_shared<marked_text const>(std::move(text), text_origin::own);
  }

  // --- statements
  /// Until a tag with one of these names, which is then the current token, or the end of the text.
  std::vector<statement> statements(std::initializer_list<std::string_view> ends) {
    level const            deeper(*this);
    std::vector<statement> body;
    while (now().kind != token_kind::end) {
      place const at = now().at;
      if (now().kind == token_kind::data) {
        body.push_back({.kind = statement_kind::data,
                        .at   = at,
                        .data = std::make_shared<marked_text const>(now().text, text_origin::own)});
        advance();
      } else if (now().kind == token_kind::print_begin) {
        advance();
        body.push_back({.kind = statement_kind::print, .at = at, .a = tuple()});
        if (now().kind != token_kind::print_end) fail_found("unexpected token", "}}");
        advance();
      } else {
        advance();  // {%
        if (now().kind == token_kind::name && std::find(ends.begin(), ends.end(), now().text) != ends.end())
          return body;
        body.push_back(tag());
      }
    }
    if (ends.size() > 0) fail_found("a block does not end", in_quotes(std::string(*(ends.end() - 1))));
    return body;
  }
  std::vector<statement> body_until(std::string_view end) {
    expect_end();
    std::vector<statement> body = statements({end});
    advance();
    expect_end();
    return body;
  }

  statement tag() {
    token const first = now();
    if (first.kind != token_kind::name) fail_found("unexpected token", "the name of a tag");
    advance();
    struct known {
      std::string_view name;
      statement (parser::*read)(place);
    };
    static constexpr known all[] = {{"set", &parser::set},         {"for", &parser::loop},
                                    {"if", &parser::branch},       {"macro", &parser::macro},
                                    {"call", &parser::call_block}, {"filter", &parser::filter_block},
                                    {"with", &parser::with},       {"generation", &parser::generation},
                                    {"break", &parser::leave},     {"continue", &parser::next}};
    for (known const& k : all)
      if (k.name == first.text) return (this->*k.read)(first.at);
    constexpr char const* expected = "set, for, if, macro, call, filter, with, generation, break or continue";
    for (std::string_view const other : {"include", "import", "from", "extends", "block"})
      if (other == first.text)
        fail(first.at, failure::unsupported, "other templates cannot be read", in_quotes(first.text), expected);
    fail(first.at, failure::syntax, "unknown tag", in_quotes(first.text), expected);
  }

  statement set(place at) {
    expression target = targets(true);
    if (take("=")) {
      statement s{.kind = statement_kind::assign, .at = at, .a = std::move(target), .b = tuple()};
      expect_end();
      return s;
    }
    expression filters;
    while (now().is("|")) filters = filter(std::move(filters));
    return {.kind = statement_kind::assign_body,
            .at   = at,
            .a    = std::move(target),
            .b    = std::move(filters),
            .body = body_until("endset")};
  }

  statement loop(place at) {
    statement s{.kind = statement_kind::loop, .at = at, .a = targets(false)};
    if (s.a.kind == kind::name && s.a.name == "loop")
      fail(s.a.at, failure::syntax, "the loop's own variable cannot be assigned to", "loop", "another name");
    if (!take_name("in")) fail_found("unexpected token", "in");
    s.b = tuple(false);
    if (take_name("if")) s.c = any();
    if (now().is_name("recursive"))
      fail(now().at, failure::unsupported, "recursive loops are not supported", "recursive",
           "a macro that calls itself");
    expect_end();
    ++loops_;
    s.body = statements({"else", "endfor"});
    --loops_;
    bool const has_else = now().text == "else";
    advance();
    if (has_else) s.otherwise = body_until("endfor");
    else expect_end();
    return s;
  }

  statement branch(place at) {
    statement s{.kind = statement_kind::branch, .at = at};
    s.body.push_back({.kind = statement_kind::arm, .at = at, .a = tuple(false)});
    while (true) {
      expect_end();
      s.body.back().body = statements({"elif", "else", "endif"});
      token const end    = now();
      advance();
      if (end.text == "elif") {
        s.body.push_back({.kind = statement_kind::arm, .at = end.at, .a = tuple(false)});
        continue;
      }
      if (end.text == "else")
        s.body.push_back({.kind = statement_kind::arm, .at = end.at, .body = body_until("endif")});
      else expect_end();
      return s;
    }
  }

  statement leave(place at) { return jump(at, statement_kind::leave); }
  statement next(place at) { return jump(at, statement_kind::next); }
  statement jump(place at, statement_kind k) {
    if (loops_ == 0) fail(at, failure::syntax, "this is for loops", "it outside of one", "it inside of for");
    expect_end();
    return {.kind = k, .at = at};
  }

  /// (a, b=1, ...)
  void signature(statement& s) {
    expect("(");
    while (!now().is(")")) {
      if (!s.parameters.empty()) expect(",");
      s.parameters.push_back(expect_name());
      if (take("=")) s.defaults.push_back(any());
      else if (!s.defaults.empty()) fail_found("a parameter without a default follows one with it", "=");
    }
    expect(")");
  }

  statement macro(place at) {
    if (inside_ > 0 || loops_ > 0)
      fail(at, failure::unsupported, "macros are supported at the top level only",
           "one inside of a loop, a macro or a block", "it outside");
    statement s{.kind = statement_kind::macro, .at = at, .name = expect_name()};
    signature(s);
    callable_body(s, "endmacro");
    return s;
  }
  statement call_block(place at) {
    statement s{.kind = statement_kind::call, .at = at};
    if (now().is("(")) signature(s);
    s.a = any();
    if (s.a.kind != kind::call)
      fail(s.a.at, failure::syntax, "a call block calls nothing", "another expression", "the call of a macro");
    callable_body(s, "endcall");
    return s;
  }
  void callable_body(statement& s, std::string_view end) {
    int const  outer_loops = std::exchange(loops_, 0);
    bool const rest = std::exchange(says_rest_, false), named = std::exchange(says_named_, false);
    s.body        = own_body(end);
    s.takes_rest  = std::exchange(says_rest_, rest);
    s.takes_named = std::exchange(says_named_, named);
    loops_        = outer_loops;
  }
  std::vector<statement> own_body(std::string_view end) {
    ++inside_;
    std::vector<statement> body = body_until(end);
    --inside_;
    return body;
  }

  statement filter_block(place at) {
    statement s{.kind = statement_kind::filter, .at = at, .a = filter_named({})};
    while (now().is("|")) s.a = filter(std::move(s.a));
    s.body = own_body("endfilter");
    return s;
  }
  statement generation(place at) {
    return {.kind = statement_kind::scope, .at = at, .body = own_body("endgeneration")};
  }
  statement with(place at) {
    statement               s{.kind = statement_kind::scope, .at = at};
    std::vector<expression> names, values;
    while (now().kind != token_kind::block_end) {
      if (!names.empty()) expect(",");
      place const here = now().at;
      names.push_back({.kind = kind::name, .at = here, .name = expect_name()});
      expect("=");
      values.push_back(any());
    }
    s.a    = node(kind::tuple, at, std::move(names));
    s.b    = node(kind::tuple, at, std::move(values));
    s.body = own_body("endwith");
    return s;
  }

  // --- what is assigned to
  expression targets(bool members) {
    place const             at = now().at;
    std::vector<expression> all;
    bool                    many = false;
    while (true) {
      if (!all.empty() &&
          (now().is("=") || now().is_name("in") || now().is(")") || now().kind == token_kind::block_end))
        break;
      all.push_back(target(members));
      if (!take(",")) break;
      many = true;
    }
    return many ? node(kind::tuple, at, std::move(all)) : std::move(all[0]);
  }
  expression target(bool members) {
    level const deeper(*this);
    place const at = now().at;
    if (take("(")) {
      expression inner = targets(false);
      expect(")");
      return inner;
    }
    std::string name = expect_name("a name to assign to");
    for (std::string_view const word : {"true", "false", "none", "True", "False", "None"})
      if (name == word) fail(at, failure::syntax, "a constant cannot be assigned to", in_quotes(name), "a name");
    if (members && take(".")) {
      expression e{.kind = kind::member, .at = at, .name = expect_name()};
      e.words.push_back(std::move(name));
      return e;
    }
    return {.kind = kind::name, .at = at, .name = std::move(name)};
  }

  // --- expressions
  bool tuple_ends() const {
    return now().kind == token_kind::print_end || now().kind == token_kind::block_end || now().is(")");
  }
  /// An expression, or several with commas between them.
  expression tuple(bool conditional_too = true, bool may_be_empty = false) {
    level const             deeper(*this);
    place const             at = now().at;
    std::vector<expression> all;
    bool                    many = false;
    while (true) {
      if (many) expect(",");
      if (tuple_ends()) break;
      all.push_back(conditional_too ? any() : disjunction());
      if (!now().is(",")) break;
      many = true;
    }
    if (!many && !all.empty()) return std::move(all[0]);
    if (!many && !may_be_empty) fail_found("unexpected token", "an expression");
    return node(kind::tuple, at, std::move(all));
  }

  expression any() {
    level const deeper(*this);
    place const at   = now().at;
    expression  then = disjunction();
    while (take_name("if")) {
      expression test = disjunction(), otherwise;
      if (take_name("else")) otherwise = any();
      std::vector<expression> parts = list_of(std::move(test), std::move(then));
      parts.push_back(std::move(otherwise));
      then = node(kind::conditional, at, std::move(parts));
    }
    return then;
  }
  expression disjunction() {
    expression left = conjunction();
    for (place at = now().at; take_name("or"); at = now().at)
      left = node(kind::disjunction, at, list_of(std::move(left), conjunction()));
    return left;
  }
  expression conjunction() {
    expression left = negation();
    for (place at = now().at; take_name("and"); at = now().at)
      left = node(kind::conjunction, at, list_of(std::move(left), negation()));
    return left;
  }
  expression negation() {
    if (place const at = now().at; take_name("not")) {
      level const deeper(*this);
      return node(kind::negation, at, list_of(negation()));
    }
    return comparison();
  }
  expression comparison() {
    place const              at    = now().at;
    std::vector<expression>  parts = list_of(sum());
    std::vector<std::string> words;
    while (true) {
      if (now().kind == token_kind::symbol && (now().text == "==" || now().text == "!=" || now().text == "<" ||
                                               now().text == "<=" || now().text == ">" || now().text == ">=")) {
        words.push_back(now().text);
        advance();
      } else if (take_name("in")) {
        words.emplace_back("in");
      } else if (now().is_name("not") && after().is_name("in")) {
        advance(), advance();
        words.emplace_back("not in");
      } else {
        break;
      }
      parts.push_back(sum());
    }
    if (words.empty()) return std::move(parts[0]);
    expression e = node(kind::comparison, at, std::move(parts));
    e.words      = std::move(words);
    return e;
  }
  expression binary(expression (parser::*operand)(), std::initializer_list<std::string_view> symbols) {
    expression left = (this->*operand)();
    while (now().kind == token_kind::symbol && std::find(symbols.begin(), symbols.end(), now().text) != symbols.end()) {
      token const op = now();
      advance();
      left = node(kind::arithmetic, op.at, list_of(std::move(left), (this->*operand)()), op.text);
    }
    return left;
  }
  expression sum() { return binary(&parser::join, {"+", "-"}); }
  expression join() {
    place const             at    = now().at;
    std::vector<expression> parts = list_of(product());
    while (take("~")) parts.push_back(product());
    return parts.size() == 1 ? std::move(parts[0]) : node(kind::join, at, std::move(parts));
  }
  expression product() { return binary(&parser::power, {"*", "/", "//", "%"}); }
  expression power() { return binary(&parser::filtered, {"**"}); }
  expression filtered() { return unary(true); }
  expression unary(bool filters) {
    level const deeper(*this);
    place const at = now().at;
    expression  e;
    if (take("-")) e = node(kind::negative, at, list_of(unary(false)));
    else if (take("+")) e = node(kind::positive, at, list_of(unary(false)));
    else e = primary();
    e = postfix(std::move(e));
    while (filters) {
      if (now().is("|")) e = filter(std::move(e));
      else if (now().is_name("is")) e = test(std::move(e));
      else if (now().is("(")) e = call(std::move(e));
      else break;
    }
    return e;
  }

  expression primary() {
    token const first = now();
    switch (first.kind) {
      case token_kind::name:
        advance();
        if (first.text == "true" || first.text == "True") return constant(first.at, true);
        if (first.text == "false" || first.text == "False") return constant(first.at, false);
        if (first.text == "none" || first.text == "None") return constant(first.at, none_value{});
        says_rest_  = says_rest_ || first.text == "varargs";
        says_named_ = says_named_ || first.text == "kwargs";
        return {.kind = kind::name, .at = first.at, .name = first.text};
      case token_kind::string: {
        std::string text;
        for (; now().kind == token_kind::string; advance()) text += now().text;
        return constant(first.at, text_of(std::move(text)));
      }
      case token_kind::integer: advance(); return constant(first.at, first.integer);
      case token_kind::real: advance(); return constant(first.at, first.real);
      default: break;
    }
    if (take("(")) {
      expression e = tuple(true, true);
      expect(")");
      return e;
    }
    if (take("[")) return list(first.at);
    if (take("{")) return mapping(first.at);
    fail_found("unexpected token", "an expression");
  }
  expression list(place at) {
    std::vector<expression> items;
    while (!now().is("]")) {
      if (!items.empty()) expect(",");
      if (now().is("]")) break;
      items.push_back(any());
    }
    expect("]");
    return node(kind::list, at, std::move(items));
  }
  expression mapping(place at) {
    std::vector<expression> entries;
    while (!now().is("}")) {
      if (!entries.empty()) expect(",");
      if (now().is("}")) break;
      entries.push_back(any());
      expect(":");
      entries.push_back(any());
    }
    expect("}");
    return node(kind::mapping, at, std::move(entries));
  }

  expression postfix(expression e) {
    while (true) {
      if (now().is(".") || now().is("[")) e = subscript(std::move(e));
      else if (now().is("(")) e = call(std::move(e));
      else return e;
    }
  }
  expression subscript(expression of) {
    place const at = now().at;
    if (take(".")) {
      token const name = now();
      if (name.kind == token_kind::name) {
        advance();
        return node(kind::attribute, at, list_of(std::move(of)), name.text);
      }
      if (name.kind != token_kind::integer) fail_found("unexpected token", "a name or a number");
      advance();
      return node(kind::item, at, list_of(std::move(of), constant(name.at, name.integer)));
    }
    advance();  // [
    if (now().is("]")) fail_found("unexpected token", "an expression");
    expression begin;
    if (!now().is(":")) {
      begin = any();
      if (take("]")) return node(kind::item, at, list_of(std::move(of), std::move(begin)));
    }
    expect(":");
    expression end, step;
    if (!now().is(":") && !now().is("]")) end = any();
    if (take(":") && !now().is("]")) step = any();
    expect("]");
    std::vector<expression> parts = list_of(std::move(of), std::move(begin));
    parts.push_back(std::move(end));
    parts.push_back(std::move(step));
    return node(kind::slice, at, std::move(parts));
  }

  /// `e` with the arguments that follow.
  expression arguments(expression_kind k, place at, expression of, std::string name) {
    std::vector<expression>  parts = list_of(std::move(of));
    std::vector<std::string> words;
    std::set<std::string>    seen;
    expression               rest_list, rest_mapping;
    bool                     first = true;
    expect("(");
    while (!now().is(")")) {
      if (!first) {
        expect(",");
        if (now().is(")")) break;
      }
      first            = false;
      place const here = now().at;
      bool const  more = rest_list.kind != kind::absent, named = rest_mapping.kind != kind::absent;
      auto const  need = [&](bool ok) {
        if (!ok)
          fail(here, failure::syntax, "arguments are in a wrong order", shown(now()),
                "values, names with =, *list and **mapping");
      };
      if (now().is("*")) {
        need(!more && !named);
        advance();
        rest_list = any();
      } else if (now().is("**")) {
        need(!named);
        advance();
        rest_mapping = any();
      } else if (now().kind == token_kind::name && after().is("=")) {
        need(!named);
        if (!seen.insert(now().text).second)
          fail(here, failure::syntax, "an argument is there twice", in_quotes(now().text), "it once");
        words.push_back(now().text);
        advance(), advance();
        parts.push_back(any());
      } else {
        need(!more && !named && words.empty());
        parts.push_back(any());
      }
    }
    expect(")");
    bool const has_list = rest_list.kind != kind::absent, has_mapping = rest_mapping.kind != kind::absent;
    if (has_list) parts.push_back(std::move(rest_list));
    if (has_mapping) parts.push_back(std::move(rest_mapping));
    expression e   = node(k, at, std::move(parts), std::move(name));
    e.words        = std::move(words);
    e.rest_list    = has_list;
    e.rest_mapping = has_mapping;
    return e;
  }
  expression  call(expression of) { return arguments(kind::call, now().at, std::move(of), {}); }
  std::string dotted_name() {
    std::string name = expect_name();
    while (take(".")) name += "." + expect_name();
    return name;
  }
  expression filter(expression of) {
    expect("|");
    return filter_named(std::move(of));
  }
  expression filter_named(expression of) {
    place const at   = now().at;
    std::string name = dotted_name();
    if (now().is("(")) return arguments(kind::filter, at, std::move(of), std::move(name));
    return node(kind::filter, at, list_of(std::move(of)), std::move(name));
  }
  expression test(expression of) {
    place const at = now().at;
    advance();  // is
    bool const  negated = take_name("not");
    std::string name    = dotted_name();
    expression  e;
    token const next = now();
    if (next.is("(")) {
      e = arguments(kind::test, at, std::move(of), std::move(name));
    } else if ((next.kind == token_kind::name && next.text != "else" && next.text != "or" && next.text != "and") ||
               next.kind == token_kind::string || next.kind == token_kind::integer || next.kind == token_kind::real ||
               next.is("[") || next.is("{")) {
      if (next.text == "is" && next.kind == token_kind::name) fail_found("tests cannot be chained", "and");
      level const deeper(*this);
      e = node(kind::test, at, list_of(std::move(of), postfix(primary())), std::move(name));
    } else {
      e = node(kind::test, at, list_of(std::move(of)), std::move(name));
    }
    return negated ? node(kind::negation, at, list_of(std::move(e))) : std::move(e);
  }

  std::string const&     name_;
  template_limits const& limits_;
  std::vector<token>     tokens_;
  std::size_t            at_    = 0;
  int                    depth_ = 0;
  int  loops_ = 0, inside_ = 0;  // for loops, and blocks with variables of their own, around the current tag
  bool says_rest_ = false, says_named_ = false;
};

}  // namespace

std::vector<statement> parse_template(std::string_view source, std::string const& name, template_limits const& limits) {
  if (source.size() > limits.template_bytes)
    fail_at(name, {}, failure::limit, "the template is too long", std::to_string(source.size()) + " bytes",
            "at most " + std::to_string(limits.template_bytes));
  return parser(source, name, limits).run();
}

}  // namespace tenon::engine::jinja
