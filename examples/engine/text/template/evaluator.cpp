#include "engine/text/template/evaluator.hpp"

#include <algorithm>
#include <map>

#include "engine/text/template/functions.hpp"
#include "engine/text/template/operators.hpp"

namespace tenon::engine::jinja {
namespace {

using kind = expression_kind;

/// Variables that a block has of its own. A loop has some for each item, a macro for each call; if has none.
struct scope {
  scope*                            outer     = nullptr;
  std::map<std::string_view, value> variables = {};

  value const* find(std::string_view name) const {
    for (scope const* s = this; s != nullptr; s = s->outer)
      if (auto const at = s->variables.find(name); at != s->variables.end()) return &at->second;
    return nullptr;
  }
};

/// The body of a call block, as the macro that is called sees it.
struct caller_body {
  statement const* block;
  scope*           around;  // null once the call is over
};

/// How a body ends: at its end, or by break or continue.
enum class flow { on, leave, next };

constexpr std::string_view functions[] = {"range", "namespace", "dict", "raise_exception", "strftime_now"};

class evaluator {
 public:
  evaluator(execution& x, mapping_value variables, std::optional<std::int64_t> seconds)
      : x_(x), given_(std::move(variables)), seconds_(seconds) {}

  marked_text run(std::vector<statement> const& tree) {
    marked_text out;
    body(tree, top_, out);
    return out;
  }

 private:
  // ------------------------------------------------------------------------------------------------------------- statements

  void write(marked_text& out, marked_text const& t) {
    x_.read(t.size());
    if (t.size() > x_.limits().output_bytes - written_)
      x_.fail(failure::limit, "the template writes too much",
              "more than " + std::to_string(x_.limits().output_bytes) + " bytes", "at most that");
    written_ += t.size();
    out.append(t);
  }

  flow body(std::vector<statement> const& list, scope& s, marked_text& out) {
    for (statement const& one : list)
      if (flow const f = run_one(one, s, out); f != flow::on) return f;
    return flow::on;
  }

  flow run_one(statement const& st, scope& s, marked_text& out) {
    execution::level const deeper(x_);
    x_.step();
    x_.at = st.at;
    switch (st.kind) {
      case statement_kind::data: write(out, *st.data); break;
      case statement_kind::print: write(out, to_text(x_, eval(st.a, s))); break;
      case statement_kind::assign: assign(st.a, eval(st.b, s), s); break;
      case statement_kind::assign_body: {
        auto const [text, f] = captured(st.body, s);
        if (f != flow::on) return f;
        assign(st.a, st.b.kind == kind::absent ? text : filtered(st.b, text, s), s);
        break;
      }
      case statement_kind::loop: return loop(st, s, out);
      case statement_kind::branch:
        for (statement const& arm : st.body) {
          x_.step();
          if (arm.a.kind == kind::absent || truth(eval(arm.a, s))) return body(arm.body, s, out);
        }
        break;
      case statement_kind::arm: break;
      case statement_kind::leave: return flow::leave;
      case statement_kind::next: return flow::next;
      case statement_kind::macro:
        x_.make(sizeof(function_value));
        s.variables[st.name] = std::make_shared<function_value const>(function_value{st.name, std::nullopt, &st});
        break;
      case statement_kind::call: call_block(st, s, out); break;
      case statement_kind::filter: {
        auto const [text, f] = captured(st.body, s);
        if (f != flow::on) return f;
        write(out, to_text(x_, filtered(st.a, text, s)));
        break;
      }
      case statement_kind::scope: {
        scope inner{&s};
        for (std::size_t i = 0; i < st.a.parts.size(); ++i)
          inner.variables[st.a.parts[i].name] = eval(st.b.parts[i], s);
        return body(st.body, inner, out);
      }
    }
    return flow::on;
  }

  /// What a body writes, with variables of its own.
  std::pair<value, flow> captured(std::vector<statement> const& list, scope& s) {
    scope       inner{&s};
    marked_text text;
    flow const  f = body(list, inner, text);
    return {x_.text(std::move(text)), f};
  }

