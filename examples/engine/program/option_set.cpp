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

void option_set::flag(std::string const& names, std::string const& help, bool& to) { app_->add_flag(names, to, help); }

void option_set::toggle(std::string const& name, std::string const& help, bool& to) {
  app_->add_flag("--enable-" + name + ",!--no-enable-" + name, to, help);
}

}  // namespace tenon::engine
