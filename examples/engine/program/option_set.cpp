#include "engine/program/option_set.hpp"

#include <CLI/CLI.hpp>

namespace tenon::engine {

namespace {

CLI::Option* add(CLI::App& app, std::string const& names, std::string const& type, std::string const& help,
                 option_set::taker take) {
  std::string const name = names.substr(0, names.find(','));
  auto* const       o    = app.add_option(
               names,
               [name, take = std::move(take)](CLI::results_t const& given) {
        for (auto const& text : given) take(name, text);
        return true;
      },
               help);
  return o->type_name(type)->allow_extra_args(false);
}

}  // namespace

void misuse(std::string_view subject, std::string_view what, std::string_view found, std::string_view expected) {
  throw usage_error(wrong(subject, what, found, expected).what());
}

void one_of_two(std::string const& first, bool has_first, std::string const& second, bool has_second) {
  if (has_first != has_second) return;
  if (has_first) misuse(first, "excludes " + second, "both", "one of them");
  misuse(first, "missing", "nothing", "it or " + second);
}

std::string input_name(std::string const& file) { return file == "-" ? "standard input" : file; }

std::string plain(double v) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

std::int64_t parse_integer(std::string const& name, std::string const& text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  if (!parse_whole(text, value) || value < low || value > high)
    misuse(name, "is no such number", in_quotes(text),
           "an integer from " + std::to_string(low) + " to " + std::to_string(high));
  return value;
}

double parse_number(std::string const& name, std::string const& text, double low, double high, bool above) {
  double value = 0;
  if (!parse_whole(text, value) || !(value >= low && value <= high) || (above && value == low))
    misuse(name, "is no such number", in_quotes(text),
           above ? "a number above " + plain(low) + ", at most " + plain(high)
                 : "a number from " + plain(low) + " to " + plain(high));
  return value;
}

std::vector<std::int64_t> parse_integers(std::string const& name, std::string const& text, std::int64_t low,
                                         std::int64_t high) {
  std::vector<std::int64_t> list;
  for (std::size_t first = 0; first <= text.size();) {
    std::size_t const comma = std::min(text.find(',', first), text.size());
    list.push_back(parse_integer(name, text.substr(first, comma - first), low, high));
    first = comma + 1;
  }
  return list;
}

void option_set::value(std::string const& names, std::string const& type, std::string const& help, taker take,
                       std::string const& shown) {
  add(*app_, names, type, help, std::move(take))->default_str(shown);
}

void option_set::values(std::string const& names, std::string const& type, std::string const& help, taker take) {
  add(*app_, names, type, help, std::move(take))->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void option_set::flag(std::string const& names, std::string const& help, bool& to, bool value) {
  // CLI11 hands over "true" for an option of no values, or what stands behind its "="; at once, so that the last one counts.
  add(*app_, names, "", help,
      [&to, value](std::string const& name, std::string const& given) {
        if (given != "true") misuse(name, "takes no value", in_quotes(given), "the option alone");
        to = value;
      })
      ->expected(0)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->trigger_on_parse();
}

void option_set::toggle(std::string const& name, std::string const& help, bool& to) {
  flag("--enable-" + name, help + " (default: " + (to ? "on" : "off") + ")", to);
  flag("--no-enable-" + name, "do not " + help, to, false);
}

bool option_set::given(std::string const& name) const { return app_->get_option(name)->count() > 0; }

void option_set::refuse(std::initializer_list<char const*> names, std::string const& found,
                        std::string const& expected) const {
  for (char const* name : names)
    if (given(name)) misuse(name, "has no use here", found, expected);
}

}  // namespace tenon::engine
