#include "engine/text/tiktoken_file.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include "engine/error.hpp"
#include "engine/text/base64.hpp"
#include "engine/text/word_families.hpp"

namespace tenon::engine {
namespace {

/// Of a whole file: FNV-1a, eight bytes at a time.
std::uint64_t fingerprint_of(std::string_view text) {
  std::uint64_t h    = 0xcbf29ce484222325u ^ text.size();
  auto const    step = [&](std::uint64_t v) { h = (h ^ v) * 0x100000001b3u, h ^= h >> 29; };
  for (; text.size() >= 8; text.remove_prefix(8)) {
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < 8; ++i) v |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    step(v);
  }
  for (char const c : text) step(static_cast<unsigned char>(c));
  return h;
}

struct family {
  std::uint64_t    fingerprint;
  std::string_view name;
  word_pattern     pattern;
};
constexpr family families[] = {{0xd76443b6d4d15920u, "GPT-2", word_pattern::gpt2},
                               {0xc65508a1b77f6e5fu, "cl100k", word_pattern::cl100k},
                               {0x6a9ad7dbdf2e17deu, "o200k", word_pattern::o200k},
                               {0x297d5421c7f7e868u, "Llama 3", word_pattern::llama3}};

void add_control(bpe_definition& d, std::int32_t id, std::string content) {
  added_token t;
  t.id = id, t.content = std::move(content), t.special = true;
  d.added.push_back(std::move(t));
}

/// openai/tiktoken: tiktoken_ext/openai_public.py; meta-llama/llama3: llama/tokenizer.py.
void add_controls(bpe_definition& d, family const& f) {
  switch (f.pattern) {
    case word_pattern::gpt2: add_control(d, 50256, "<|endoftext|>"), d.ends = {50256}; break;
    case word_pattern::cl100k:
      add_control(d, 100257, "<|endoftext|>"), add_control(d, 100258, "<|fim_prefix|>");
      add_control(d, 100259, "<|fim_middle|>"), add_control(d, 100260, "<|fim_suffix|>");
      add_control(d, 100276, "<|endofprompt|>"), d.ends = {100257};
      break;
    case word_pattern::o200k:
      add_control(d, 199999, "<|endoftext|>"), add_control(d, 200018, "<|endofprompt|>"), d.ends = {199999};
      break;
    default: {
      constexpr std::int32_t first = 128000;
      std::int32_t           spare = 0;  // numbers of the reserved ones
      for (std::int32_t i = 0; i < 256; ++i) {
        char const* const name = i == 0   ? "<|begin_of_text|>"
                                 : i == 1 ? "<|end_of_text|>"
                                 : i == 6 ? "<|start_header_id|>"
                                 : i == 7 ? "<|end_header_id|>"
                                 : i == 9 ? "<|eot_id|>"
                                          : nullptr;
        add_control(d, first + i, name ? name : "<|reserved_special_token_" + std::to_string(spare++) + "|>");
      }
      d.before = {first}, d.ends = {first + 1, first + 9};
    }
  }
}

}  // namespace

bool looks_like_tiktoken(std::string_view text) {
  text                         = text.substr(0, 4096);  // longer lines have no token that anything would take
  std::string_view const line  = text.substr(0, text.find('\n'));
  auto const             space = line.find(' ');
  std::string            bytes;
  return space != line.npos && space > 0 && from_base64(line.substr(0, space), bytes) && space + 1 < line.size() &&
         line.find_first_not_of("0123456789\r", space + 1) == line.npos;
}

bpe_definition read_tiktoken(std::string_view text, std::string file, std::string_view pattern) {
  bpe_definition d;
  d.file         = std::move(file);
  d.merges_by_id = d.whole_words = true;
  std::size_t number             = 0;
  // Ranks leave few gaps; one that is far beyond the lines would take memory for all below it.
  auto const  lines = static_cast<std::int64_t>(std::count(text.begin(), text.end(), '\n'));
  auto const  limit = std::min(bpe_definition::id_limit, 2 * lines + 4096);
  std::string bytes;
  d.entries.reserve(static_cast<std::size_t>(std::min(limit, lines + 1024)));  // some for control tokens
  for (std::string_view rest = text; !rest.empty();) {
    ++number;
    auto const       end  = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    auto const subject = [&] { return d.file + ": line " + std::to_string(number); };
    auto const space   = line.find(' ');
    if (space == line.npos || space == 0 || !from_base64(line.substr(0, space), bytes))
      throw wrong(subject(), "is not a token", in_quotes(line.substr(0, 60)), "base64, a space and a rank");
    std::int32_t      rank  = -1;
    char const* const first = line.data() + space + 1;
    char const* const last  = line.data() + line.size();
    if (auto const r = std::from_chars(first, last, rank);
        r.ec != std::errc() || r.ptr != last || rank < 0 || rank >= limit)
      throw wrong(subject(), "has no rank", in_quotes(line.substr(space + 1).substr(0, 60)),
                  "a number below " + std::to_string(limit));
    auto& entry = d.entry_at(rank);
    if (entry.present) throw wrong(subject(), "has the rank of another token", std::to_string(rank), "a rank for each");
    entry.bytes = bytes, entry.present = entry.merged = true;
  }
  if (d.entries.empty()) throw wrong(d.file, "holds no token", "an empty file", "base64, a space and a rank per line");

  auto const subject = d.file + ": pattern";
  d.description      = "byte-level BPE (tiktoken)";
  if (!pattern.empty()) (void)add_words(d.words, pattern, subject);
  std::uint64_t const print = fingerprint_of(text);
  for (family const& f : families)
    if (f.fingerprint == print) {
      add_controls(d, f);
      d.description = "byte-level BPE (tiktoken, " + std::string(f.name) + ")";
      if (pattern.empty()) d.words.add_split(expression_of(f.pattern), subject, split_behaviour::isolated);
      return d;
    }
  if (pattern.empty())
    throw wrong(d.file, "does not say how to cut words", "ranks of no known family",
                "GPT-2's, cl100k, o200k or Llama 3's, or --pattern " + word_family_names() + "|EXPRESSION");
  return d;
}

}  // namespace tenon::engine