  void assign(expression const& target, value v, scope& s) {
    x_.step();
    if (target.kind == kind::name) {
      x_.make(sizeof(value));
      s.variables[target.name] = std::move(v);
    } else if (target.kind == kind::member) {
      x_.at             = target.at;
      value const space = variable(target.words[0], s);
      auto const* n     = std::get_if<namespace_ptr>(&space);
      if (!n) x_.fail("only a namespace has attributes to assign to", describe(space), "a namespace");
      x_.make(4 * sizeof(value));
      (*n)->attributes.set(x_, x_.own_text(target.name), std::move(v));
    } else {
      auto const items = items_of(x_, v);
      if (items.size() != target.parts.size())
        x_.fail("a list does not fit the names", std::to_string(items.size()) + " items",
                std::to_string(target.parts.size()));
      for (std::size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i], s);
    }
  }

  flow loop(statement const& st, scope& s, marked_text& out) {
    value const over = eval(st.b, s);
    x_.at            = st.b.at;
    auto items       = std::make_shared<std::vector<value>>(items_of(x_, over));
    if (st.c.kind != kind::absent)
      std::erase_if(*items, [&](value const& item) {
        scope inner{&s};
        inner.variables["loop"] = undefined("loop, which a loop's own condition cannot see");
        assign(st.a, item, inner);
        return !truth(eval(st.c, inner));
      });
    int  depth = 0;
    bool ended = false;  // an item's body went to its end: where none did, else is run, as Jinja has it
    for (value const& item : *items) depth = std::max(depth, depth_of(item));
    for (std::size_t i = 0; i < items->size(); ++i) {
      x_.step();
      x_.make(sizeof(loop_value));
      scope inner{&s};
      inner.variables["loop"] = std::make_shared<loop_value const>(loop_value{items, i, depth + 1});
      assign(st.a, (*items)[i], inner);
      flow const f = body(st.body, inner, out);
      if (f == flow::leave) break;
      ended = ended || f == flow::on;
    }
    if (ended) return flow::on;
    scope inner{&s};
    return body(st.otherwise, inner, out);
  }

  void call_block(statement const& st, scope& s, marked_text& out) {
    auto const caller = std::make_shared<caller_body>(caller_body{&st, &s});
    struct ending {
      caller_body& c;
      ~ending() { c.around = nullptr; }
    } const end{*caller};
    value const as_value =
        std::make_shared<function_value const>(function_value{"caller", std::nullopt, nullptr, caller});
    value const callee = eval(st.a.parts[0], s);
    auto        a      = arguments(st.a, s);
    a.named.emplace_back(own("caller"), as_value);
    x_.at = st.a.at;
    write(out, to_text(x_, call(callee, a)));
  }

  // ------------------------------------------------------------------------------------------------------------ expressions

  value variable(std::string const& name, scope const& s) {
    if (value const* v = s.find(name)) return *v;
    if (value const* v = given_.find(std::string_view(name))) return *v;
    if (std::find(std::begin(functions), std::end(functions), name) != std::end(functions)) {
      x_.make(sizeof(function_value));
      return std::make_shared<function_value const>(function_value{name, std::nullopt});
    }
    return undefined(in_quotes(name) + ", which is undefined");
  }

  value eval(expression const& e, scope& s) {
    execution::level const deeper(x_);
    x_.step();
    value result = evaluated(e, s);
    x_.at        = e.at;
    return result;
  }

