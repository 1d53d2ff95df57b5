#include "engine/text/text_normalizer.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "engine/text/unicode_classes.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

using steps = text_normalizer;

/// A text that is being made of another one, and where its bytes come from.
class rewriting {
 public:
  rewriting(std::string_view from, bool origins) : from_(from), origins_(origins) {
    out_.text.reserve(from.size() + 16);
    if (origins) out_.origin.reserve(from.size() + 16);
  }

  /// Bytes [begin, end) of the source as they are.
  void keep(std::size_t begin, std::size_t end) {
    out_.text += from_.substr(begin, end - begin);
    for (std::size_t i = begin; origins_ && i < end; ++i) out_.origin.push_back({i, i + 1});
  }
  void put(std::string_view text, token_span origin) {
    out_.text += text;
    if (origins_) out_.origin.resize(out_.text.size(), origin);
  }
  void put(char32_t code, token_span origin) {
    append_utf8(out_.text, code);
    if (origins_) out_.origin.resize(out_.text.size(), origin);
  }
  [[nodiscard]] normalized_text take() { return std::move(out_); }

 private:
  std::string_view from_;
  bool             origins_;
  normalized_text  out_;
};

/// f(begin, end) for each part that is UTF-8, and g(begin, end) for what is not.
template <class F, class G>
void each_part(std::string_view text, F const& f, G const& g) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t const valid = utf8_length(text.substr(at));
    if (valid > 0) f(at, at + valid);
    at += valid;
    if (at == text.size()) break;
    std::size_t const broken = next_utf8(text.substr(at)).length;
    g(at, at + broken);
    at += broken;
  }
}

/// f(code, begin, end) for each character; other bytes are kept.
template <class F>
normalized_text each_character(std::string_view text, bool origins, F const& f) {
  rewriting r(text, origins);
  for (std::size_t at = 0; at < text.size();) {
    auto const step = next_utf8(text.substr(at));
    if (step.kind == utf8_kind::character) f(r, step.code, token_span{at, at + step.length});
    else r.keep(at, at + step.length);
    at += step.length;
  }
  return r.take();
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::size_t white_space_at(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size()) {
    auto const step = next_utf8(text.substr(n));
    if (step.kind != utf8_kind::character || !is_white_space(step.code)) break;
    n += step.length;
  }
  return n;
}

bool ends_with_white_space(std::string_view text, std::size_t& length) {
  for (length = 1; length <= std::min<std::size_t>(3, text.size()); ++length) {
    auto const step = next_utf8(text.substr(text.size() - length));
    if (step.kind == utf8_kind::character && step.length == length) return is_white_space(step.code);
  }
  return false;
}

// What each step does, and when it does nothing.

bool keeps(steps::form const& s, std::string_view text) { return is_utf8(text) && has_form(text, s.value); }

normalized_text apply(steps::form const& s, std::string_view text, bool origins) {
  rewriting r(text, origins);
  each_part(
      text,
      [&](std::size_t begin, std::size_t end) {
        std::string_view const part = text.substr(begin, end - begin);
        if (has_form(part, s.value)) return r.keep(begin, end);
        normalized_text const made = to_form(part, s.value);
        for (std::size_t i = 0; i < made.text.size(); ++i)
          r.put(std::string_view(made.text).substr(i, 1), {begin + made.origin[i].begin, begin + made.origin[i].end});
      },
      [&](std::size_t begin, std::size_t end) { r.keep(begin, end); });
  return r.take();
}

bool keeps(steps::lowercase const&, std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80 && (c < 'A' || c > 'Z'); });
}

normalized_text apply(steps::lowercase const&, std::string_view text, bool origins) {
  return each_character(text, origins, [](rewriting& r, char32_t code, token_span at) {
    if (code == 0x130) r.put(U'i', at), r.put(char32_t{0x307}, at);  // a capital I with a dot: two codes
    else r.put(small_letter(code), at);
  });
}

