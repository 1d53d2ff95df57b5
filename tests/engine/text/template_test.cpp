//  Templates: what Jinja2 makes of them (chat_templates/expected.py), bounds, errors, and where every byte comes from.
#include <engine/text/template/execution.hpp>
#include <engine/text/template/template.hpp>

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace tenon::engine;
using json = nlohmann::ordered_json;

std::string const folder = std::string(TENON_SOURCE_DIR) + "/tests/engine/text/chat_templates/";

std::string file_text(std::string const& name) {
  std::ifstream      in(folder + name, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<template_variable> variables_of(json const& object) {
  std::vector<template_variable> list;
  for (auto const& [name, v] : object.items())
    list.push_back({name, v, name.ends_with("_token") ? text_origin::own : text_origin::foreign});
  return list;
}

/// As expected.json has it: the text, or null for an error.
json outcome(std::string const& source, json const& variables, std::int64_t seconds) {
  try {
    return text_template(source, "test").render(variables_of(variables), seconds).bytes();
  } catch (jinja::template_error const&) {
    return nullptr;
  }
}

std::string render(std::string const& source, json const& variables = json::object(), template_limits limits = {}) {
  return text_template(source, "t", limits).render(variables_of(variables)).bytes();
}

/// The error of a template; "none" where there is none.
std::string error_of(std::string const& source, json const& variables = json::object(), template_limits limits = {}) {
  try {
    return render(source, variables, limits), "none";
  } catch (jinja::template_error const& e) {
    return e.what();
  }
}

jinja::failure failure_of(std::string const& source, template_limits limits = {}) {
  try {
    static_cast<void>(render(source, {{"s", "text"}, {"l", {1, 2}}}, limits));
  } catch (jinja::template_error const& e) {
    EXPECT_NE(std::string(e.what()).find("expected"), std::string::npos) << e.what();
    return e.reason;
  }
  ADD_FAILURE() << "no error: " << source.substr(0, 200);
  return {};
}

std::string repeated(std::string const& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(text_template, prompts_are_those_of_jinja2) {
  json const expected = json::parse(file_text("expected.json"));
  int        prompts  = 0;
  for (auto const& [name, outcomes] : expected["prompts"].items()) {
    std::string const source = file_text(name + ".jinja");
    for (std::size_t i = 0; i < outcomes.size(); ++i, ++prompts) {
      SCOPED_TRACE(name + ", conversation " + std::to_string(i));
      EXPECT_EQ(outcome(source, expected["conversations"][i], expected["seconds"]), outcomes[i]);
    }
  }
  EXPECT_EQ(prompts, 100);
}

TEST(text_template, programs_are_those_of_jinja2) {
  json const               expected = json::parse(file_text("expected.json"));
  std::string const        all      = file_text("programs.txt");
  std::string const        border   = "\n=====\n";
  std::vector<std::string> programs;
  for (std::size_t at = 0; at < all.size();) {
    std::size_t const end = std::min(all.find(border, at), all.size() - 1);
    programs.push_back(all.substr(at, end - at));
    at = end + (end == all.size() - 1 ? 1 : border.size());
  }
  ASSERT_EQ(programs.size(), expected["programs"].size());
  for (std::size_t i = 0; i < programs.size(); ++i) {
    SCOPED_TRACE(programs[i]);
    EXPECT_EQ(outcome(programs[i], expected["variables"], expected["seconds"]), expected["programs"][i]);
  }
}

// Every prefix of a template is a template or an error, and nothing else.
TEST(text_template, cut_anywhere) {
  json const expected = json::parse(file_text("expected.json"));
  for (std::string const name : {"qwen_tools.jinja", "command_r.jinja"}) {
    std::string const source = file_text(name);
    for (std::size_t n = 0; n < source.size(); ++n)
      static_cast<void>(outcome(source.substr(0, n), expected["conversations"][7], 0));
  }
}

TEST(text_template, errors_name_the_place_what_was_found_and_what_was_expected) {
  EXPECT_EQ(
      error_of("ab\n  {{ s.x.y }}"),
      "t: line 2, column 7: a value that is not there is used: found \"s\", which is undefined, expected a value");
  EXPECT_EQ(error_of("{% if 1 %}\n{{ 1 +* 2 }}{% endif %}"),
            "t: line 2, column 7: unexpected token: found \"*\", expected an expression");
  EXPECT_EQ(error_of("{% if x %}\n"),
            "t: line 1, column 11: a block does not end: found the end of the text, expected \"endif\"");
  EXPECT_EQ(error_of("{{ 'abc }}"),
            "t: line 1, column 4: a string does not end: found the end of the text, expected '");
  EXPECT_EQ(error_of("{% include 'a' %}"),
            "t: line 1, column 4: other templates cannot be read: found \"include\", expected set, for, if, macro, "
            "call, filter, with, generation, break or continue");
  EXPECT_EQ(error_of("{{ raise_exception('no\nsystem') }}"),
            "t: line 1, column 19: the chat template refuses these messages: found \"no\\nsystem\", expected messages "
            "that it accepts");
  EXPECT_EQ(error_of("{{ strftime_now('%Y') }}"),
            "t: line 1, column 16: the time is not known here: found strftime_now, expected no use of it");
  EXPECT_EQ(error_of("{{ [1]|nothing }}").substr(0, 57), "t: line 1, column 8: unknown filter: found \"nothing\", exp");
}

// llama.cpp#24140, google/minja#92, llama.cpp#25282, jinja2cpp#160, kekzl/imp#1613, llama.cpp#19085 and #26387, and
// SGLang's CVE-2026-5760.
TEST(text_template, published_attacks_are_errors) {
  using enum jinja::failure;
  EXPECT_EQ(failure_of("{{ range(1000000000) }}"), limit);
  EXPECT_EQ(failure_of("{% for i in range(1000000000) %}x{% endfor %}"), limit);
  EXPECT_EQ(
      failure_of("{{ range(0, 9223372036854775807, 9223372036854775807)|list + range(-9223372036854775807, 5)|list }}"),
      limit);
  for (std::string const zero : {"1/0", "1//0", "1%0", "1.0/0", "1.0//0.0", "0 ** -1", "1 % 0.0"})
    EXPECT_EQ(failure_of("{{ " + zero + " }}"), type) << zero;
  EXPECT_EQ(failure_of("{{ 5|trim|items }}"), type);
  EXPECT_EQ(failure_of("{{ 'a'|abs }}"), type);
  EXPECT_EQ(failure_of("{{ 5|first }}"), type);
  for (std::string const tag : {"include 'self'", "import 'x' as y", "from 'x' import y", "extends 'x'", "block b"})
    EXPECT_EQ(failure_of("{% " + tag + " %}"), unsupported) << tag;
  EXPECT_EQ(failure_of("{{ ''.__class__.__mro__[1].__subclasses__() }}"), undefined);
  EXPECT_EQ(failure_of("{{ s['__class__']['__base__'] }}"), undefined);
  EXPECT_EQ(failure_of("{{ cycler.__init__.__globals__.os.popen('id').read() }}"), undefined);
  EXPECT_EQ(failure_of("{{ self.__init__ }}{{ self.x.y }}"), undefined);
  EXPECT_EQ(failure_of("{{ s|attr('__class__') }}"), unsupported);
  EXPECT_EQ(failure_of("{{ l|map(attribute='__class__.__mro__')|list }}"), undefined);
  EXPECT_EQ(failure_of("{{ l.append(1) }}"), undefined);
  EXPECT_EQ(failure_of("{{ 9223372036854775807 + 1 }}"), type);
  EXPECT_EQ(failure_of("{{ -9223372036854775807 - 2 }}"), type);
  EXPECT_EQ(failure_of("{{ 7 ** 100000 }}"), type);
  EXPECT_EQ(failure_of("{{ (-9223372036854775807 - 1) // -1 }}"), type);
  EXPECT_EQ(failure_of("{{ -(-9223372036854775807 - 1) }}"), type);
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_EQ(failure_of("{{ '%999999999d' % 1 }}"), type);
  EXPECT_EQ(failure_of("{{ 1e308 * 10 % 1|int + (1e300|int) }}"), type);
}

TEST(text_template, depth_is_bounded) {
  using enum jinja::failure;
  constexpr int many = 20000;
  EXPECT_EQ(failure_of("{{ " + repeated("(", many) + "1" + repeated(")", many) + " }}"), limit);
  EXPECT_EQ(failure_of("{{ " + repeated("[", many) + repeated("]", many) + " }}"), limit);
  EXPECT_EQ(failure_of("{{ " + repeated("{1:", many) + "1" + repeated("}", many) + " }}"), limit);
  EXPECT_EQ(failure_of("{{ " + repeated("not ", many) + "1 }}"), limit);
  EXPECT_EQ(failure_of("{{ " + repeated("-", many) + "1 }}"), limit);
  EXPECT_EQ(failure_of("{{ 1" + repeated(" + 1", many) + " }}"), limit);
  EXPECT_EQ(failure_of("{{ s" + repeated(".s", many) + " }}"), limit);
  EXPECT_EQ(failure_of("{{ s" + repeated("|trim", many) + " }}"), limit);
  EXPECT_EQ(failure_of("{{ s" + repeated("()", many) + " }}"), limit);
  EXPECT_EQ(failure_of("{{ 1" + repeated(" if 1 else 1", many) + " }}"), limit);
  EXPECT_EQ(failure_of("{{ 1" + repeated(" is eq 1 and 1", many) + " }}"), limit);
  EXPECT_EQ(failure_of("{% set " + repeated("(", many) + "a" + repeated(")", many) + " = 1 %}"), limit);
  EXPECT_EQ(failure_of(repeated("{% if 1 %}", many)), limit);
  EXPECT_EQ(failure_of(repeated("{% for i in l %}", 10000)), limit);
  EXPECT_EQ(failure_of("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}"), limit);
  EXPECT_EQ(failure_of("{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall "
                       "%}{% endmacro %}{{ g() }}"),
            limit);
  EXPECT_EQ(failure_of("{% set ns = namespace(x=[]) %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}"),
            limit);
  EXPECT_EQ(
      failure_of("{% set ns = namespace(x={}) %}{% for i in range(10000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}"),
      limit);
  EXPECT_EQ(failure_of("{% set ns = namespace(x=1) %}{% for i in range(10000) %}{% set ns.x = ns.x.get or {'a': "
                       "ns}.get %}{% endfor %}{% set ns.x = ns %}{{ ns }}"),
            limit);
  // Long is not deep.
  EXPECT_EQ(render("{{ ''" + repeated(" ~ 1", 3000) + " }}"), repeated("1", 3000));
  EXPECT_EQ(render("{% if 0 %}" + repeated("{% elif 0 %}", 3000) + "{% else %}x{% endif %}"), "x");
}

// Namespaces may hold each other; nothing leaks and nothing recurses when they go.
TEST(text_template, cycles_and_long_chains_of_namespaces) {
  EXPECT_EQ(render("{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a.b.a.b.a is defined }}"),
            "True");
  EXPECT_EQ(render("{% set n = namespace(x=none) %}{% for i in range(50000) %}{% set n.x = namespace(x=n.x) %}{% "
                   "endfor %}{{ n.x.x is defined }}"),
            "True");
  EXPECT_EQ(error_of("{% set n = namespace() %}{% macro f() %}{% set n.c = caller %}{% endmacro %}{% call f() %}{{ s "
                     "}}{% endcall %}{{ n.c() }}"),
            "t: line 1, column 117: caller() is called when its call is over: found a kept caller, expected one inside "
            "of the macro");
  EXPECT_EQ(render("{% set n = namespace() %}{% for i in [7, 8] %}{% set n.l = loop %}{% endfor %}{{ n.l.index ~ "
                   "n.l.previtem }}"),
            "27");
}

TEST(text_template, work_memory_and_output_are_bounded) {
  using enum jinja::failure;
  constexpr template_limits small{.steps = 1'000'000, .output_bytes = 4 << 20, .memory_bytes = 8 << 20};
  EXPECT_EQ(failure_of("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", small), limit);
  EXPECT_EQ(
      failure_of("{% set n = namespace(s='ab') %}{% for i in range(64) %}{% set n.s = n.s ~ n.s %}{% endfor %}", small),
      limit);
  EXPECT_EQ(
      failure_of("{% set n = namespace(s=[1]) %}{% for i in range(64) %}{% set n.s = n.s + n.s %}{% endfor %}", small),
      limit);
  EXPECT_EQ(failure_of("{{ 'ab' * 9223372036854775807 }}", small), limit);
  EXPECT_EQ(failure_of("{{ [1] * 4611686018427387904 }}", small), limit);
  EXPECT_EQ(failure_of("{% set a = 'x' * 100000 %}{{ a.replace('', a) }}", small), limit);
  EXPECT_EQ(failure_of("{% set a = ['x' * 100000] * 1000 %}{{ a|join(a[0]) }}", small), limit);
  EXPECT_EQ(failure_of("{% set a = [[1] * 1000] * 1000 %}{{ [a] * 1000 }}", small), limit);
  EXPECT_EQ(failure_of("{% set a = 'x' * 1000000 %}{% for i in range(100) %}{{ a }}{% endfor %}", small), limit);
  EXPECT_EQ(
      failure_of("{% set a = ('x' * 1000000) %}{% for i in range(99999) %}{% if a[i] %}{% endif %}{% endfor %}", small),
      limit);
  EXPECT_EQ(failure_of("{{ 'x' }}", {.output_bytes = 0}), limit);
  EXPECT_EQ(failure_of("{{ 'x' }}", {.template_bytes = 3}), limit);
  EXPECT_EQ(failure_of("{{ 'xyz' * 10 }}", {.memory_bytes = 20}), limit);
  EXPECT_EQ(failure_of("{{ 'xyz' }}", {.steps = 2}), limit);
  // Where a naive search would take 10^11 comparisons.
  std::string const hay(500'000, 'a'), needle = std::string(250'000, 'a') + "b";
  EXPECT_EQ(
      render("{{ n in h }}{{ h.find(n) }}{{ h.split(n)|length }}{{ h.rfind('b' + n) }}", {{"h", hay}, {"n", needle}}),
      "False-11-1");
}

/// 20,000 times, with a text `b` of a megabyte and a mapping `m` that has it as a key.
std::string looking_at_it_again_and_again(std::string const& expression) {
  return "{% set b = 'x' * 1000000 %}{% set m = {b: 1} %}{% for i in range(200) %}{% for j in range(100) %}{% if " +
         expression + " %}{% endif %}{% endfor %}{% endfor %}";
}

// However an argument or a key is looked at, a step is so many bytes.
TEST(text_template, every_byte_that_is_looked_at_is_counted) {
  using enum jinja::failure;
  constexpr template_limits small{.steps = 5'000'000, .memory_bytes = 64 << 20};
  EXPECT_EQ(failure_of("{% for i in range(200) %}{% for j in range(100) %}{{ i ~ j }}{% endfor %}{% endfor %}{{ x.y }}",
                       small),
            undefined);
  for (char const* expression :
       {"m[b]", "m.get(b)", "b in m", "m == {b: 2}", "'a'.removeprefix(b)", "'a'.startswith(b)", "'a'.strip(b)",
        "'a'.split(b)", "'a'.replace(b, '')", "'a'|replace(b, '')", "'a'.find(b)", "1|tojson(indent=b)",
        "1|tojson(separators=(b, b))", "'a'|indent(b)", "[]|join(b)", "[]|sort(attribute=b)", "'a'|trim(b)", "b|trim"})
    EXPECT_EQ(failure_of(looking_at_it_again_and_again(expression), small), limit) << expression;
}

TEST(text_template, what_is_made_on_the_way_is_counted) {
  using enum jinja::failure;
  constexpr template_limits small{.memory_bytes = 16 << 20};
  // Keys are not copied: 500 copies of a megabyte would be.
  EXPECT_EQ(render("{% set b = 'x' * 1000000 %}{% set n = namespace(l=[]) %}{% for i in range(500) %}{% set n.l = n.l "
                   "+ [{b: 1}] %}{% endfor %}{{ n.l|length }}",
                   {}, small),
            "500");
  EXPECT_EQ(failure_of("{{ ('a ' * 1000000).split()|length }}", small), limit);
  EXPECT_EQ(failure_of("{{ ('a ' * 1000000).rsplit()|length }}", small), limit);
  EXPECT_EQ(failure_of("{{ 'a'|map(*(['map'] * 100000))|list }}", small), limit);
  EXPECT_EQ(failure_of("{% set m = dict(range(20000)|batch(2)) %}{{ dict(*[m] * 2000)|length }}"), type);
  EXPECT_EQ(failure_of("{% set n = namespace(t=()) %}{% for i in range(60) %}{% set n.t = (n.t, n.t) %}{% endfor %}{{ "
                       "'a'.startswith(n.t) }}"),
            type);
  // Parameters that are not given cost, too.
  std::string parameters = "p";
  for (int i = 0; i < 10000; ++i) parameters += ", p" + std::to_string(i);
  EXPECT_EQ(failure_of("{% macro f(" + parameters + ") %}{% endmacro %}{% for i in range(1000) %}{{ f() }}{% endfor %}",
                       small),
            limit);
  EXPECT_EQ(render("{% set " + std::string(256, 'x') + " = 1 %}"), "");
  EXPECT_EQ(error_of("{% set " + std::string(257, 'x') + " = 1 %}"),
            "t: line 1, column 8: a name is too long: found 257 bytes, expected at most 256");
}

TEST(text_template, integers_beyond_2_to_the_53) {
  EXPECT_EQ(render("{{ {9007199254740992: 'a', 9007199254740993: 'b'} }}"),
            "{9007199254740992: 'a', 9007199254740993: 'b'}");
  EXPECT_EQ(render("{{ 9007199254740993 == 9007199254740992.0 }}{{ 9007199254740993 > 9007199254740992.0 }}"),
            "FalseTrue");
  EXPECT_EQ(render("{{ 9223372036854775807 < 9223372036854775808.0 }}{{ 9223372036854775808.0 == 2.0 ** 63 }}"),
            "TrueTrue");
  EXPECT_EQ(render("{{ {1: 'a', 1.0: 'b', true: 'c', 1.5: 'd'} }}"), "{1: 'c', 1.5: 'd'}");
}

// What messages bring is told apart from what the template writes, whatever is done to it. The template is ASCII here
// and the variables are not, so a byte is foreign just where it is not ASCII.
TEST(text_template, every_byte_keeps_its_origin) {
  json const variables = {{"u", " αβγ δεζ "}, {"v", {"α", "βγ", "α"}}, {"m", {{"κ", "λ"}, {"μ", {"ν"}}}}};
  auto const given     = variables_of(variables);
  char const* programs[] = {
      "a{{ u }}b",
      "{{ 'a' ~ u ~ 'b' ~ u }}",
      "{{ 'a' + u + 'b' }}",
      "{{ u[2:5] ~ 'x' ~ u[::-1] }}",
      "{{ u.strip() ~ '.' ~ u|trim }}",
      "{{ u|upper }}{{ u.lower() }}{{ u|title }}{{ u.title() }}{{ u|capitalize }}",
      "{{ u.split('x') }}{{ u.split() }}{{ u.rsplit(none, 1) }}",
      "{{ u.replace('x', 'y') }}{{ u|replace(u[1], '<') }}{{ 'abc'|replace('b', u) }}{{ 'abc'.replace('', u) }}",
      "{{ v|join(', ') }}{{ 'x'.join(v) }}{{ ', '|join(v) }}",
      "{{ u|tojson }}{{ v|tojson(indent=2) }}{{ m|tojson }}",
      "{{ u * 3 }}",
      "{{ v }}{{ m }}",
      "{{ '%s|%5s|%-9s|%.2s' % (u, v[0], v[1], u) }}",
      "{{ u|indent(3, true) }}",
      "{% for k, x in m.items() %}{{ k ~ '=' ~ x }}{% endfor %}",
      "{% for c in u %}{{ c }}.{% endfor %}",
      "{% set x %}a{{ u }}b{% endset %}{{ x|upper }}",
      "{% macro f(a, b='q') %}<{{ a ~ b }}>{% endmacro %}{{ f(u) }}{{ f('a', b=u) }}",
      "{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}x{{ u }}{% endcall %}",
      "{% filter upper %}x{{ u }}{% endfilter %}",
      "{{ v|map('upper')|list }}{{ v|unique|join }}{{ v|sort|first }}{{ v|reverse|list }}",
      "{{ u|default('a') ~ (u or 'a') ~ (u if u else 'b') }}",
      "{{ u|e }}{{ u|string }}{{ u|list }}",
      "{{ dict(a=u) }}{{ namespace(a=u).a }}{{ {'x': u}.x }}{{ {u: 1} }}",
      "{{ u.removeprefix(' ') ~ 'x' }}{{ (u ~ 'abc').removesuffix('bc') }}",
      "{{ 'a%sb'|format(u) }}"};
  for (char const* program : programs) {
    SCOPED_TRACE(program);
    marked_text const t = text_template(program, "t").render(given);
    ASSERT_FALSE(t.empty());
    for (std::size_t i = 0; i < t.size(); ++i) {
      if (t.bytes()[i] == ' ') continue;  // of the variable and of the template
      EXPECT_EQ(t.origin(i) == text_origin::foreign, static_cast<unsigned char>(t.bytes()[i]) >= 0x80)
          << i << " of " << t.bytes();
    }
  }
  // A format may be a message's, and so may the names of arguments.
  for (char const* program : {"{{ strftime_now(f) }}", "{{ f % () }}", "{{ dict(**k) }}", "{{ namespace(**k) }}",
                              "{% macro g() %}{{ kwargs }}{% endmacro %}{{ g(**k) }}"}) {
    SCOPED_TRACE(program);
    marked_text const t  = text_template(program, "t").render(variables_of({{"f", "<%%>"}, {"k", {{"<%>", 1}}}}), 0);
    std::size_t const at = t.bytes().find("<%>");
    ASSERT_NE(at, std::string::npos) << t.bytes();
    for (std::size_t i = at; i < at + 3; ++i) EXPECT_EQ(t.origin(i), text_origin::foreign);
  }
  // Escapes have the origin of what they stand for.
  marked_text const t = text_template("{{ s|tojson }}{{ [s] }}", "t").render(variables_of({{"s", "\n\"'\x01"}}));
  EXPECT_EQ(t.bytes(), "\"\\n\\\"'\\u0001\"['\\n\"\\'\\x01']");
  ASSERT_EQ(t.foreign().size(), 2u);
  EXPECT_EQ(t.foreign()[0], (token_span{1, 12}));
}

TEST(marked_text, parts_and_joins) {
  marked_text t;
  t.append("ab");
  t.append("cd", text_origin::foreign);
  t.append("ef", text_origin::foreign);
  t.append("g");
  EXPECT_EQ(std::vector(t.foreign().begin(), t.foreign().end()), (std::vector<token_span>{{2, 6}}));
  marked_text joined = t.part(3, 7);
  joined.append(t, 1, 3);
  EXPECT_EQ(joined.bytes(), "defgbc");
  EXPECT_EQ(std::vector(joined.foreign().begin(), joined.foreign().end()), (std::vector<token_span>{{0, 3}, {5, 6}}));
  EXPECT_TRUE(t.part(4, 4).foreign().empty());
  EXPECT_TRUE(marked_text("", text_origin::foreign).foreign().empty());
}

}  // namespace
