#include "engine/text/sentencepiece_file.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <unordered_set>
#include <utility>

#include "engine/error.hpp"
#include "engine/files/protobuf.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

using field = protobuf_reader::field;

// Numbers of sentencepiece_model.proto.
enum model_field : std::uint32_t { pieces_field = 1, trainer_field = 2, normalizer_field = 3 };
enum piece_field : std::uint32_t { text_field = 1, score_field = 2, type_field = 3 };
enum model_type : std::uint64_t { unigram_model = 1, bpe_model = 2, word_model = 3, char_model = 4 };

struct trainer_spec {
  std::uint64_t type   = unigram_model;
  bool          suffix = false;  // treat_whitespace_as_suffix
  bool          bytes  = false;  // byte_fallback
  std::string   bos = "<s>", eos = "</s>";
  std::string   unknown_text = " \xE2\x81\x87 ";
};

struct normalizer_spec {
  std::string_view map;
  bool             dummy = true, squeeze = true, escape = true;
};

std::uint64_t number(protobuf_reader const& r, field const& f) {
  if (f.what != protobuf_reader::kind::varint) throw r.wrong_kind(f, "a number");
  return f.value;
}

std::string_view text(protobuf_reader const& r, field const& f) {
  if (f.what != protobuf_reader::kind::bytes) throw r.wrong_kind(f, "bytes");
  return f.bytes;
}

class model_reader {
 public:
  model_reader(std::string_view bytes, std::string file, sentencepiece_options options) {
    d_.file = std::move(file);
    protobuf_reader r(bytes, d_.file);
    for (field f; r.next(f);) {
      if (f.number == pieces_field) read_piece(text(r, f));
      else if (f.number == trainer_field) read_trainer(text(r, f));
      else if (f.number == normalizer_field) read_normalizer(text(r, f));
    }
    define(options);
  }

  piece_definition take() { return std::move(d_); }

 private:
  void read_piece(std::string_view bytes) {
    std::string const subject = d_.file + ": piece " + std::to_string(d_.entries.size());
    if (d_.entries.size() == static_cast<std::size_t>(piece_definition::id_limit))
      throw wrong(d_.file, "has too many pieces", "more than " + std::to_string(piece_definition::id_limit),
                  "at most that");
    piece_definition::entry e;
    std::uint64_t           type = 1;
    protobuf_reader         r(bytes, subject);
    for (field f; r.next(f);) {
      if (f.number == text_field) e.bytes = text(r, f);
      else if (f.number == type_field) type = number(r, f);
      else if (f.number == score_field) {
        if (f.what != protobuf_reader::kind::four_bytes) throw r.wrong_kind(f, "4 bytes");
        e.score = static_cast<double>(f.as_float());
      }
    }
    if (e.bytes.empty()) throw wrong(subject, "has no text", "an empty piece", "at least a character");
    if (e.bytes.size() > piece_definition::length_limit)
      throw wrong(subject, "is too long", std::to_string(e.bytes.size()) + " bytes",
                  "at most " + std::to_string(piece_definition::length_limit));
    if (!is_utf8(e.bytes)) throw wrong(subject, "is not UTF-8", in_quotes(e.bytes), "valid UTF-8");
    if (!std::isfinite(e.score))
      throw wrong(subject, "has a score that is no number", std::to_string(e.score), "a finite number");
    switch (type) {
      case 1: e.kind = piece_kind::text; break;
      case 2: e.kind = piece_kind::unknown; break;
      case 3: e.kind = piece_kind::control; break;
      case 4: e.kind = piece_kind::user; break;
      case 5: e.kind = piece_kind::unused; break;
      case 6: e.kind = piece_kind::byte; break;
      default: throw wrong(subject, "has an unknown type", std::to_string(type), "1 to 6");
    }
    e.matched = type == 1 || type == 4 || type == 5;
    d_.entries.push_back(std::move(e));
  }

  void read_trainer(std::string_view bytes) {
    protobuf_reader r(bytes, d_.file + ": trainer_spec");
    for (field f; r.next(f);) switch (f.number) {
        case 3: trainer_.type = number(r, f); break;
        case 24: trainer_.suffix = number(r, f) != 0; break;
        case 35: trainer_.bytes = number(r, f) != 0; break;
        case 44: trainer_.unknown_text = text(r, f); break;
        case 46: trainer_.bos = text(r, f); break;
        case 47: trainer_.eos = text(r, f); break;
        default: break;
      }
  }

  void read_normalizer(std::string_view bytes) {
    protobuf_reader r(bytes, d_.file + ": normalizer_spec");
    for (field f; r.next(f);) switch (f.number) {
        case 2: normalizer_.map = text(r, f); break;
        case 3: normalizer_.dummy = number(r, f) != 0; break;
        case 4: normalizer_.squeeze = number(r, f) != 0; break;
        case 5: normalizer_.escape = number(r, f) != 0; break;
        default: break;
      }
  }

