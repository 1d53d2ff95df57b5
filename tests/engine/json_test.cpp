//  JSON with limits, and typed members whose errors name the file, the key and what was found.
#include <engine/error.hpp>
#include <engine/files/json.hpp>
#include <engine/files/mapped_file.hpp>

#include <gtest/gtest.h>

#include "program.hpp"

namespace {

using namespace tenon::engine;

template <class Read>
std::string message_of(Read const& read) {
  try {
    (void)read();
  } catch (error const& e) {
    return e.what();
  }
  return "no error";
}

std::string parse_error(std::string const& text, json_limits limits = {}) {
  return message_of([&] { return parse_json(text, "f", limits); });
}

TEST(json, values) {
  auto const v = parse_json(R"( {"a": [1, -2, 3.5, true, null, "x\u00e9\n"], "b": {}} )", "f");
  EXPECT_EQ(v["a"][1], -2);
  EXPECT_EQ(v["a"][5], "x\xC3\xA9\n");
  EXPECT_TRUE(v["b"].empty());
  EXPECT_EQ(parse_json("18446744073709551615", "f").get<std::uint64_t>(), 18446744073709551615u);
}

TEST(json, what_is_broken_and_where) {
  EXPECT_EQ(parse_error(""), "f: broken JSON at line 1, column 1: found the end of the text, expected a JSON value");
  EXPECT_EQ(parse_error("{\n  \"a\": }"),
            "f: broken JSON at line 2, column 8: found \"\"a\": }\" (unexpected '}'), expected a JSON value");
  EXPECT_EQ(parse_error("[1,]"),
            "f: broken JSON at line 1, column 4: found \"1,]\" (unexpected ']'), expected a JSON value");
  EXPECT_TRUE(parse_error("{} x").starts_with("f: broken JSON at line 1, column 4: found \"{} x\" ("))
      << parse_error("{} x");
  EXPECT_TRUE(parse_error("\"a\nb\"").starts_with("f: broken JSON at line "));
  EXPECT_TRUE(parse_error("\"\xFF\"").starts_with("f: broken JSON at line 1, column 2: found \""));
  EXPECT_TRUE(parse_error("\"\\ud800\"").starts_with("f: broken JSON at line 1"));
  EXPECT_TRUE(parse_error("NaN").starts_with("f: broken JSON at line 1"));
  EXPECT_TRUE(parse_error("[1e999]").starts_with("f: broken JSON at line 1")) << parse_error("[1e999]");
  EXPECT_EQ(one_line(parse_error(std::string("\"\0\"", 3))), parse_error(std::string("\"\0\"", 3)));
}

TEST(json, limits) {
  EXPECT_EQ(parse_error(std::string(64, '[') + std::string(64, ']')), "no error");
  EXPECT_EQ(parse_error(std::string(65, '[') + std::string(65, ']')),
            "f: JSON is nested too deeply: found more than 64 levels, expected at most that");
  EXPECT_EQ(parse_error(std::string(1'000'000, '[')),
            "f: JSON is nested too deeply: found more than 64 levels, expected at most that");
  EXPECT_EQ(parse_error("[1,2,3]", {.values = 3}), "f: too many JSON values: found more than 3, expected at most that");
  EXPECT_EQ(parse_error("[1,2,3]", {.bytes = 6}), "f: JSON text is too large: found 7 bytes, expected at most 6");
  EXPECT_EQ(parse_error(R"({"a":1,"a":2})"), "f: repeated key in an object: found \"a\" twice, expected it once");
}

/// Writes down what it hears.
struct scribe final : json_listener {
  std::string heard;

