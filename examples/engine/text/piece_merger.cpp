#include "engine/text/piece_merger.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/text/merge.hpp"
#include "engine/text/piece_cache.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {

piece_merger::piece_merger(piece_definition const& d) : pieces_(d.entries.size()), whole_words_(d.whole_words) {
  std::vector<std::string> const characters = name_characters(d);
  std::vector<std::string_view>  texts(pieces_ + characters.size());
  lengths_.assign(texts.size(), 1);  // a byte token's
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i < pieces_ && !d.entries[i].matched) continue;
    texts[i]    = i < pieces_ ? std::string_view(d.entries[i].bytes) : std::string_view(characters[i - pieces_]);
    lengths_[i] = static_cast<std::uint32_t>(texts[i].size());
    pairs += texts[i].size() / 2;
  }
  trie_  = prefix_trie(texts);
  pairs_ = character_pairs(pairs);
  for (std::size_t c = 0; c < ascii_.size(); ++c) {
    char const letter = static_cast<char>(c);
    ascii_[c]         = trie_.exact({&letter, 1});
  }
  for (std::size_t i = 0; i < pieces_; ++i)
    if (d.entries[i].kind == piece_kind::unused) unused_.resize(pieces_), unused_[i] = true;
  if (!unused_.empty()) cuts_ = false;  // how a piece is taken apart depends on the whole text
  if (d.method == piece_method::ranks) take_merges(d);
  else if (d.method == piece_method::scores) rank_by_score(d, texts);
  static std::atomic<std::uint64_t> mergers{std::uint64_t{1} << 32};
  number_ = ++mergers;
}

/// Characters inside of pieces that are no pieces themselves: by score, two of them may merge all the same.
std::vector<std::string> piece_merger::name_characters(piece_definition const& d) const {
  if (d.method != piece_method::scores) return {};
  std::unordered_set<std::string_view> single, seen;
  std::vector<std::string>             characters;
  for (auto const& e : d.entries)
    if (e.matched) single.insert(e.bytes);
  for (auto const& e : d.entries)
    for (std::string_view rest = e.matched ? e.bytes : std::string_view(); !rest.empty();) {
      auto const             step      = next_utf8(rest);
      std::string_view const character = rest.substr(0, step.length);
      if (step.kind == utf8_kind::character && !single.contains(character) && seen.insert(character).second)
        characters.emplace_back(character);
      rest.remove_prefix(step.length);
    }
  return characters;
}

/// Every two texts whose joined text is a piece, ranked by that piece's score, the best first.
void piece_merger::rank_by_score(piece_definition const& d, std::vector<std::string_view> const& texts) {
  std::vector<double> scores;
  for (auto const& e : d.entries)
    if (e.matched) scores.push_back(e.score);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  struct merge {
    std::int32_t  left, right, id;
    std::uint32_t rank;
  };
  std::vector<merge> merges;
  for (std::size_t i = 0; i < pieces_; ++i) {
    std::string_view const text = texts[i];
    auto const             id   = static_cast<std::int32_t>(i);
    if (text.size() < 2 || trie_.exact(text) != id) continue;  // of equal pieces the first
    pairs_.insert(text);
    auto const at   = std::lower_bound(scores.begin(), scores.end(), d.entries[i].score, std::greater<>());
    auto const rank = static_cast<std::uint32_t>(at - scores.begin());
    trie_.each(text.substr(0, text.size() - 1), [&](std::int32_t left, std::size_t cut) {
      if (std::int32_t const right = trie_.exact(text.substr(cut)); right >= 0)
        merges.push_back({left, right, id, rank});
    });
  }
  merges_ = pair_table(merges.size());
  for (auto const& m : merges) merges_.insert(m.left, m.right, m.rank, m.id);
}

void piece_merger::take_merges(piece_definition const& d) {
  merges_                = pair_table(d.merges.size());
  std::uint32_t rank     = 0;
  auto const    entry_of = [&](std::int32_t id) -> auto const& { return d.entries[static_cast<std::size_t>(id)]; };
  for (pair_merge const& m : d.merges) {
    merges_.insert(m.left, m.right, rank++, m.id);
    pairs_.insert(entry_of(m.id).bytes);
    if (entry_of(m.left).matched && entry_of(m.right).matched && entry_of(m.id).matched) continue;
    cuts_ = false;  // a merge of what is no text: bytes are symbols like others then
    bytes_.assign(256, -1);
  }
  if (bytes_.empty()) return;
  for (std::size_t i = 0; i < pieces_; ++i)
    if (d.entries[i].kind == piece_kind::byte)
      bytes_[static_cast<unsigned char>(d.entries[i].bytes[0])] = static_cast<std::int32_t>(i);
}

