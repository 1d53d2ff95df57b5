#include "engine/text/llama2c_tokenizer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "engine/error.hpp"
#include "engine/text/merge.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

constexpr std::size_t  vocabulary_limit = std::size_t{1} << 22;
constexpr std::int32_t token_limit      = 1 << 10;  // bytes

std::string byte_token(unsigned byte) {
  constexpr char digits[] = "0123456789ABCDEF";
  return {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
}

}  // namespace

llama2c_tokenizer::llama2c_tokenizer(std::string_view bytes, std::string file) : file_(std::move(file)) {
  auto const take = [&](auto& value, char const* what) {
    if (bytes.size() < sizeof value)
      throw wrong(file_, "is truncated in token " + std::to_string(tokens_.size()),
                  std::to_string(bytes.size()) + " bytes", std::to_string(sizeof value) + " bytes of " + what);
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes.remove_prefix(sizeof value);
  };
  std::int32_t stated = 0;
  take(stated, "the longest token's length");
  if (stated < 1 || stated > token_limit)
    throw wrong(file_, "is not a llama2.c vocabulary", "tokens of up to " + std::to_string(stated) + " bytes",
                "1 to " + std::to_string(token_limit));
  while (!bytes.empty()) {
    std::string const subject = file_ + ": token " + std::to_string(tokens_.size());
    float             score   = 0;
    std::int32_t      length  = 0;
    take(score, "a score");
    take(length, "a length");
    if (!std::isfinite(score))
      throw wrong(subject, "has a score that is no number", std::to_string(score), "a finite number");
    if (length < 0 || length > stated)
      throw wrong(subject, "has a wrong length", std::to_string(length), "0 to " + std::to_string(stated));
    if (static_cast<std::size_t>(length) > bytes.size())
      throw wrong(subject, "is truncated", std::to_string(bytes.size()) + " bytes", std::to_string(length));
    if (tokens_.size() == vocabulary_limit)
      throw wrong(file_, "has too many tokens", "more than " + std::to_string(vocabulary_limit), "at most that");
    tokens_.push_back({std::string(bytes.substr(0, static_cast<std::size_t>(length))), score});
    bytes.remove_prefix(static_cast<std::size_t>(length));
  }
  if (tokens_.size() < 3)
    throw wrong(file_, "has too few tokens", std::to_string(tokens_.size()), "at least 3: unknown, begin, end");

  has_bytes_ = tokens_.size() >= first_byte + 256;
  for (unsigned b = 0; has_bytes_ && b < 256; ++b) has_bytes_ = tokens_[first_byte + b].bytes == byte_token(b);
  std::size_t const first_text = has_bytes_ ? first_byte + 256 : first_byte;
  for (std::size_t i = first_text; i < tokens_.size(); ++i)
    if (!tokens_[i].bytes.empty()) ids_.emplace(tokens_[i].bytes, static_cast<std::int32_t>(i));
  rank_merges();
}

/// Every pair of entries whose joined text is an entry, ranked by that entry's score, the best first.
void llama2c_tokenizer::rank_merges() {
  std::vector<float> scores;
  for (auto const& [text, id] : ids_) scores.push_back(tokens_[static_cast<std::size_t>(id)].score);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  struct merge {
    std::int32_t  left, right, id;
    std::uint32_t rank;
  };
  std::vector<merge> merges;
  for (auto const& [text, id] : ids_) {
    auto const at =
        std::lower_bound(scores.begin(), scores.end(), tokens_[static_cast<std::size_t>(id)].score, std::greater<>());
    auto const rank = static_cast<std::uint32_t>(at - scores.begin());
    for (std::size_t cut = 1; cut < text.size(); ++cut)
      if (std::int32_t const left = find(text.substr(0, cut)); left >= 0)
        if (std::int32_t const right = find(text.substr(cut)); right >= 0) merges.push_back({left, right, id, rank});
  }
  merges_ = pair_table(merges.size());
  for (auto const& m : merges) merges_.insert(m.left, m.right, m.rank, m.id);
}

std::int32_t llama2c_tokenizer::find(std::string const& text) const {
  auto const at = ids_.find(text);
  return at == ids_.end() ? -1 : at->second;
}

encoding llama2c_tokenizer::encode_text(std::string_view text, encode_options options, bool /*spans*/) const {
  encoding out;
  if (options.add_special) out.ids.push_back(bos), out.spans.push_back({});
  if (text.empty()) return out;

  std::vector<symbol> symbols;
  auto const          append = [&](std::string_view part, bool whole) {
    std::int32_t const id = whole ? find(std::string(part)) : -1;
    if (id >= 0) symbols.push_back({id, part.size()});
    else if (!has_bytes_) symbols.push_back({unknown, part.size()});
    else
      for (char const c : part) symbols.push_back({first_byte + static_cast<unsigned char>(c), 1});
  };
  append(" ", true);
  symbols.front().length = 0;  // the input has no such space
  for (std::string_view rest = text; !rest.empty();) {
    auto const step = next_utf8(rest);
    append(rest.substr(0, step.length), step.kind == utf8_kind::character);
    rest.remove_prefix(step.length);
  }
  merge_symbols(symbols, merges_);
  std::size_t at = 0;
  for (auto const& s : symbols) {
    out.ids.push_back(s.id);
    out.spans.push_back({at, at + s.length});
    at += s.length;
  }
  return out;
}

std::string llama2c_tokenizer::token_bytes(std::int32_t id) const {
  if (id < 0 || id >= vocabulary())
    throw wrong(file_, "has no such token id", std::to_string(id), "an id below " + std::to_string(vocabulary()));
  if (has_bytes_ && id >= first_byte && id < first_byte + 256)
    return std::string(1, static_cast<char>(static_cast<unsigned char>(id - first_byte)));
  return tokens_[static_cast<std::size_t>(id)].bytes;
}

std::string llama2c_tokenizer::text_after(std::int32_t previous, std::int32_t id) const {
  if (id < 0 || id >= vocabulary() || is_special(id)) return {};
  std::string bytes  = token_bytes(id);
  bool const  begins = previous < 0 || previous == bos;  // the text's own first token carries the dummy space
  if (begins && bytes.starts_with(' ')) bytes.erase(0, 1);
  return bytes;
}

std::string llama2c_tokenizer::description() const {
  return std::string("scored pieces ") + (has_bytes_ ? "with bytes" : "without bytes") + " (llama2.c)";
}

}  // namespace tenon::engine
