#include "engine/text/piece_tokenizer.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "engine/error.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {

/// Where encoded text goes. Each stage gives spans of the text it was handed; the one in front of it turns them into
/// its own.
struct piece_tokenizer::sink {
  encoding    out;
  bool        spans  = true;
  bool        fusing = false;  // the last token is unknown, and the next one would join it
  std::size_t part   = 0;      // where the part between control tokens begins in the input

  std::vector<token_span> const* origin = nullptr;  // of its normalised text's bytes in it; none: they are the same

  void add(std::int32_t id, token_span s) {
    out.ids.push_back(id);
    if (spans) out.spans.push_back(s);
    fusing = false;
  }
  [[nodiscard]] std::size_t mark() const { return out.spans.size(); }
  template <class F>
  void move_spans(std::size_t mark, F const& f) {
    for (std::size_t i = mark; i < out.spans.size(); ++i) out.spans[i] = f(out.spans[i]);
  }
  void shift_spans(std::size_t mark, std::size_t by) {
    if (by > 0) move_spans(mark, [by](token_span s) { return token_span{s.begin + by, s.end + by}; });
  }
};

piece_tokenizer::piece_tokenizer(piece_definition d) : d_(std::move(d)) {
  if (d_.method == piece_method::unigram) lattice_ = piece_lattice(d_);
  else merger_ = piece_merger(d_);
  byte_ids_.fill(-1);
  bool has_space = false, inner_space = false;
  for (std::size_t i = 0; i < d_.entries.size(); ++i) {
    auto const& e  = d_.entries[i];
    auto const  id = static_cast<std::int32_t>(i);
    if (e.kind == piece_kind::byte) byte_ids_[static_cast<unsigned char>(e.bytes[0])] = id;
    if (e.kind == piece_kind::user && e.matched && d_.method == piece_method::scores) {
      added_token t;
      t.id = id, t.content = e.bytes;
      users_.add(t);
      has_users_ = true;
    }
    has_space   = has_space || (e.matched && e.bytes == " ");
    inner_space = inner_space || (e.matched && e.bytes.find(' ', 1) != std::string::npos);
  }
  leaves_out_ = d_.method == piece_method::ranks && d_.unknown < 0 &&
                std::find(byte_ids_.begin(), byte_ids_.end(), -1) != byte_ids_.end();
  if (d_.method != piece_method::unigram && !d_.whole_words && has_space && !inner_space)
    d_.split = false;  // merging ends there anyway
  for (added_token& t : d_.added) {
    auto& e   = d_.entry_at(t.id);
    e.kind    = t.special ? piece_kind::control : piece_kind::user;
    e.bytes   = t.content;
    e.matched = false;
    if (t.normalized && !d_.normalizer.keeps(t.content)) t.content = d_.normalizer.apply(t.content).text;
    if (!t.content.empty()) (t.normalized ? normalized_added_ : raw_added_).add(t);
  }
}

encoding piece_tokenizer::encode_text(std::string_view text, encode_options options, bool spans) const {
  sink to;
  to.spans       = spans;
  auto const add = [&](std::vector<std::int32_t> const& ids, std::size_t at) {
    if (!options.add_special) return;
    for (std::int32_t const id : ids) to.add(id, {at, at});
  };
  add(d_.before, 0);
  for (text_part const& part : raw_added_.split(text, options.control_in_text, options.foreign)) {
    if (part.id >= 0) {
      to.add(part.id, part.span);
      continue;
    }
    std::size_t const mark = to.mark();
    to.part                = part.span.begin;
    encode_part(text.substr(part.span.begin, part.span.end - part.span.begin), options, to);
    to.shift_spans(mark, part.span.begin);
  }
  add(d_.after, text.size());
  return std::move(to.out);
}