bool keeps(steps::strip_accents const&, std::string_view text) { return is_ascii(text); }

normalized_text apply(steps::strip_accents const&, std::string_view text, bool origins) {
  return each_character(text, origins, [](rewriting& r, char32_t code, token_span at) {
    if ((unicode_class_of(code) & is_mark) == 0) r.put(code, at);
  });
}

bool keeps(steps::strip const& s, std::string_view text) {
  std::size_t length = 0;
  return !(s.left && white_space_at(text) > 0) && !(s.right && ends_with_white_space(text, length));
}

normalized_text apply(steps::strip const& s, std::string_view text, bool origins) {
  std::size_t const first = s.left ? white_space_at(text) : 0;
  std::size_t       last = text.size(), length = 0;
  while (s.right && last > first && ends_with_white_space(text.substr(first, last - first), length)) last -= length;
  rewriting r(text, origins);
  r.keep(first, last);
  return r.take();
}

bool keeps(steps::prepend const& s, std::string_view text) { return text.empty() || s.text.empty(); }

normalized_text apply(steps::prepend const& s, std::string_view text, bool origins) {
  rewriting r(text, origins);
  if (!text.empty()) r.put(s.text, {0, 0});
  r.keep(0, text.size());
  return r.take();
}

bool keeps(steps::replace const& s, std::string_view text) {
  return !s.expression && text.find(s.literal) == text.npos;
}

normalized_text apply(steps::replace const& s, std::string_view text, bool origins) {
  rewriting   r(text, origins);
  std::size_t done = 0;
  if (!s.expression) {
    for (std::size_t at = 0; (at = text.find(s.literal, done)) != text.npos; done = at + s.literal.size()) {
      r.keep(done, at);
      r.put(s.with, {at, at + s.literal.size()});
    }
    r.keep(done, text.size());
    return r.take();
  }
  each_part(
      text,
      [&](std::size_t begin, std::size_t end) {
        done = begin;
        for (token_span const m : s.expression->matches(text.substr(begin, end - begin))) {
          r.keep(done, begin + m.begin);
          r.put(s.with, {begin + m.begin, begin + m.end});
          done = begin + m.end;
        }
        r.keep(done, end);
      },
      [&](std::size_t begin, std::size_t end) { r.keep(begin, end); });
  return r.take();
}

bool keeps(steps::map const& s, std::string_view text) {
  for (std::size_t at = 0; (at += s.rules.plain(text.substr(at))) < text.size();) {
    if (s.rules.shortest(text.substr(at)).length > 0) return false;
    auto const step = next_utf8(text.substr(at));
    if (step.kind != utf8_kind::character && !s.by_clusters && !s.keeps_bytes) return false;
    at += step.length;
  }
  return true;
}

/// As SentencePiece does: the longest rule at each place, else the character; another byte becomes U+FFFD.
void map_by_longest(steps::map const& s, std::string_view text, std::size_t origin, rewriting& r) {
  for (std::size_t at = 0; at < text.size();) {
    if (std::size_t const n = s.rules.plain(text.substr(at)); n > 0) {
      r.keep(origin + at, origin + at + n), at += n;
      continue;
    }
    auto const rule = s.rules.longest(text.substr(at));
    if (rule.length > 0) {
      r.put(rule.result, {origin + at, origin + at + rule.length});
      at += rule.length;
      continue;
    }
    auto const step = next_utf8(text.substr(at));
    if (step.kind == utf8_kind::character) {
      r.keep(origin + at, origin + at + step.length), at += step.length;
    } else {
      if (s.keeps_bytes) r.keep(origin + at, origin + at + 1);
      else r.put(replacement_character, {origin + at, origin + at + 1});
      ++at;
    }
  }
}

