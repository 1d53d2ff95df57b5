//  Any bytes as a text, through a small vocabulary of each kind: nothing is lost, and every short way gives what the long one gives.
//
//  The first byte chooses the vocabulary, the second where the stream is cut, the rest is the text.
#include <engine/error.hpp>
#include <engine/text/byte_alphabet.hpp>
#include <engine/text/byte_pairs.hpp>
#include <engine/text/detokenizer.hpp>
#include <engine/text/merge.hpp>
#include <engine/text/pair_table.hpp>
#include <engine/text/pattern.hpp>
#include <engine/text/tokenizer.hpp>
#include <engine/text/unicode_classes.hpp>
#include <engine/text/utf8.hpp>
#include <engine/text/word_patterns.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "attempt.hpp"
#include "input_file.hpp"

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

void expect(bool so) {
  if (!so) std::abort();
}

/// 256 bytes and what is merged of them, also across each other's ends.
struct small_vocabulary {
  std::vector<std::string>            tokens;
  std::vector<pair_merge>             merges;
  std::map<std::string, std::int32_t> id_of;

  small_vocabulary() {
    for (int b = 0; b < 256; ++b) add(std::string(1, static_cast<char>(static_cast<unsigned char>(b))));
    for (char const* t : {" t",        "he",        " the",     "in",           "er",       "an",       "re",
                          "ab",        "bc",        "cd",       "abc",          "bcd",      "aa",       "aaa",
                          "aaaa",      "aaaaaaaa",  "ba",       "aba",          "abab",     "bab",      "'s",
                          "'ll",       "ll",        "\n\n",     "\r\n",         "  ",       "    ",     " \n",
                          "\t\t",      "12",        "123",      "23",           "00",       "000",      "\xCC\x81",
                          "e\xCC\x81", "\xC3\xA9",  "\xE4\xB8", "\xE4\xB8\xAD", "\xAD\xE4", "\xF0\x9F", "\xF0\x9F\x91",
                          "\xC5\xBF",  "'\xC5\xBF", "\xE3\x80", "\xE3\x80\x80", "\xC2\xA0", "__",       "____",
                          "==",        "<|",        "|>",       " a",           " A",       "A",        "Ab",
                          "AB",        "xx",        "xxx",      "xxxx"})
      if (std::string const s = t; !id_of.contains(s)) join(s);
  }
  void add(std::string const& t) {
    id_of.emplace(t, static_cast<std::int32_t>(tokens.size()));
    tokens.push_back(t);
  }
  void join(std::string const& t) {
    for (std::size_t cut = 1; cut < t.size(); ++cut) {
      auto const left = id_of.find(t.substr(0, cut)), right = id_of.find(t.substr(cut));
      if (left == id_of.end() || right == id_of.end()) continue;
      merges.push_back({left->second, right->second, static_cast<std::int32_t>(tokens.size())});
      return add(t);
    }
  }
};
small_vocabulary const& small() {
  static small_vocabulary const v;
  return v;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string                text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 3; ++k)
      three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? digits[three >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::unique_ptr<tokenizer> load(std::string const& file, std::string_view pattern = {}) {
  return load_tokenizer(fuzz::input_file(reinterpret_cast<std::uint8_t const*>(file.data()), file.size()), pattern);
}

std::unique_ptr<tokenizer> of_ranks(std::string_view pattern) {
  std::string file;
  for (std::size_t i = 0; i < small().tokens.size(); ++i)
    file += base64(small().tokens[i]) + " " + std::to_string(i) + "\n";
  return load(file, pattern);
}

using json = nlohmann::json;

json added(int id, char const* text, bool special, bool strips) {
  return {{"id", id},         {"content", text},  {"special", special},   {"normalized", !special},
          {"lstrip", strips}, {"rstrip", strips}, {"single_word", strips}};
}

std::unique_ptr<tokenizer> of_json(std::string_view expression, bool nfc) {
  json       vocabulary, merges = json::array();
  auto const spelled = [](std::string const& bytes) {
    std::string text;
    for (char const c : bytes) append_utf8(text, gpt2_alphabet.character[static_cast<unsigned char>(c)]);
    return text;
  };
  for (std::size_t i = 0; i < small().tokens.size(); ++i) vocabulary[spelled(small().tokens[i])] = i;
  for (pair_merge const& m : small().merges)
    merges.push_back({spelled(small().tokens[static_cast<std::size_t>(m.left)]),
                      spelled(small().tokens[static_cast<std::size_t>(m.right)])});
  int const  first = static_cast<int>(small().tokens.size());
  json const split = {
      {"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
  json const bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  json       file  = {{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
                      {"added_tokens", {added(first, "<|end|>", true, false), added(first + 1, "<|", true, false)}},
                      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}}};
  if (nfc) {
    file["normalizer"] = {{"type", "NFC"}};
    file["added_tokens"].push_back(added(first + 2, "cat", false, true));
  }
  return load(file.dump());
}

std::unique_ptr<tokenizer> of_llama2c() {
  std::vector<std::string> tokens{"<unk>", "\n<s>\n", "\n</s>\n"};
  char                     spelled[8];
  for (unsigned b = 0; b < 256; ++b) std::snprintf(spelled, sizeof spelled, "<0x%02X>", b), tokens.push_back(spelled);
  for (char const* t : {" ", "a", "b", "ab", "aa", "aba", "e", "\xC3\xA9", "\xE4\xB8\xAD", " a", " ab", "<", "0", "<0",
                        "x", "<0x", ">"})
    tokens.push_back(t);
  std::string file("\x10\0\0\0", 4);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    float const        score = -static_cast<float>(i);
    std::int32_t const size  = static_cast<std::int32_t>(tokens[i].size());
    char               head[8];
    std::memcpy(head, &score, 4), std::memcpy(head + 4, &size, 4);
    file.append(head, 8).append(tokens[i]);
  }
  return load(file);
}

struct subject {
  std::unique_ptr<tokenizer> words;
  bool                       exact = true;  // spans cover the text, and decoding gives its bytes
};

std::vector<subject> make_subjects() {
  std::vector<subject> all;
  for (char const* name : {"gpt2", "llama3", "qwen2", "cl100k", "o200k", "tekken", "qwen35"})
    all.push_back({of_ranks(name)});
  for (word_pattern const p : word_patterns) all.push_back({of_json(expression_of(p), false)});
  all.push_back({of_json(R"([^\p{L}\p{N}\s]+|\p{N}|\p{L}+?(?=\p{Lu}|\b)|\s)", false)});  // PCRE2
  all.push_back({of_json(expression_of(word_pattern::gpt2), true), false});
  all.push_back({of_llama2c(), false});
  return all;
}

std::vector<subject> const& subjects() {
  static std::vector<subject> const all = make_subjects();
  return all;
}

void check_tokenizer(subject const& s, std::string_view text, std::size_t cut) {
  tokenizer const& t = *s.words;
  for (bool const control : {false, true}) {
    encoding const e = t.encode_with_spans(text, {false, control});
    expect(e.ids == t.encode(text, encode_options{false, control}));
    expect(e.ids.size() == e.spans.size());
    std::string bytes;
    std::size_t end = 0;
    for (std::size_t i = 0; i < e.ids.size(); ++i) {
      expect(e.ids[i] >= 0 && e.ids[i] < t.vocabulary());
      expect(e.spans[i].begin <= e.spans[i].end && e.spans[i].end <= text.size());
      bytes += t.token_bytes(e.ids[i]);
      if (!s.exact) continue;
      expect(e.spans[i].begin == end);
      end = e.spans[i].end;
    }
    if (s.exact) expect(end == text.size() && bytes == text);
    if (control) continue;  // control tokens add nothing to a decoded text

    std::string const whole = t.decode(e.ids);
    if (s.exact) expect(whole == text);
    expect(t.decode(t.encode(whole, encode_options{false, false})) == whole);
    std::span<std::int32_t const> const all = e.ids;
    std::size_t const                   at  = all.empty() ? 0 : cut % all.size();
    expect(t.decode(all.first(at)) + t.decode(all.subspan(at), at == 0 ? -1 : all[at - 1]) == whole);
    detokenizer stream(t, -1);
    std::string streamed;
    for (std::int32_t const id : e.ids) {
      std::string const piece = stream.feed(id);
      expect(is_utf8(piece));  // no half of a character
      streamed += piece;
    }
    expect(streamed + stream.finish() == to_utf8(whole));
  }
}

/// One by one, the best first.
template <class Lookup>
ids merged(std::string_view word, Lookup const& lookup) {
  std::vector<symbol> symbols;
  for (char const c : word) symbols.push_back({static_cast<unsigned char>(c), 1});
  detail::merge_by_heap(symbols, lookup);
  ids found;
  for (symbol const& s : symbols) found.push_back(s.id);
  return found;
}

/// As tiktoken says it: of all pairs whose bytes are a token, the one with the smallest id, until there is none.
ids merged_by_rank(std::string_view word) {
  std::vector<std::string> parts;
  for (char const c : word) parts.push_back(std::string(1, c));
  auto const& id_of = small().id_of;
  for (;;) {
    auto        best = id_of.end();
    std::size_t at   = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i)
      if (auto const joined = id_of.find(parts[i] + parts[i + 1]);
          joined != id_of.end() && (best == id_of.end() || joined->second < best->second))
        best = joined, at = i;
    if (best == id_of.end()) break;
    parts[at] = best->first;
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  ids found;
  for (std::string const& p : parts) found.push_back(id_of.at(p));
  return found;
}

ids divided(byte_pairs const& pairs, std::string_view word) {
  ids found(word.size());
  found.resize(pairs.encode(word, found.data()));
  return found;
}

void check_merges(std::string_view word) {
  static std::vector<std::string_view> const views(small().tokens.begin(), small().tokens.end());
  static byte_pairs const                    by_merges = byte_pairs::by_merges(views, small().merges),
                          by_rank                      = byte_pairs::by_rank(views);
  static pair_table const table                        = [] {
    pair_table    all(small().merges.size());
    std::uint32_t rank = 0;
    for (pair_merge const& m : small().merges) all.insert(m.left, m.right, rank++, m.id);
    return all;
  }();
  if (word.empty()) return;
  expect(by_merges.usable() && by_rank.usable());
  expect(divided(by_merges, word) == merged(word, table));
  std::string_view const few = word.substr(0, 200);
  expect(divided(by_rank, few) == merged_by_rank(few));
}

/// Code points that PCRE2, of another version of Unicode, may put into another class than we do; those behind the last
/// plane of letters are not asked about.
std::vector<bool> const& doubtful() {
  static std::vector<bool> const all = [] {
    constexpr char32_t       end = 0x33480;
    std::vector<bool>        found(0x110000);
    std::vector<char32_t>    codes;
    std::string              text;
    std::vector<std::size_t> begins;
    for (char32_t c = 1; c < end; ++c)
      if (c < 0xD800 || c > 0xDFFF) codes.push_back(c), begins.push_back(text.size()), append_utf8(text, c);
    std::fill(found.begin() + end, found.end(), true);
    struct {
      char const* expression;
      unsigned    bits;
    } constexpr classes[] = {{R"(\p{L}+)", is_letter},
                             {R"(\p{N}+)", is_number},
                             {R"(\s+)", is_space},
                             {R"(\p{M}+)", is_mark},
                             {R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+)", is_upper_side},
                             {R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+)", is_lower_side}};
    for (auto const& k : classes) {
      std::vector<token_span> const matches = pattern(k.expression, "class").matches(text);
      std::size_t                   m       = 0;
      for (std::size_t i = 0; i < codes.size(); ++i) {
        while (m < matches.size() && matches[m].end <= begins[i]) ++m;
        bool const inside = m < matches.size() && matches[m].begin <= begins[i];
        if (((unicode_class_of(codes[i]) & k.bits) != 0) != inside) found[codes[i]] = true;
      }
    }
    return found;
  }();
  return all;
}

void check_words(word_pattern p, std::string_view text) {
  for (std::string_view rest = text; !rest.empty();) {
    auto const step = next_utf8(rest);
    if (step.kind != utf8_kind::character || doubtful()[step.code]) return;
    rest.remove_prefix(step.length);
  }
  static std::vector<pattern> const slow = [] {
    std::vector<pattern> all;
    for (word_pattern const each : word_patterns) all.emplace_back(expression_of(each), "pattern");
    return all;
  }();
  std::vector<token_span> cut;
  each_word(p, text, [&](std::size_t begin, std::size_t end) {
    cut.push_back({begin, end});
    check_merges(text.substr(begin, end - begin));
  });
  for (std::size_t i = 0; i < std::size(word_patterns); ++i)
    if (word_patterns[i] == p) expect(cut == slow[i].matches(text));
}

}  // namespace

/// What is made once is not on the clock of an input.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  (void)subjects(), (void)doubtful();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view const text(reinterpret_cast<char const*>(data) + 2, size - 2);
  fuzz::attempt([&] { check_tokenizer(subjects()[data[0] % subjects().size()], text, data[1]); });  // PCRE2 has limits
  check_words(word_patterns[data[0] % std::size(word_patterns)], text);
  check_merges(text.substr(0, 2000));
  return 0;
}
