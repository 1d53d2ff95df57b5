#include "engine/text/pre_tokenizer.hpp"

#include <algorithm>
#include <utility>

namespace tenon::engine {

void pre_tokenizer::add_prefix_space() {
  steps_.push_back({});
  recognize();
}

void pre_tokenizer::add_split(std::string_view expression, std::string subject, split_behaviour behaviour,
                              bool inverted) {
  steps_.push_back({split{pattern(expression, std::move(subject)), behaviour, inverted}});
  if (behaviour == split_behaviour::isolated) expressions_.emplace_back(expression);  // inverted or not: the same cuts
  recognize();
}

void pre_tokenizer::recognize() {
  known_ = expressions_.size() == steps_.size() ? known_pattern(expressions_) : std::nullopt;
}

std::vector<text_piece> pre_tokenizer::pieces(std::string_view text, std::size_t origin,
                                              std::deque<std::string>& prefixed) const {
  if (known_) {  // by hand here, too: PCRE2 may classify by an older Unicode
    std::vector<text_piece> words;
    each_word(*known_, text, [&](std::size_t begin, std::size_t end) {
      words.push_back({text.substr(begin, end - begin), origin + begin});
    });
    return words;
  }
  std::vector<text_piece> all{{text, origin}};
  for (step const& s : steps_) {
    if (s.cut) {
      all = cut(all, *s.cut);
      continue;
    }
    for (text_piece& p : all)
      if (!p.text.starts_with(' ')) {
        prefixed.push_back(" " + std::string(p.text));
        p.text     = prefixed.back();
        p.prefixed = true;
      }
  }
  return all;
}

std::vector<text_piece> pre_tokenizer::cut(std::vector<text_piece> const& pieces, split const& at) {
  struct part {
    std::size_t begin, end;
    bool        match;
  };
  std::vector<text_piece> result;
  std::vector<part>       parts, kept;
  for (auto const& p : pieces) {
    parts.clear(), kept.clear();
    std::size_t done = 0;
    for (auto const& m : at.expression.matches(p.text)) {
      if (m.begin > done) parts.push_back({done, m.begin, at.inverted});
      parts.push_back({m.begin, m.end, !at.inverted});
      done = m.end;
    }
    if (done < p.text.size()) parts.push_back({done, p.text.size(), at.inverted});

    using enum split_behaviour;
    bool before = false;  // the part before was a match
    if (at.behaviour == merged_with_next) {
      for (auto i = parts.rbegin(); i != parts.rend(); ++i) {
        if (i->match && !before && !kept.empty()) kept.back().begin = i->begin;
        else kept.push_back(*i);
        before = i->match;
      }
      std::reverse(kept.begin(), kept.end());
    } else {
      for (auto const& i : parts) {
        bool const join = !kept.empty() && ((at.behaviour == merged_with_previous && i.match && !before) ||
                                            (at.behaviour == contiguous && i.match == before));
        if (join) kept.back().end = i.end;
        else if (at.behaviour != removed || !i.match) kept.push_back(i);
        before = i.match;
      }
    }
    for (auto const& k : kept) {
      if (k.begin == k.end) continue;
      std::size_t const lead = p.prefixed ? 1 : 0;
      result.push_back({p.text.substr(k.begin, k.end - k.begin), p.origin + (k.begin > lead ? k.begin - lead : 0),
                        p.prefixed && k.begin == 0});
    }
  }
  return result;
}

}  // namespace tenon::engine