  void define(sentencepiece_options options) {
    switch (trainer_.type) {
      case unigram_model: d_.method = piece_method::unigram, d_.description = "Unigram (SentencePiece)"; break;
      case bpe_model: d_.description = "BPE (SentencePiece)"; break;
      case char_model: d_.description = "characters (SentencePiece)"; break;
      default:
        throw wrong(d_.file + ": trainer_spec.model_type", "unsupported", std::to_string(trainer_.type),
                    "1 (Unigram), 2 (BPE) or 4 (characters)");
    }
    if (trainer_.suffix)
      throw wrong(d_.file + ": trainer_spec.treat_whitespace_as_suffix", "unsupported", "true", "false");
    check_pieces();
    spell_and_name();

    d_.fuse_unknown = true;
    d_.escaped      = normalizer_.escape;
    d_.strips_first = normalizer_.dummy || normalizer_.squeeze;
    if (normalizer_.dummy) d_.lead = {piece_definition::lead_space::first, true, !normalizer_.squeeze};
    if (trainer_.type == char_model)
      for (auto& e : d_.entries)
        e.matched = e.matched && (e.kind == piece_kind::user || next_utf8(e.bytes).length == e.bytes.size());
    define_normalizer();
    if (bos_ >= 0 && options.add_bos.value_or(true)) d_.before = {bos_};
    if (eos_ >= 0 && options.add_eos.value_or(false)) d_.after = {eos_};
    if (eos_ >= 0) d_.ends = {eos_};
    d_.unknown_text = trainer_.unknown_text;
  }

  /// What SentencePiece asks of a vocabulary, too.
  void check_pieces() {
    if (d_.entries.empty()) throw wrong(d_.file, "holds no pieces", "none", "a SentencePiece model");
    std::unordered_set<std::string_view> matched, reserved;
    std::vector<bool>                    bytes(256);
    for (std::size_t i = 0; i < d_.entries.size(); ++i) {
      auto const&       e       = d_.entries[i];
      std::string const subject = d_.file + ": piece " + std::to_string(i);
      if (!(e.matched ? matched : reserved).insert(e.bytes).second)
        throw wrong(subject, "is defined twice", in_quotes(e.bytes), "each piece once");
      if (e.kind == piece_kind::unknown && std::exchange(d_.unknown, static_cast<std::int32_t>(i)) >= 0)
        throw wrong(subject, "is another unknown piece", in_quotes(e.bytes), "one");
      if (e.kind != piece_kind::byte) continue;
      int const byte = byte_of(e.bytes);
      if (byte < 0 || !trainer_.bytes)
        throw wrong(subject, "is no byte piece", in_quotes(e.bytes), "<0x00> to <0xFF>, and byte_fallback");
      bytes[static_cast<std::size_t>(byte)] = true;
    }
    if (d_.unknown < 0) throw wrong(d_.file, "has no unknown piece", "none", "one");
    if (trainer_.bytes && std::find(bytes.begin(), bytes.end(), false) != bytes.end())
      throw wrong(d_.file, "lacks byte pieces", "byte_fallback without all of them", "256");
  }

  /// Pieces with spaces for U+2581, bytes for their names, and control pieces as tokens of their own.
  void spell_and_name() {
    for (std::size_t i = 0; i < d_.entries.size(); ++i) {
      auto&      e  = d_.entries[i];
      auto const id = static_cast<std::int32_t>(i);
      if (e.kind == piece_kind::byte) e.bytes = std::string(1, static_cast<char>(byte_of(e.bytes)));
      if (e.kind == piece_kind::control) {
        if (e.bytes == trainer_.bos) bos_ = id;
        if (e.bytes == trainer_.eos) eos_ = id;
        added_token t;
        t.id = id, t.content = e.bytes, t.special = true;
        d_.added.push_back(std::move(t));
      }
      if (e.kind == piece_kind::user) {
        if (!kept_) kept_ = std::make_shared<added_token_matcher>();
        added_token t;
        t.id = id, t.content = e.bytes;
        kept_->add(t);
      }
      if (!e.matched || !normalizer_.escape) continue;
      if (e.bytes.find(' ') != std::string::npos) e.matched = false;  // no text has a space then
      else e.bytes = with_spaces(e.bytes);
    }
  }

  void define_normalizer() {
    character_map rules(normalizer_.map, d_.file + ": normalizer_spec.precompiled_charsmap");
    if (!rules.empty() || !trainer_.bytes)
      d_.normalizer.add(text_normalizer::map{std::move(rules), false, trainer_.bytes, kept_});
    if (normalizer_.squeeze) d_.normalizer.add(text_normalizer::squeeze{normalizer_.escape});
  }

  piece_definition d_;
  trainer_spec     trainer_;
  normalizer_spec  normalizer_;
  std::int32_t     bos_ = -1, eos_ = -1;

  std::shared_ptr<added_token_matcher>
      kept_;  // the user's pieces, as they stand in a text: the normaliser lets them be
};

}  // namespace

bool looks_like_sentencepiece(std::string_view bytes) {
  try {
    field           f, inner;
    protobuf_reader r(bytes, "");
    if (!r.next(f) || f.number != pieces_field || f.what != protobuf_reader::kind::bytes) return false;
    protobuf_reader piece(f.bytes, "");
    return piece.next(inner) && inner.number == text_field && inner.what == protobuf_reader::kind::bytes;
  } catch (error const&) {
    return false;
  }
}

piece_definition read_sentencepiece(std::string_view bytes, std::string file, sentencepiece_options options) {
  return model_reader(bytes, std::move(file), options).take();
}

}  // namespace tenon::engine