  value evaluated(expression const& e, scope& s) {
    switch (e.kind) {
      case kind::constant: return e.constant;
      case kind::name: return variable(e.name, s);
      case kind::list:
      case kind::tuple: {
        auto items = all(e, s);
        x_.at      = e.at;
        return x_.list(std::move(items), e.kind == kind::list ? sequence_kind::list : sequence_kind::tuple);
      }
      case kind::mapping: return mapping(e, s);
      case kind::attribute: {
        value const of = eval(e.parts[0], s);
        x_.at          = e.at;
        return attribute_of(x_, of, e.name);
      }
      case kind::item: {
        value const of = eval(e.parts[0], s), key = eval(e.parts[1], s);
        x_.at = e.at;
        return item_of(x_, of, key);
      }
      case kind::slice: {
        value const of    = eval(e.parts[0], s);
        auto const  bound = [&](expression const& b) {
          return b.kind == kind::absent ? std::nullopt : std::optional(eval(b, s));
        };
        auto const begin = bound(e.parts[1]), end = bound(e.parts[2]), step = bound(e.parts[3]);
        x_.at = e.at;
        return slice_of(x_, of, begin, end, step);
      }
      case kind::call: {
        value const callee = eval(e.parts[0], s);
        auto const  a      = arguments(e, s);
        x_.at              = e.at;
        return call(callee, a);
      }
      case kind::filter: return filtered(e, undefined("nothing"), s);
      case kind::test: {
        value const v = eval(e.parts[0], s);
        auto const  a = arguments(e, s);
        x_.at         = e.at;
        return apply_test(x_, e.name, v, a);
      }
      case kind::negative: {
        value const v = eval(e.parts[0], s);
        x_.at         = e.at;
        return negative(x_, v);
      }
      case kind::positive: {
        value const  v = eval(e.parts[0], s);
        std::int64_t i = 0;
        x_.at          = e.at;
        if (is<double>(v)) return v;
        if (is<undefined_value>(v)) x_.fail_undefined(v);
        if (!integer_in(v, i)) x_.fail("this is no number", describe(v), "one behind +");
        return i;
      }
      case kind::negation: return !truth(eval(e.parts[0], s));
      case kind::arithmetic: {
        value const a = eval(e.parts[0], s), b = eval(e.parts[1], s);
        x_.at = e.at;
        return arithmetic(x_, e.name, a, b);
      }
      case kind::join: {
        marked_text joined;
        for (expression const& part : e.parts) {
          marked_text const t = to_text(x_, eval(part, s));
          x_.make(t.size());
          joined.append(t);
        }
        return x_.text(std::move(joined));
      }
      case kind::comparison: return compared(e, s);
      case kind::conjunction: {
        value a = eval(e.parts[0], s);
        return truth(a) ? eval(e.parts[1], s) : a;
      }
      case kind::disjunction: {
        value a = eval(e.parts[0], s);
        return truth(a) ? a : eval(e.parts[1], s);
      }
      case kind::conditional:
        if (truth(eval(e.parts[0], s))) return eval(e.parts[1], s);
        if (e.parts[2].kind == kind::absent) return undefined("an inline if without else, whose condition was false");
        return eval(e.parts[2], s);
      case kind::member:
      case kind::absent: break;
    }
    return undefined("nothing");
  }

  std::vector<value> all(expression const& e, scope& s) {
    std::vector<value> items;
    for (expression const& part : e.parts) items.push_back(eval(part, s));
    return items;
  }

  value mapping(expression const& e, scope& s) {
    mapping_value m;
    for (std::size_t i = 0; i + 1 < e.parts.size(); i += 2) {
      value key = eval(e.parts[i], s);
      if (!is_key(key)) x_.fail("this cannot be a key", describe(key), "a string or a number");
      m.set(x_, std::move(key), eval(e.parts[i + 1], s));
    }
    x_.at = e.at;
    return x_.mapping(std::move(m));
  }

  value compared(expression const& e, scope& s) {
    value left = eval(e.parts[0], s);
    for (std::size_t i = 0; i < e.words.size(); ++i) {
      value              right = eval(e.parts[i + 1], s);
      std::string const& op    = e.words[i];
      x_.at                    = e.at;
      bool yes                 = false;
      if (op == "==") yes = equal(x_, left, right);
      else if (op == "!=") yes = !equal(x_, left, right);
      else if (op == "in") yes = contains(x_, right, left);
      else if (op == "not in") yes = !contains(x_, right, left);
      else {
        int const o = order(x_, left, right);  // 2: one is not a number
        yes         = op == "<" ? o == -1 : op == ">" ? o == 1 : op == "<=" ? o == -1 || o == 0 : o == 1 || o == 0;
      }
      if (!yes) return false;
      left = std::move(right);
    }
    return true;
  }