void piece_tokenizer::encode_part(std::string_view text, encode_options options, sink& to) const {
  to.origin = nullptr;
  if (d_.normalizer.keeps(text)) return encode_normalized(text, options, to);
  bool const            first = d_.lead.at == piece_definition::lead_space::first && !d_.lead.always;
  normalized_text const n     = d_.normalizer.apply(text, to.spans || first);
  std::size_t const     mark  = to.mark();
  if (first) to.origin = &n.origin;
  // Moved bytes: it is not known any more which are foreign, so none of the part's are trusted.
  if (touches(options.foreign, {to.part, to.part + text.size()})) options.control_in_text = false;
  options.foreign = {};
  if (n.text.empty() && d_.lead.alone && to.part == 0)
    encode_spelled(" ", to), to.move_spans(mark, [](token_span) { return token_span{0, 0}; });
  encode_normalized(n.text, options, to);
  to.origin = nullptr;
  to.move_spans(mark, [&](token_span s) {
    if (s.begin < s.end) {
      token_span all = n.origin[s.begin];
      for (std::size_t i = s.begin + 1; i < s.end; ++i)
        all = {std::min(all.begin, n.origin[i].begin), std::max(all.end, n.origin[i].end)};
      return all;
    }
    std::size_t const at = s.begin < n.origin.size() ? n.origin[s.begin].begin : text.size();
    return token_span{at, at};
  });
}

void piece_tokenizer::encode_normalized(std::string_view text, encode_options options, sink& to) const {
  for (text_part const& part : normalized_added_.split(text, options.control_in_text, options.foreign, to.part)) {
    if (part.id >= 0) {
      to.add(part.id, part.span);
      continue;
    }
    std::string_view const words = text.substr(part.span.begin, part.span.end - part.span.begin);
    // A text that was stripped has no word at its beginning any more.
    auto const reaches_the_beginning = [&](std::string_view one) {
      auto const first = to.origin->begin();
      return std::any_of(first, first + static_cast<std::ptrdiff_t>(one.size()),
                         [](token_span s) { return s.begin == 0; });
    };
    auto const word = [&](std::string_view one, std::size_t at) {
      std::size_t const mark = to.mark();
      encode_word(one, to.part + at == 0 && (d_.lead.always || !to.origin || reaches_the_beginning(one)), to);
      to.shift_spans(mark, at);
    };
    if (d_.words.empty()) {
      word(words, part.span.begin);
      continue;
    }
    // Patterns see what is UTF-8; each other byte is a word of its own.
    for (std::size_t at = 0; at < words.size();) {
      std::size_t const       valid = utf8_length(words.substr(at));
      std::deque<std::string> prefixed;
      for (text_piece const& p : d_.words.pieces(words.substr(at, valid), part.span.begin + at, prefixed))
        word(p.text, p.origin);
      at += valid;
      if (at < words.size()) word(words.substr(at, 1), part.span.begin + at), ++at;
    }
  }
}

/// The word with a space in front, where there is to be one, and spaces for U+2581.
void piece_tokenizer::encode_word(std::string_view word, bool begins, sink& to) const {
  if (word.empty()) return;
  bool const escapes = d_.escaped && word.find(escaped_space) != word.npos;
  bool       lead =
      d_.lead.at == piece_definition::lead_space::each || (d_.lead.at == piece_definition::lead_space::first && begins);
  if (lead && !d_.lead.always) lead = !word.starts_with(' ') && !(escapes && word.starts_with(escaped_space));
  std::size_t const mark = to.mark();
  if (!lead && !escapes) return encode_spelled(word, to);
  std::string text(lead ? 1 : 0, ' ');
  text += escapes ? with_spaces(word) : word;
  encode_spelled(text, to);
  if (!to.spans) return;
  std::size_t const first = lead ? 1 : 0;
  if (!escapes) {
    to.move_spans(mark, [&](token_span s) {
      return token_span{s.begin > first ? s.begin - first : 0, s.end > first ? s.end - first : 0};
    });
    return;
  }
  std::vector<std::size_t> places(first, 0);  // of each byte of `text` in `word`, and of its end
  for (std::size_t at = 0; at < word.size();
       at += word.substr(at).starts_with(escaped_space) ? escaped_space.size() : 1)
    places.push_back(at);
  places.push_back(word.size());
  to.move_spans(mark, [&](token_span s) { return token_span{places[s.begin], places[s.end]}; });
}

void piece_tokenizer::encode_spelled(std::string_view text, sink& to) const {
  auto const word = [&](std::size_t begin, std::size_t end) {
    std::size_t const      mark = to.mark();
    std::string_view const one  = text.substr(begin, end - begin);
    leaves_out_ ? divide_known(one, to) : divide(one, true, to);
    to.shift_spans(mark, begin);
  };
  to.fusing = false;
  if (has_users_) {
    for (text_part const& p : users_.split(text, true))
      if (p.id >= 0) to.add(p.id, p.span);
      else word(p.span.begin, p.span.end);
  } else if (d_.split) {
    for (std::size_t at = 0; at < text.size();) {
      std::size_t const end = std::min(text.find(' ', at + 1), text.size());
      to.fusing             = false;
      word(at, end);
      at = end;
    }
  } else {
    word(0, text.size());
  }
  to.fusing = false;
}