/// As tokenizer.json's Precompiled does: a whole short cluster by the shortest rule, else each of its characters.
void map_by_clusters(steps::map const& s, std::string_view text, std::size_t origin, rewriting& r) {
  static pattern const cluster("\\X", "clusters");
  auto const           one = [&](token_span at) {
    auto const rule = s.rules.shortest(text.substr(at.begin, at.end - at.begin));
    if (rule.length > 0) r.put(rule.result, {origin + at.begin, origin + at.end});
    return rule.length > 0;
  };
  for (token_span const c : cluster.matches(text)) {
    if (c.end - c.begin < 6 && one(c)) continue;
    for (std::size_t at = c.begin; at < c.end;) {
      std::size_t const length = next_utf8(text.substr(at)).length;
      if (!one({at, at + length})) r.keep(origin + at, origin + at + length);
      at += length;
    }
  }
}

normalized_text apply(steps::map const& s, std::string_view text, bool origins) {
  rewriting r(text, origins);
  if (s.by_clusters) {
    each_part(
        text,
        [&](std::size_t begin, std::size_t end) { map_by_clusters(s, text.substr(begin, end - begin), begin, r); },
        [&](std::size_t begin, std::size_t end) { r.keep(begin, end); });
    return r.take();
  }
  if (!s.kept) {
    map_by_longest(s, text, 0, r);
    return r.take();
  }
  for (text_part const& p : s.kept->split(text, true))
    if (p.id >= 0) r.keep(p.span.begin, p.span.end);
    else map_by_longest(s, text.substr(p.span.begin, p.span.end - p.span.begin), p.span.begin, r);
  return r.take();
}

bool keeps(steps::squeeze const& s, std::string_view text) {
  return !text.starts_with(' ') && !text.ends_with(' ') && !(s.escaped && text.ends_with("\xE2\x96\x81")) &&
         text.find("  ") == text.npos;
}

normalized_text apply(steps::squeeze const& s, std::string_view text, bool origins) {
  std::size_t last = text.size();
  for (bool more = true; more;) {
    more = false;
    if (last > 0 && text[last - 1] == ' ') --last, more = true;
    else if (s.escaped && text.substr(0, last).ends_with("\xE2\x96\x81")) last -= 3, more = true;
  }
  rewriting r(text, origins);
  for (std::size_t at = 0; at < last;) {
    while (at < last && text[at] == ' ') ++at;
    std::size_t const end = std::min(text.find("  ", at), last);
    if (end > at) r.keep(at, end);
    at = std::min(text.find_first_not_of(' ', end), last);
    if (at < last && end < at) r.keep(at - 1, at);
  }
  return r.take();
}

/// `made` of what `before` has made.
normalized_text after(normalized_text const& before, normalized_text made) {
  if (made.origin.empty()) return made;
  std::size_t const size = before.text.size();
  std::size_t const end  = size > 0 ? before.origin.back().end : 0;
  for (token_span& o : made.origin) {
    if (o.begin == o.end) {
      std::size_t const at = o.begin < size ? before.origin[o.begin].begin : end;
      o                    = {at, at};
      continue;
    }
    token_span all = before.origin[o.begin];
    for (std::size_t i = o.begin + 1; i < o.end; ++i)
      all = {std::min(all.begin, before.origin[i].begin), std::max(all.end, before.origin[i].end)};
    o = all;
  }
  return made;
}

}  // namespace

bool text_normalizer::keeps(std::string_view text) const {
  return std::all_of(steps_.begin(), steps_.end(), [&](step const& s) {
    return std::visit([&](auto const& one) { return engine::keeps(one, text); }, s);
  });
}

normalized_text text_normalizer::apply(std::string_view text, bool origins) const {
  normalized_text result;
  bool            made = false;
  for (step const& s : steps_)
    std::visit(
        [&](auto const& one) {
          if (!made && engine::keeps(one, text)) return;
          if (!made) result = engine::apply(one, text, origins), made = true;
          else if (!engine::keeps(one, result.text)) result = after(result, engine::apply(one, result.text, origins));
        },
        s);
  if (made) return result;
  rewriting r(text, origins);
  r.keep(0, text.size());
  return r.take();
}

}  // namespace tenon::engine
