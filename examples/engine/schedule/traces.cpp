#include "engine/schedule/traces.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <optional>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/files/mapped_file.hpp"

namespace tenon::engine {

namespace {

constexpr std::string_view azure_header   = "TIMESTAMP,ContextTokens,GeneratedTokens";
constexpr std::string_view vidur_header   = "num_prefill_tokens,num_decode_tokens";
constexpr std::int32_t     mooncake_block = 512;  // tokens

/// Takes the text up to `end` off the front of `text`; all of it where `end` is not there.
std::string_view take(std::string_view& text, char end) {
  std::size_t const      at    = text.find(end);
  std::string_view const front = text.substr(0, at);
  text.remove_prefix(at == text.npos ? text.size() : at + 1);
  return front;
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number     value{};
  auto const r = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || r.ec != std::errc{} || r.ptr != text.data() + text.size()) return {};
  return value;
}

/// Seconds since 1970 of "2023-11-16 18:17:03.9799600", with or without a fraction and "Z" or "+00:00" behind it.
std::optional<double> seconds_of(std::string_view text) {
  for (std::string_view const utc : {"Z", "+00:00"})
    if (text.ends_with(utc)) text.remove_suffix(utc.size());
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || (text[10] != ' ' && text[10] != 'T') || text[13] != ':' ||
      text[16] != ':')
    return {};
  auto const part = [&](std::size_t at, std::size_t size) { return number_of<unsigned>(text.substr(at, size)); };
  auto const year = part(0, 4), month = part(5, 2), day = part(8, 2), hour = part(11, 2), minute = part(14, 2),
             second = part(17, 2);
  if (!year || !month || !day || !hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 60) return {};
  double fraction = 0;
  if (text.size() > 19) {
    auto const digits = text[19] == '.' ? number_of<std::uint64_t>(text.substr(20)) : std::nullopt;
    if (!digits || text.size() > 20 + 9) return {};
    fraction = static_cast<double>(*digits);
    for (std::size_t i = 20; i < text.size(); ++i) fraction /= 10;
  }
  std::chrono::year_month_day const date{std::chrono::year(static_cast<int>(*year)), std::chrono::month(*month),
                                         std::chrono::day(*day)};
  if (!date.ok()) return {};
  auto const days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(days) * 86400 + *hour * 3600 + *minute * 60 + *second + fraction;
}

/// One line of a trace, and the errors about it.
struct trace_line {
  std::string         where;
  trace_limits const& limits;

  std::int32_t tokens(std::string_view text, std::string_view column) const {
    auto const value = number_of<std::int64_t>(text);
    if (!value || *value < 1 || *value > limits.tokens)
      throw wrong(where, std::string(column) + " is not a number of tokens", in_quotes(text), range());
    return static_cast<std::int32_t>(*value);
  }
  std::string range() const { return "1 to " + std::to_string(limits.tokens); }
};

arriving_request azure_request(std::string_view row, trace_line const& line, std::uint64_t id) {
  if (std::count(row.begin(), row.end(), ',') != 2)
    throw wrong(line.where, "wrong number of columns", in_quotes(row), std::string(azure_header));
  std::string_view const time = take(row, ','), prompt = take(row, ',');
  auto const             arrival = seconds_of(time);
  if (!arrival) throw wrong(line.where, "TIMESTAMP is not a time", in_quotes(time), "YYYY-MM-DD HH:MM:SS.fraction");
  return lone_request(*arrival, line.tokens(prompt, "ContextTokens"), line.tokens(row, "GeneratedTokens"), id);
}

arriving_request vidur_request(std::string_view row, trace_line const& line, std::uint64_t id) {
  std::string_view const prompt = take(row, ','), output = take(row, ',');
  return lone_request(0, line.tokens(prompt, "num_prefill_tokens"), line.tokens(output, "num_decode_tokens"), id);
}

arriving_request mooncake_request(std::string_view row, trace_line const& line) {
  json_value const  value = parse_json(row, line.where);
  json_fields const fields(value, line.where);
  arriving_request  r;
  r.arrival                = fields.number("timestamp", 0, 1e15) / 1e3;
  r.prompt_tokens          = static_cast<std::int32_t>(fields.integer("input_length", 1, line.limits.tokens));
  r.output_tokens          = static_cast<std::int32_t>(fields.integer("output_length", 1, line.limits.tokens));
  json_value const& ids    = fields.at("hash_ids", "a list of ids");
  auto const        blocks = static_cast<std::size_t>((r.prompt_tokens - 1) / mooncake_block + 1);
  if (!ids.is_array() || ids.size() != blocks)
    throw fields.wrong("hash_ids", "not one for each 512 tokens of the prompt",
                       ids.is_array() ? std::to_string(ids.size()) : describe(ids), std::to_string(blocks));
  std::int32_t left = r.prompt_tokens;
  for (json_value const& id : ids) {
    std::int64_t const hash = to_integer(id, line.where + ": hash_ids", 0, std::numeric_limits<std::int64_t>::max());
    r.prompt.push_back({static_cast<std::uint64_t>(hash), std::min(left, mooncake_block)});
    left -= mooncake_block;
  }
  return r;
}

}  // namespace

trace parse_trace(std::string_view text, std::string const& name, trace_limits const& limits) {
  if (text.size() > limits.bytes)
    throw wrong(name, "too large", std::to_string(text.size()) + " bytes", "at most " + std::to_string(limits.bytes));
  enum class format { none, azure, mooncake, vidur } kind = format::none;
  trace        t;
  std::int64_t line_number = 0;
  while (!text.empty()) {
    std::string_view row = take(text, '\n');
    ++line_number;
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty()) continue;
    trace_line const line{name + ":" + std::to_string(line_number), limits};
    if (kind == format::none) {
      kind = row == azure_header             ? format::azure
             : row.starts_with(vidur_header) ? format::vidur
             : row.front() == '{'            ? format::mooncake
                                             : format::none;
      if (kind == format::none)
        throw wrong(line.where, "not a trace", in_quotes(row),
                    "\"" + std::string(azure_header) + "\", \"" + std::string(vidur_header) +
                        ",...\" or a JSON object with timestamp, input_length, output_length and hash_ids");
      if (kind != format::mooncake) continue;
    }
    if (static_cast<std::int64_t>(t.requests.size()) >= limits.requests)
      throw wrong(line.where, "too many requests", "more", "at most " + std::to_string(limits.requests));
    std::uint64_t const id = t.requests.size();
    t.requests.push_back(kind == format::azure   ? azure_request(row, line, id)
                         : kind == format::vidur ? vidur_request(row, line, id)
                                                 : mooncake_request(row, line));
  }
  if (t.requests.empty()) throw wrong(name, "no requests", "none", "at least one row");
  t.has_arrivals = kind != format::vidur;
  std::stable_sort(t.requests.begin(), t.requests.end(),
                   [](auto const& a, auto const& b) { return a.arrival < b.arrival; });
  double const first = t.requests.front().arrival;
  for (arriving_request& r : t.requests) r.arrival -= first;
  return t;
}

trace read_trace(std::string const& path, trace_limits const& limits) {
  return parse_trace(read_bytes(path, limits.bytes), path == "-" ? "standard input" : path, limits);
}

}  // namespace tenon::engine