  /// A chain of filters; the innermost one filters `text` where it names nothing itself.
  value filtered(expression const& e, value const& text, scope& s) {
    execution::level const deeper(x_);
    expression const&      of = e.parts[0];
    value const v = of.kind == kind::absent ? text : of.kind == kind::filter ? filtered(of, text, s) : eval(of, s);
    auto const  a = arguments(e, s);
    x_.at         = e.at;
    return apply_filter(x_, e.name, v, a);
  }

  static text_ptr own(std::string name) {
    return std::make_shared<marked_text const>(std::move(name), text_origin::own);
  }
  call_arguments arguments(expression const& e, scope& s) {
    call_arguments    a;
    std::size_t const rest  = (e.rest_list ? 1 : 0) + (e.rest_mapping ? 1 : 0);
    std::size_t const named = e.parts.size() - rest - e.words.size();
    for (std::size_t i = 1; i < named; ++i) a.values.push_back(eval(e.parts[i], s));
    for (std::size_t i = 0; i < e.words.size(); ++i) a.named.emplace_back(own(e.words[i]), eval(e.parts[named + i], s));
    std::size_t at = named + e.words.size();
    if (e.rest_list)
      for (value& v : items_of(x_, eval(e.parts[at++], s))) a.values.push_back(std::move(v));
    if (e.rest_mapping) {
      value const more = eval(e.parts[at], s);
      auto const* m    = mapping_in(more);
      if (!m) x_.fail("wrong arguments behind **", describe(more), "a mapping");
      x_.make(m->size() * 2 * sizeof(value));
      for (auto const& [key, v] : m->entries()) {
        if (!text_in(key)) x_.fail("wrong name of an argument", describe(key), "a string");
        a.named.emplace_back(std::get<text_ptr>(key), v);
      }
    }
    return a;
  }

  // ------------------------------------------------------------------------------------------------------------------ calls

  value call(value const& callee, call_arguments const& a) {
    if (is<undefined_value>(callee)) x_.fail_undefined(callee);
    auto const* f = std::get_if<function_ptr>(&callee);
    if (!f) x_.fail("this cannot be called", describe(callee), "a function or a macro");
    function_value const& function = **f;
    if (function.self) return call_method(x_, *function.self, function.name, a);
    if (function.macro) return call_body(*static_cast<statement const*>(function.macro), function.name, top_, a);
    if (function.caller) {
      auto const& caller = *static_cast<caller_body const*>(function.caller.get());
      if (!caller.around)
        x_.fail("caller() is called when its call is over", "a kept caller", "one inside of the macro");
      return call_body(*caller.block, "caller", *caller.around, a);
    }
    return call_function(function.name, a);
  }

  value call_body(statement const& st, std::string const& name, scope& around, call_arguments const& a) {
    execution::level const deeper(x_);
    place const            here = x_.at;
    scope                  inner{&around};
    std::size_t const      count = st.parameters.size();
    x_.make((count + a.values.size() + a.named.size()) * 4 * sizeof(value));
    std::vector<bool>  given(count);
    std::vector<value> rest;
    mapping_value      named;
    value              caller = undefined("caller, outside of a call block");
    for (std::size_t i = 0; i < a.values.size(); ++i) {
      if (i < count) inner.variables[st.parameters[i]] = a.values[i], given[i] = true;
      else rest.push_back(a.values[i]);
    }
    if (!rest.empty() && !st.takes_rest)
      x_.fail("too many arguments", std::to_string(a.values.size()) + " for " + in_quotes(name),
              "at most " + std::to_string(count));
    for (auto const& [key, v] : a.named) {
      x_.read(key->size() + count * sizeof(std::string));
      std::string const& word = key->bytes();
      auto const         at =
          static_cast<std::size_t>(std::find(st.parameters.begin(), st.parameters.end(), word) - st.parameters.begin());
      if (at < count) {
        if (given[at]) x_.fail("an argument is there twice", in_quotes(word) + " for " + in_quotes(name), "it once");
        inner.variables[st.parameters[at]] = v, given[at] = true;
      } else if (word == "caller") {
        caller = v;
      } else if (st.takes_named) {
        named.set(x_, key, v);
      } else {
        x_.fail("unknown argument", in_quotes(word) + " for " + in_quotes(name), "one that it has");
      }
    }
    if (st.takes_rest) inner.variables["varargs"] = x_.list(std::move(rest), sequence_kind::tuple);
    if (st.takes_named) inner.variables["kwargs"] = x_.mapping(std::move(named));
    if (!is<undefined_value>(caller)) inner.variables["caller"] = caller;
    std::size_t const first_default = count - st.defaults.size();
    for (std::size_t i = 0; i < count; ++i)
      if (!given[i])
        inner.variables[st.parameters[i]] = i < first_default
                                                ? undefined("the argument " + in_quotes(st.parameters[i]) + " of " +
                                                            in_quotes(name) + ", which was not given")
                                                : eval(st.defaults[i - first_default], inner);
    marked_text out;
    body(st.body, inner, out);
    x_.at = here;
    return x_.text(std::move(out));
  }