std::size_t piece_merger::divide(std::string_view text, std::size_t at, bool whole, std::vector<symbol>& out) const {
  constexpr std::size_t many = 4096;
  if (whole_words_ && whole && at == 0)
    if (std::int32_t const id = trie_.exact(text); id >= 0) {
      out.push_back({id, text.size()});
      return text.size();
    }
  if (!cuts_) {
    std::vector<symbol> symbols;
    merge_word(text.substr(at), symbols);
    out.insert(out.end(), symbols.begin(), symbols.end());
    return text.size();
  }
  piece_cache&        cache = piece_cache::of(number_);
  std::vector<symbol> symbols;
  std::size_t const   first = out.size();
  while (at < text.size() && out.size() - first < many) {
    std::size_t const end = pairs_.word_end(text, at), n = end - at;
    if (n > word_key::longest) {
      merge_word(text.substr(at, n), symbols);
      out.insert(out.end(), symbols.begin(), symbols.end());
      at = end;
      continue;
    }
    word_key const key = word_key::of(text.substr(at), n);
    if (auto const* const known = cache.find(key)) {
      for (std::uint32_t i = 0; i < known->count; ++i)
        out.push_back({known->ids[i], lengths_[static_cast<std::size_t>(known->ids[i])]});
    } else {
      merge_word(text.substr(at, n), symbols);
      out.insert(out.end(), symbols.begin(), symbols.end());
      short_pieces value;
      bool         fits = symbols.size() <= short_pieces::most;
      for (std::size_t i = 0; fits && i < symbols.size(); ++i) value.ids[i] = symbols[i].id, fits = symbols[i].id >= 0;
      value.count = static_cast<std::uint32_t>(symbols.size());
      if (fits) cache.insert(key, value);
    }
    at = end;
  }
  return at;
}

void piece_merger::merge_word(std::string_view word, std::vector<symbol>& symbols) const {
  symbols.clear();
  for (std::size_t at = 0; at < word.size();) {
    auto const byte = static_cast<unsigned char>(word[at]);
    if (byte < 0x80 && ascii_[byte] >= 0) {
      symbols.push_back({ascii_[byte], 1});
      ++at;
      continue;
    }
    auto const             step      = next_utf8(word.substr(at));
    std::size_t const      length    = step.kind == utf8_kind::character ? step.length : 1;
    std::string_view const character = word.substr(at, length);
    std::int32_t const     id        = step.kind == utf8_kind::character ? trie_.exact(character) : -1;
    bool const in_bytes = id < 0 && !bytes_.empty() && std::all_of(character.begin(), character.end(), [&](char c) {
                            return bytes_[static_cast<unsigned char>(c)] >= 0;
                          });
    if (in_bytes)
      for (char const c : character) symbols.push_back({bytes_[static_cast<unsigned char>(c)], 1});
    else symbols.push_back({id, length});
    at += length;
  }
  if (unused_.empty()) merge_symbols(symbols, merges_);
  else merge_and_take_apart(symbols);
  for (symbol& s : symbols)
    if (s.id >= 0 && static_cast<std::size_t>(s.id) >= pieces_) s.id = -1;
}

/// Pieces that are not in use become what was last considered for them in the whole text, as SentencePiece has it.
void piece_merger::merge_and_take_apart(std::vector<symbol>& symbols) const {
  std::unordered_map<std::int32_t, std::pair<std::int32_t, std::int32_t>> parts;
  auto const                                                              is_unused = [&](std::int32_t id) {
    return id >= 0 && static_cast<std::size_t>(id) < pieces_ && unused_[static_cast<std::size_t>(id)];
  };
  detail::merge_by_heap(symbols, merges_, [&](std::int32_t left, std::int32_t right, merge_result m) {
    if (is_unused(m.id)) parts[m.id] = {left, right};
  });
  std::vector<symbol> result, work;
  for (symbol const& whole : symbols) {
    work.push_back(whole);
    while (!work.empty()) {
      symbol const s = work.back();
      work.pop_back();
      auto const at = is_unused(s.id) ? parts.find(s.id) : parts.end();
      if (at == parts.end()) {
        result.push_back(s);
        continue;
      }
      auto const length = [&](std::int32_t id) { return std::size_t{lengths_[static_cast<std::size_t>(id)]}; };
      work.push_back({at->second.second, length(at->second.second)});
      work.push_back({at->second.first, length(at->second.first)});
    }
  }
  symbols = std::move(result);
}

}  // namespace tenon::engine
