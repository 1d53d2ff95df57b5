#include "engine/text/bpe_trainer.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <nlohmann/json.hpp>
#include <numeric>
#include <queue>
#include <utility>

#include "engine/error.hpp"
#include "engine/text/added_tokens.hpp"
#include "engine/text/byte_alphabet.hpp"
#include "engine/text/utf8.hpp"
#include "engine/text/word_families.hpp"

namespace tenon::engine {
namespace {

std::string spelled(std::string_view bytes) {
  std::string text;
  for (char const c : bytes) append_utf8(text, gpt2_alphabet.character[static_cast<unsigned char>(c)]);
  return text;
}

class bpe_trainer {
 public:
  bpe_trainer(word_counts const& words, std::span<std::string const> special) {
    trained_.special.assign(special.begin(), special.end());
    for (std::string const& t : special) {
      if (!is_utf8(t)) throw wrong("special tokens", "one is not UTF-8", in_quotes(t), "a text");
      if (t.empty() || !ids_.emplace(t, static_cast<std::int32_t>(ids_.size())).second)
        throw wrong("special tokens", t.empty() ? "one is empty" : "one is there twice", in_quotes(t),
                    "texts that differ");
    }
    // Bytes in the order of their characters.
    std::array<unsigned char, 256> bytes;
    std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(0));
    std::sort(bytes.begin(), bytes.end(),
              [](unsigned char a, unsigned char b) { return gpt2_alphabet.character[a] < gpt2_alphabet.character[b]; });
    std::array<std::int32_t, 256> byte_ids{};
    for (unsigned char const b : bytes) byte_ids[b] = id_of(std::string(1, static_cast<char>(b)));

    for (auto const& [word, count] : words) {
      if (word.size() < 2) continue;
      auto const w = static_cast<std::uint32_t>(words_.size());
      words_.push_back({symbols_.size(), word.size(), count});
      for (char const c : word) symbols_.push_back(byte_ids[static_cast<unsigned char>(c)]);
      std::int32_t const* const s = symbols_.data() + words_.back().begin;
      for (std::size_t i = 0; i + 1 < word.size(); ++i) change({s[i], s[i + 1]}, count, w);
    }
    push_touched();
  }

  trained_bpe train(std::int64_t vocabulary, std::int64_t least) {
    if (vocabulary < static_cast<std::int64_t>(ids_.size()))
      throw wrong("vocabulary", "has no room", std::to_string(vocabulary),
                  "at least " + std::to_string(ids_.size()) + ": 256 bytes and the special tokens");
    while (static_cast<std::int64_t>(ids_.size()) < vocabulary && !queue_.empty()) {
      candidate top = queue_.top();
      queue_.pop();
      std::int64_t const count = pairs_[top.pair].count;
      if (top.count != count) {
        top.count = count;
        queue_.push(top);
        continue;
      }
      if (count < std::max<std::int64_t>(least, 1)) break;
      std::vector<std::uint32_t> const where = std::exchange(pairs_[top.pair].words, {});
      if (where.empty()) continue;  // merged already, with what came to it since
      std::int32_t const id = id_of(bytes_of(top.left) + bytes_of(top.right));
      trained_.merges.push_back({top.left, top.right, id});
      for (std::uint32_t const w : where) merge(w, top.left, top.right, id);
      push_touched();
    }
    return std::move(trained_);
  }

 private:
  struct word {
    std::size_t  begin, length;  // in symbols_
    std::int64_t count;
  };
  struct pair_key {
    std::int32_t left, right;
  };
  struct pair_entry {
    pair_key                   key;
    std::int64_t               count   = 0;
    std::vector<std::uint32_t> words   = {};     // that may have it
    bool                       touched = false;  // has become a candidate since the last push
  };
  struct candidate {
    std::int64_t count;
    std::int32_t left, right;
    std::size_t  pair;

    bool operator<(candidate const& o) const {  // the best is the heap's greatest
      return count != o.count ? count < o.count : std::pair(left, right) > std::pair(o.left, o.right);
    }
  };

  /// Special tokens have a text, the others bytes.
  [[nodiscard]] std::string bytes_of(std::int32_t id) const {
    auto const i = static_cast<std::size_t>(id);
    return i < trained_.special.size() ? *gpt2_alphabet.bytes(trained_.special[i])
                                       : trained_.tokens[i - trained_.special.size()];
  }

  /// Of the token with these bytes, which may be a special one by chance; else of a new one.
  std::int32_t id_of(std::string const& bytes) {
    auto const [at, is_new] = ids_.emplace(spelled(bytes), static_cast<std::int32_t>(ids_.size()));
    if (is_new) trained_.tokens.push_back(bytes);
    return at->second;
  }

  void change(pair_key key, std::int64_t by, std::uint32_t w) {
    auto const packed =
        std::uint64_t{static_cast<std::uint32_t>(key.left)} << 32 | static_cast<std::uint32_t>(key.right);
    auto const [at, is_new] = index_.emplace(packed, pairs_.size());
    if (is_new) pairs_.push_back({key});
    pair_entry& p = pairs_[at->second];
    p.count += by;
    if (by <= 0) return;
    if (p.words.empty() || p.words.back() != w) p.words.push_back(w);
    if (!std::exchange(p.touched, true)) touched_.push_back(at->second);
  }