  void open(bool object) override { heard += object ? '{' : '['; }
  void close() override { heard += '.'; }
  void key(std::string_view name) override { heard += std::string(name) + ':'; }
  void text(std::string_view value) override { heard += "'" + std::string(value) + "'"; }
  void value(json_value&& value) override { heard += value.dump() + ' '; }
};

TEST(json, a_member_for_a_listener_is_not_in_the_tree) {
  scribe           first, second;
  json_route const routes[] = {{"a", "x", &first}, {"a", "y", &second}};
  json_value const tree     = parse_json(
          R"({"x": [1], "b": {"x": [2]}, "a": {"w": [3], "x": {"k": [1, "t", {"x": null}], "l": true}, "y": [-2, 0.5], "z": {"x": [4]}}})",
          "f", {}, routes);
  EXPECT_EQ(first.heard, "{k:[1 't'{x:null ..l:true .");
  EXPECT_EQ(second.heard, "[-2 0.5 .");
  EXPECT_EQ(tree,
            json_value::parse(R"({"x": [1], "b": {"x": [2]}, "a": {"w": [3], "x": {}, "y": [], "z": {"x": [4]}}})"));
  first.heard.clear();
  EXPECT_EQ(parse_json(R"({"a": {"x": 3}, "b": [5]})", "f", {}, routes),
            json_value::parse(R"({"a": {"x": 3}, "b": [5]})"));
  EXPECT_EQ(parse_json(R"([{"a": {"x": [3]}}])", "f", {}, routes), json_value::parse(R"([{"a": {"x": [3]}}])"));
  EXPECT_EQ(first.heard, "");
}

TEST(json, a_listener_for_all) {
  scribe           listener;
  json_route const routes[] = {{"", "", &listener}};
  EXPECT_EQ(parse_json(R"({"a": [1], "": {"": 2}})", "f", {}, routes), json_value::object());
  EXPECT_EQ(listener.heard, "{a:[1 .:{:2 ..");
  EXPECT_EQ(parse_json("[[], 3]", "f", {}, routes), json_value::array());
  EXPECT_EQ(parse_json("3", "f", {}, routes), json_value(3));
  EXPECT_EQ(listener.heard, "{a:[1 .:{:2 ..[[.3 .");
}

TEST(json, limits_hold_for_what_a_listener_hears) {
  scribe           listener;
  json_route const routes[] = {{"a", "x", &listener}};
  auto const       message  = [&](std::string const& text, json_limits limits) {
    return message_of([&] { return parse_json(text, "f", limits, routes); });
  };
  EXPECT_EQ(message(R"({"a": {"x": [[[]]]}})", {.depth = 5}), "no error");
  EXPECT_EQ(message(R"({"a": {"x": [[[]]]}})", {.depth = 4}),
            "f: JSON is nested too deeply: found more than 4 levels, expected at most that");
  EXPECT_EQ(message(R"({"a": {"x": [1, {"k": "t"}], "y": {}}})", {.values = 11}), "no error");
  EXPECT_EQ(message(R"({"a": {"x": [1, {"k": "t"}], "y": {}}})", {.values = 10}),
            "f: too many JSON values: found more than 10, expected at most that");
  EXPECT_EQ(message(R"({"a": {"x": [1], "x": [2]}})", {}),
            "f: repeated key in an object: found \"x\" twice, expected it once");
  EXPECT_TRUE(message(R"({"a": {"x": [1, }})", {}).starts_with("f: broken JSON at line 1, column 17: found "))
      << message(R"({"a": {"x": [1, }})", {});
}

TEST(json_fields, typed_and_ranged) {
  auto const v = parse_json(
      R"({"i": 5, "d": 0.5, "s": "text", "b": true, "n": null, "o": {"big": 18446744073709551615, "e": 1e30}})", "f");
  json_fields const f(v, "f");
  EXPECT_EQ(f.integer("i", 0, 5), 5);
  EXPECT_EQ(f.integer_or("n", 0, 5, 3), 3);
  EXPECT_EQ(f.number("d", 0, 1), 0.5);
  EXPECT_EQ(f.number("i", 0, 10), 5.);
  EXPECT_EQ(f.number_or("none", 0, 1, 0.25), 0.25);
  EXPECT_EQ(f.text("s"), "text");
  EXPECT_EQ(f.text_or("n", "other"), "other");
  EXPECT_TRUE(f.flag_or("b", false));
  EXPECT_TRUE(f.has("i"));
  EXPECT_FALSE(f.has("n"));
  EXPECT_EQ(message_of([&] { return f.integer("i", 0, 4); }),
            "f: i: out of range: found 5, expected an integer from 0 to 4");
  EXPECT_EQ(message_of([&] { return f.integer("d", 0, 4); }),
            "f: d: wrong type: found 0.5, expected an integer from 0 to 4");
  EXPECT_EQ(message_of([&] { return f.integer("s", 0, 4); }),
            "f: s: wrong type: found \"text\", expected an integer from 0 to 4");
  EXPECT_EQ(message_of([&] { return f.integer("n", 0, 4); }), "f: n: missing: found nothing, expected an integer");
  EXPECT_EQ(message_of([&] { return f.number("d", 0, 0.25); }),
            "f: d: out of range: found 0.5, expected a number from 0 to 0.25");
  EXPECT_EQ(message_of([&] { return f.number("b", 0, 1); }),
            "f: b: wrong type: found true, expected a number from 0 to 1");
  EXPECT_EQ(message_of([&] { return f.text("o"); }), "f: o: wrong type: found an object, expected a string");
  EXPECT_EQ(message_of([&] { return f.flag_or("i", false); }), "f: i: wrong type: found 5, expected true or false");
  EXPECT_EQ(message_of([&] { return f.fields("i").has("x"); }), "f: i: wrong type: found 5, expected an object");
  EXPECT_EQ(message_of([&] { return f.fields("o").integer("big", 0, 9); }),
            "f: o.big: out of range: found 18446744073709551615, expected an integer from 0 to 9");
  EXPECT_EQ(message_of([&] { return f.fields("o").integer("e", 0, 9); }),
            "f: o.e: wrong type: found 1e+30, expected an integer from 0 to 9");
  EXPECT_EQ(message_of([&] { return json_fields(v["i"], "f").has("x"); }),
            "f: wrong type: found 5, expected an object");
}

TEST(error_text, is_one_clean_line) {
  EXPECT_EQ(one_line("a\nb\r\t\x1b[2J\x7f"), "a\\nb\\r\\t\\x1b[2J\\x7f");
  EXPECT_EQ(one_line("\xC3\xA9 \xFF \xE2\x80\xAE"), "\xC3\xA9 \\xff \\xe2\\x80\\xae");  // U+202E reverses a line
  EXPECT_EQ(in_quotes("a\"b"), "\"a\"b\"");
  EXPECT_EQ(in_quotes(std::string(200, 'x')), "\"" + std::string(80, 'x') + "...\"");
  EXPECT_EQ(in_quotes(std::string(79, 'x') + "\xC3\xA9"),
            "\"" + std::string(79, 'x') + "...\"");  // not half a character
  EXPECT_STREQ(wrong("file", "is bad", "1", "2").what(), "file: is bad: found 1, expected 2");
}

TEST(files, read_and_mapped) {
  test::scratch_folder const folder;
  test::write_text(folder / "f", "bytes\0\n");
  EXPECT_EQ(read_bytes((folder / "f").string()), test::read_text(folder / "f"));
  EXPECT_EQ(mapped_file(folder / "f").text(), test::read_text(folder / "f"));
  EXPECT_EQ(message_of([&] { return read_bytes((folder / "f").string(), 3); }),
            (folder / "f").string() + ": is too large: found more than 3 bytes, expected at most that");
  test::write_text(folder / "empty", "");
  EXPECT_EQ(mapped_file(folder / "empty").size(), 0u);
  mapped_file a(folder / "f");
  mapped_file b(std::move(a));
  a = std::move(b);
  EXPECT_EQ(a.size(), test::read_text(folder / "f").size());
  EXPECT_EQ(message_of([&] { return mapped_file("/dev/null").size(); }),
            "/dev/null: cannot be mapped: found a pipe or device, expected a regular file");
  EXPECT_EQ(message_of([&] { return read_json((folder / "empty").string()); }),
            (folder / "empty").string() +
                ": broken JSON at line 1, column 1: found the end of the text, expected a JSON value");
}

}  // namespace