  value call_function(std::string const& name, call_arguments const& a) {
    if (name == "range") return range(a);
    if (name == "raise_exception") {
      auto const [message] = bound(x_, name, a, {"message"}, 1);
      x_.fail(failure::refused, "the chat template refuses these messages", in_quotes(to_text(x_, *message).bytes()),
              "messages that it accepts");
    }
    if (name == "strftime_now") {
      auto const [format] = bound(x_, name, a, {"format"}, 1);
      if (!seconds_) x_.fail("the time is not known here", "strftime_now", "no use of it");
      return x_.text(time_text(x_, text_argument(x_, "format", *format), *seconds_));
    }
    mapping_value m = a.values.empty() ? mapping_value() : mapping_from(name, a);  // namespace, dict
    for (auto const& [key, v] : a.named) m.set(x_, key, v);
    return name == "dict" ? x_.mapping(std::move(m)) : x_.space(std::move(m));
  }

  /// Of another mapping, or of pairs.
  mapping_value mapping_from(std::string const& name, call_arguments const& a) {
    if (a.values.size() > 1)
      x_.fail("too many arguments", std::to_string(a.values.size()) + " for " + name, "a mapping, and names with =");
    value const& from = a.values[0];
    if (is<undefined_value>(from)) x_.fail_undefined(from);
    mapping_value m;
    if (auto const* other = mapping_in(from)) {
      x_.make(other->size() * 4 * sizeof(value));
      return *other;
    }
    for (value const& pair : items_of(x_, from)) {
      auto const items = items_of(x_, pair);
      if (items.size() != 2 || !is_key(items[0])) x_.fail("no entry of a mapping", describe(pair), "a key and a value");
      m.set(x_, items[0], items[1]);
    }
    return m;
  }

  value range(call_arguments const& a) {
    constexpr std::int64_t most = 100'000;  // as the sandbox of Jinja has it
    std::int64_t           from = 0, to = 0, by = 1;
    if (a.values.empty() || a.values.size() > 3 || !a.named.empty())
      x_.fail("wrong arguments of range", std::to_string(a.values.size()), "1 to 3");
    std::int64_t* const places[] = {&from, &to, &by};
    for (std::size_t i = 0; i < a.values.size(); ++i)
      if (!integer_in(a.values[i], *places[i])) x_.fail("wrong argument of range", describe(a.values[i]), "an integer");
    if (a.values.size() == 1) to = std::exchange(from, 0);
    if (by == 0) x_.fail("wrong step of range", "0", "another number");
    std::vector<value> items;
    for (std::int64_t i = from; by > 0 ? i < to : i > to;) {
      if (items.size() == static_cast<std::size_t>(most))
        x_.fail(failure::limit, "range is too long", "more than " + std::to_string(most), "at most that");
      items.push_back(i);
      if (__builtin_add_overflow(i, by, &i)) break;
    }
    return x_.list(std::move(items), sequence_kind::range);
  }

  execution&                  x_;
  mapping_value               given_;
  std::optional<std::int64_t> seconds_;
  scope                       top_;
  std::size_t                 written_ = 0;
};

}  // namespace

marked_text evaluate(execution& x, std::vector<statement> const& tree, mapping_value variables,
                     std::optional<std::int64_t> seconds) {
  return evaluator(x, std::move(variables), seconds).run(tree);
}

}  // namespace tenon::engine::jinja