/// Unknown characters that become nothing are left out first: what stands beside them merges. A word with one is none
/// that is a piece as a whole.
void piece_tokenizer::divide_known(std::string_view word, sink& to) const {
  std::string              known;
  std::vector<std::size_t> places;  // of its bytes in `word`
  for (std::size_t at = 0; at < word.size();) {
    auto const             step      = next_utf8(word.substr(at));
    std::string_view const character = word.substr(at, step.kind == utf8_kind::character ? step.length : 1);
    bool const             in_bytes  = std::all_of(character.begin(), character.end(),
                                                   [&](char c) { return byte_ids_[static_cast<unsigned char>(c)] >= 0; });
    if (in_bytes || merger_.knows(character)) {
      known += character;
      for (std::size_t i = 0; i < character.size(); ++i) places.push_back(at + i);
    }
    at += character.size();
  }
  if (known.size() == word.size()) return divide(word, true, to);
  std::size_t const mark = to.mark();
  divide(known, false, to);
  to.move_spans(mark, [&](token_span s) { return token_span{places[s.begin], places[s.end - 1] + 1}; });
}

/// `whole`: a word that is a piece may stay whole.
void piece_tokenizer::divide(std::string_view word, bool whole, sink& to) const {
  std::vector<symbol> symbols;
  for (std::size_t at = 0; at < word.size();) {
    std::size_t const mark = to.mark();
    symbols.clear();
    std::size_t end = word.size();
    if (d_.method == piece_method::unigram) lattice_.divide(word, symbols);
    else end = merger_.divide(word, at, whole, symbols);
    emit(symbols, word.substr(at), to);
    to.shift_spans(mark, at);
    at = end;
  }
}

void piece_tokenizer::emit(std::vector<symbol> const& symbols, std::string_view text, sink& to) const {
  std::size_t at = 0;
  for (symbol const& s : symbols) {
    std::size_t const end = at + s.length;
    if (s.id >= 0) {
      to.add(s.id, {at, end});
      at = end;
      continue;
    }
    bool in_bytes = true;
    for (std::size_t i = at; i < end; ++i) in_bytes = in_bytes && byte_ids_[static_cast<unsigned char>(text[i])] >= 0;
    if (in_bytes) {
      for (std::size_t i = at; i < end; ++i) to.add(byte_ids_[static_cast<unsigned char>(text[i])], {i, i + 1});
    } else if (d_.unknown >= 0) {
      if (!to.fusing) to.add(d_.unknown, {at, end});
      else if (to.spans) to.out.spans.back().end = end;
      to.fusing = d_.fuse_unknown;
    }
    at = end;
  }
}

std::string piece_tokenizer::token_bytes(std::int32_t id) const {
  if (id < 0 || id >= vocabulary() || d_.entries[static_cast<std::size_t>(id)].kind == piece_kind::absent)
    throw wrong(d_.file, "has no such token id", std::to_string(id), "an id below " + std::to_string(vocabulary()));
  return d_.entries[static_cast<std::size_t>(id)].bytes;
}

std::string piece_tokenizer::text_after(std::int32_t previous, std::int32_t id) const {
  if (id < 0 || id >= vocabulary()) return {};
  auto const& e = d_.entries[static_cast<std::size_t>(id)];
  if (e.kind == piece_kind::absent || e.kind == piece_kind::control) return {};
  if (e.kind == piece_kind::unknown) return d_.unknown_text;
  bool const begins = previous < 0 || std::find(d_.before.begin(), d_.before.end(), previous) != d_.before.end();
  return d_.strips_first && begins && e.bytes.starts_with(' ') ? e.bytes.substr(1) : e.bytes;
}

bool piece_tokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < vocabulary() && d_.entries[static_cast<std::size_t>(id)].kind == piece_kind::control;
}

std::optional<std::int32_t> piece_tokenizer::bos_id() const {
  return d_.before.empty() ? std::nullopt : std::optional(d_.before.front());
}

}  // namespace tenon::engine