  void push_touched() {
    for (std::size_t const i : touched_) {
      pair_entry& p = pairs_[i];
      p.touched     = false;
      if (p.count > 0) queue_.push({p.count, p.key.left, p.key.right, i});
    }
    touched_.clear();
  }

  /// Every left and right in the word becomes `id`, from its beginning on.
  void merge(std::uint32_t w, std::int32_t left, std::int32_t right, std::int32_t id) {
    word&               of = words_[w];
    std::int32_t* const s  = symbols_.data() + of.begin;
    std::size_t         to = 0;
    for (std::size_t i = 0; i < of.length; ++to) {
      if (i + 1 == of.length || s[i] != left || s[i + 1] != right) {
        s[to] = s[i++];
        continue;
      }
      if (to > 0) change({s[to - 1], left}, -of.count, w), change({s[to - 1], id}, of.count, w);
      i += 2;
      if (i < of.length) change({right, s[i]}, -of.count, w), change({id, s[i]}, of.count, w);
      s[to] = id;
    }
    of.length = to;
  }

  trained_bpe                                    trained_;
  std::unordered_map<std::string, std::int32_t>  ids_;  // by spelling
  std::vector<std::int32_t>                      symbols_;
  std::vector<word>                              words_;
  std::vector<pair_entry>                        pairs_;
  std::unordered_map<std::uint64_t, std::size_t> index_;  // of pairs_
  std::vector<std::size_t>                       touched_;
  std::priority_queue<candidate>                 queue_;
};

}  // namespace

word_counts count_words(std::string_view text, std::string_view pattern, std::span<std::string const> special) {
  pre_tokenizer words;
  add_words(words, pattern, "pattern");
  added_token_matcher matcher;
  for (std::string const& s : special) {
    added_token t;
    t.content = s, t.special = true;
    if (!s.empty()) matcher.add(t);
  }
  word_counts counts;
  auto const  count = [&](std::string_view part) {
    if (auto const known = words.known()) {
      each_word(*known, part, [&](std::size_t begin, std::size_t end) { ++counts[part.substr(begin, end - begin)]; });
      return;
    }
    std::deque<std::string> prefixed;
    for (text_piece const& p : words.pieces(part, 0, prefixed)) ++counts[p.text];
  };
  for (auto const& part : matcher.split(text, true)) {
    if (part.id >= 0) continue;
    std::string_view left = text.substr(part.span.begin, part.span.end - part.span.begin);
    while (!left.empty()) {
      std::size_t const valid = utf8_length(left);
      if (valid > 0) count(left.substr(0, valid));
      left.remove_prefix(valid);
      if (!left.empty()) left.remove_prefix(next_utf8(left).length);
    }
  }
  return counts;
}

trained_bpe train_bpe(word_counts const& words, std::int64_t vocabulary, std::span<std::string const> special,
                      std::int64_t least) {
  return bpe_trainer(words, special).train(vocabulary, least);
}

std::string to_tokenizer_json(trained_bpe const& trained, std::string_view pattern) {
  using json            = nlohmann::ordered_json;
  auto const byte_level = [](bool words) {
    return json{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", words}};
  };
  word_family const* const family = find_word_family(pattern);
  json                     cuts   = json::array();
  auto const               split  = [&](std::string_view expression) {
    cuts.push_back(
                       {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}});
  };
  bool const gpt2 = family && family->words == word_pattern::gpt2;
  if (family && (family->words == word_pattern::cl100k || family->words == word_pattern::falcon))
    throw wrong("pattern", "cannot be said in a tokenizer.json", in_quotes(pattern),
                "another one; llama3 is what cl100k is there");
  if (!family) split(pattern);
  else if (!gpt2)
    for (std::string_view const step : family->words ? steps_of(*family->words) : family->steps) split(step);
  cuts.push_back(byte_level(gpt2));

  json           added = json::array(), merges = json::array();
  json::object_t vocab;  // appended to: an ordered object looks through all of its keys for a new one
  auto const     name_of = [&](std::int32_t id) {
    auto const i = static_cast<std::size_t>(id);
    return i < trained.special.size() ? trained.special[i] : spelled(trained.tokens[i - trained.special.size()]);
  };
  for (std::size_t i = 0; i < trained.special.size(); ++i)
    added.push_back({{"id", i},
                     {"content", trained.special[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  for (std::size_t i = 0; i < trained.special.size() + trained.tokens.size(); ++i)
    vocab.emplace_back(name_of(static_cast<std::int32_t>(i)), i);
  for (pair_merge const& m : trained.merges) merges.push_back({name_of(m.left), name_of(m.right)});
  json const tree = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", cuts.size() == 1 ? cuts[0] : json{{"type", "Sequence"}, {"pretokenizers", cuts}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", std::move(vocab)},
        {"merges", merges}}}};
  return tree.dump(2) + "\n";
}

}  // namespace tenon::engine
