#include "engine/program/tokenize.hpp"

#include <algorithm>
#include <charconv>
#include <istream>
#include <iterator>
#include <ostream>
#include <string>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/files/mapped_file.hpp"
#include "engine/program/option_set.hpp"
#include "engine/text/tokenizer.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

constexpr std::size_t input_limit = std::size_t{1} << 30;  // bytes

std::string input_of(options const& from, std::istream& in) {
  if (from.text) return *from.text;
  if (from.file && *from.file != "-") return read_bytes(*from.file, input_limit);
  std::string bytes;
  char        part[1 << 16];
  while (in.read(part, sizeof part) || in.gcount() > 0) {
    bytes.append(part, static_cast<std::size_t>(in.gcount()));
    if (bytes.size() > input_limit)
      throw wrong("standard input", "is too large", "more than " + std::to_string(input_limit) + " bytes",
                  "at most that");
  }
  return bytes;
}

std::string source_of(options const& from) { return from.text ? "--text" : input_name(from.file.value_or("-")); }

std::unique_ptr<tokenizer> tokenizer_of(options const& from) {
  return load_tokenizer(from.tokenizer.empty() ? find_tokenizer(from.model) : from.tokenizer, from.pattern);
}

void write(std::ostream& out, std::string_view text) {
  out.write(text.data(), static_cast<std::streamsize>(text.size())).flush();
  if (!out) throw wrong("standard output", "cannot be written", "an output error", "a place for the result");
}

/// Ids separated by white space, commas or brackets, so that a line of `tokenize` and a JSON array both do.
std::vector<std::int32_t> parse_ids(std::string_view text, std::string const& name, std::int32_t vocabulary) {
  constexpr std::string_view separators = " \t\r\n,[]";
  std::vector<std::int32_t>  ids;
  for (std::size_t at = 0; (at = text.find_first_not_of(separators, at)) != std::string_view::npos;) {
    auto const   word   = text.substr(at, text.find_first_of(separators, at) - at);
    std::int32_t id     = -1;
    auto const [end, e] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (e != std::errc{} || end != word.data() + word.size() || id < 0 || id >= vocabulary)
      throw wrong(name, "is no token id", in_quotes(word), "an id from 0 to " + std::to_string(vocabulary - 1));
    ids.push_back(id);
    at += word.size();
  }
  return ids;
}

}  // namespace

int run_tokenize(options const& from, std::istream& in, std::ostream& out) {
  auto const     text = tokenizer_of(from);
  encoding const e    = text->encode_with_spans(input_of(from, in), {!from.no_special, !from.no_special});
  std::string    result;
  switch (from.tokens_output) {
    case token_output::ids:
      for (auto const id : e.ids) result.append(result.empty() ? "" : " ").append(std::to_string(id));
      result += '\n';
      break;
    case token_output::count: result = std::to_string(e.ids.size()) + '\n'; break;
    case token_output::offsets:
      for (std::size_t i = 0; i < e.ids.size(); ++i)
        result.append(std::to_string(e.ids[i]))
            .append(" ")
            .append(std::to_string(e.spans[i].begin))
            .append(" ")
            .append(std::to_string(e.spans[i].end))
            .append("\n");
      break;
    case token_output::json: {
      json_value offsets = json_value::array();
      for (auto const& s : e.spans) offsets.push_back({s.begin, s.end});
      nlohmann::ordered_json const line = {{"ids", e.ids}, {"count", e.ids.size()}, {"offsets", offsets}};
      result                            = line.dump() + '\n';
      break;
    }
  }
  write(out, result);
  return 0;
}

int run_detokenize(options const& from, std::istream& in, std::ostream& out) {
  auto const                      text = tokenizer_of(from);
  std::vector<std::int32_t> const all  = parse_ids(input_of(from, in), source_of(from), text->vocabulary());
  std::span<std::int32_t const>   ids  = all;
  if (!from.no_special) {  // what `tokenize` adds is taken off again
    auto const before = text->added_before(), after = text->added_after();
    if (ids.size() >= before.size() && std::equal(before.begin(), before.end(), ids.begin()))
      ids = ids.subspan(before.size());
    if (ids.size() >= after.size() && std::equal(after.rbegin(), after.rend(), ids.rbegin()))
      ids = ids.first(ids.size() - after.size());
  }
  std::string  result;
  std::int32_t previous = -1;
  for (auto const id : ids) {
    result += text->is_special(id) ? text->token_bytes(id) : text->text_after(previous, id);
    previous = id;
  }
  if (from.tokens_output == token_output::json)
    result = nlohmann::ordered_json{{"ids", all}, {"text", to_utf8(result)}}.dump() + '\n';
  write(out, result);
  return 0;
}

}  // namespace tenon::engine
