#include "engine/tour/page.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string_view>
#include <thread>
#include <utility>

namespace tenon::engine::tour {

namespace {

std::string today() {
  std::time_t const now = std::time(nullptr);
  std::tm           parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d", &parts)};
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (auto const colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown processor";
}

/// As one word for a shell.
std::string shell_word(std::string const& text) {
  auto const plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./+:,@").find(c) != std::string_view::npos || (c & 0x80);
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return text;
  std::string word = "'";
  for (char const c : text) c == '\'' ? word += "'\\''" : word += c;
  return word += "'";
}

std::string command_of(stop const& s, std::string const& model) {
  std::string text = s.command;
  if (auto const at = text.find("DIR"); at != std::string::npos) text.replace(at, 3, shell_word(model));
  return text;
}

/// Characters, not bytes: "±" is one.
std::size_t width_of(std::string const& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// Whether a column holds numbers.
bool is_number(std::string const& cell) {
  return !cell.empty() && (cell[0] == '-' || (cell[0] >= '0' && cell[0] <= '9'));
}

/// Columns of equal width: as easy to read on a terminal as on a page. Numbers are to the right.
std::string text_of(table const& t) {
  std::vector<std::size_t> width;
  for (std::string const& c : t.columns) width.push_back(width_of(c));
  for (auto const& row : t.rows)
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], width_of(row[i]));
  std::vector<bool> right(width.size());
  for (std::size_t i = 0; i < width.size(); ++i)
    right[i] = std::any_of(t.rows.begin(), t.rows.end(), [i](auto const& row) { return is_number(row[i]); });
  std::string text;
  auto const  line = [&](std::vector<std::string> const& cells) {
    for (std::size_t i = 0; i < width.size(); ++i) {
      std::string const cell = i < cells.size() ? cells[i] : "", space(width[i] - width_of(cell), ' ');
      text += "| " + (right[i] ? space + cell : cell + space) + " ";
    }
    text += "|\n";
  };
  line(t.columns);
  for (std::size_t i = 0; i < width.size(); ++i)
    text += "|" + std::string(width[i] + (right[i] ? 1 : 2), '-') + (right[i] ? ":" : "");
  text += "|\n";
  for (auto const& row : t.rows) line(row);
  return text;
}

std::string grouped(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

}  // namespace

circumstances circumstances_of(std::string model, std::uint64_t parameters, int threads) {
  if (threads == 0) threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  double load = -1;
  if (::getloadavg(&load, 1) != 1) load = -1;
  return {today(), processor(), std::move(model), threads, parameters, load};
}

void wrapped_text::take_word(std::string& out) {
  if (word_.empty()) return;
  std::size_t const length = width_of(word_);
  if (column_ > 0 && column_ + (space_ ? 1 : 0) + length > width_) {
    out += "\n" + std::string(indentation_, ' ');
    column_ = indentation_, space_ = false;
  }
  if (space_) out += ' ', ++column_;
  out += word_;
  column_ += length, space_ = false;
  word_.clear();
}

std::string wrapped_text::feed(std::string_view piece) {
  std::string out;
  for (char const c : piece) {
    if (c == ' ' || c == '\n') {
      take_word(out);
      if (c == ' ') space_ = column_ > 0;
      else out += "\n" + std::string(indentation_, ' '), column_ = indentation_, space_ = false;
    } else {
      word_ += c;
    }
  }
  return out;
}

std::string wrapped_text::finish() {
  std::string out;
  take_word(out);
  return out;
}

std::string heading_of(circumstances const& c) {
  wrapped_text about;
  std::string  text = "# A tour of the techniques\n\n";
  text += about.feed(
      "This page is what `build/tenon tour` printed on " + c.date + " (" + c.machine + ", " +
      std::to_string(c.threads) + (c.threads == 1 ? " thread" : " threads") +
      (c.load >= 0 ? ", load average " + number("%.1f", c.load) : "") + "), about the model in " + c.model + ", " +
      grouped(c.parameters) +
      " parameters. Tables marked as timed are other ones on every machine and in every run. All other "
      "figures are the same in every run; another compiler or processor may change their last digits. "
      "KL and the share of equal top tokens are against the model in f32, on text that it says itself "
      "and no calibration has seen. Every technique of the repository, and how far it is: docs/techniques.md.");
  return text + about.finish() + "\n";
}

std::string heading_of(stop const& s, std::size_t number) {
  wrapped_text about;
  std::string  text = "\n## " + std::to_string(number) + ". " + s.title + "\n\n";
  text += about.feed(s.what);
  return text + about.finish() + "\n\n";
}

std::string text_of(visited const& v, std::string const& model) {
  std::string text;
  if (!v.seen.quotations.empty()) {
    text += "```\n";
    for (quotation const& q : v.seen.quotations) {
      if (q.verbatim) {
        text += q.text + (q.text.ends_with('\n') ? "" : "\n");
        continue;
      }
      wrapped_text lines(4);
      text += lines.feed(q.by + ": " + q.text);
      text += lines.finish() + "\n";
    }
    text += "```\n\n";
  }
  for (table const& t : v.seen.tables) text += (t.kind == figures::timed ? "Timed:\n\n" : "") + text_of(t) + "\n";
  if (!v.error.empty()) text += "**This stop failed**: " + v.error + "\n\n";
  return text + "Alone: `" + command_of(*v.where, model) + "`. Here it took " + number("%.1f s, ", v.seconds) +
         number("%.1f s of processor time.\n", v.cpu_seconds);
}

std::string closing_of(std::vector<visited> const& all) {
  double      seconds = 0, cpu = 0;
  std::size_t failed = 0;
  for (visited const& v : all) seconds += v.seconds, cpu += v.cpu_seconds, failed += v.error.empty() ? 0 : 1;
  return "\n" + std::to_string(all.size()) + (all.size() == 1 ? " stop in " : " stops in ") +
         number("%.1f s, ", seconds) + number("%.1f s of processor time", cpu) +
         (failed > 0 ? "; " + std::to_string(failed) + " failed.\n" : ".\n");
}

nlohmann::ordered_json to_json(circumstances const& c, std::vector<visited> const& all) {
  nlohmann::ordered_json j;
  j["date"] = c.date, j["machine"] = c.machine, j["threads"] = c.threads;
  j["load_average"] = c.load >= 0 ? nlohmann::ordered_json(c.load) : nlohmann::ordered_json(nullptr);
  j["model"] = c.model, j["parameters"] = c.parameters;
  auto& stops = j["stops"] = nlohmann::ordered_json::array();
  for (visited const& v : all) {
    nlohmann::ordered_json one;
    one["name"] = v.where->name, one["title"] = v.where->title, one["what"] = v.where->what;
    one["command"] = command_of(*v.where, c.model);
    if (!v.seen.streamed.empty()) one["streamed"] = v.seen.streamed;
    one["quotations"] = nlohmann::ordered_json::array(), one["tables"] = nlohmann::ordered_json::array();
    for (quotation const& q : v.seen.quotations) one["quotations"].push_back({{"by", q.by}, {"text", q.text}});
    for (table const& t : v.seen.tables)
      one["tables"].push_back({{"timed", t.kind == figures::timed}, {"columns", t.columns}, {"rows", t.rows}});
    one["error"]   = v.error.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(v.error);
    one["seconds"] = v.seconds, one["cpu_seconds"] = v.cpu_seconds;
    stops.push_back(std::move(one));
  }
  return j;
}

}  // namespace tenon::engine::tour
