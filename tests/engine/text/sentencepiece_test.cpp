//  SentencePiece's models: ids that the sentencepiece package gave (sentencepiece/make.py), and files that are broken.
#include <engine/error.hpp>
#include <engine/files/json.hpp>
#include <engine/files/mapped_file.hpp>
#include <engine/text/piece_tokenizer.hpp>
#include <engine/text/sentencepiece_file.hpp>
#include <engine/text/utf8.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <random>

#include "engine/scratch_folder.hpp"

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

std::string bytes_of(std::filesystem::path const& path) {
  mapped_file const file(path.string());
  return std::string(file.text());
}

std::filesystem::path const folder = std::filesystem::path(TENON_SOURCE_DIR) / "tests/engine/text/sentencepiece";

void expect_cases(std::string const& model, char const* name) {
  json_value const      cases = read_json((folder / "cases.json").string());
  piece_tokenizer const t(read_sentencepiece(model, name));
  for (std::size_t i = 0; i < cases["texts"].size(); ++i) {
    auto const     text = cases["texts"][i].get<std::string>();
    encoding const e    = t.encode_with_spans(text, {false, false});
    EXPECT_EQ(e.ids, cases[name][i].get<ids>()) << name << ": " << i << ": " << text;
    EXPECT_EQ(t.encode(text, false), e.ids);
    std::size_t at = 0;
    for (auto const& s : e.spans) {
      EXPECT_LE(s.begin, s.end);
      EXPECT_LE(at, s.begin) << text;  // from left to right; bytes of one character may share its span
      at = s.begin;
    }
    EXPECT_TRUE(e.spans.empty() || e.spans.back().end <= text.size());
  }
}

TEST(sentencepiece, ids_of_a_small_unigram_model) { expect_cases(bytes_of(folder / "unigram.model"), "unigram"); }

TEST(sentencepiece, ids_of_a_small_bpe_model) { expect_cases(bytes_of(folder / "bpe.model"), "bpe"); }

TEST(sentencepiece, ids_of_mistrals_models) {
  std::filesystem::path const data = std::filesystem::path(TENON_SHARED_DATA) / "tokenizers/mistral";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no shared data";
  expect_cases(bytes_of(data / "tokenizer.model.v1"), "v1");
  std::string const v3 = bytes_of(data / "mistral_instruct_tokenizer_240323.model.v3");
  expect_cases(v3, "v3");
  piece_tokenizer const t(read_sentencepiece(v3, "v3"));
  EXPECT_EQ(t.description(), "BPE (SentencePiece)");
  EXPECT_EQ(t.vocabulary(), 32768);
  EXPECT_EQ(t.encode("[INST]hi[/INST]"), (ids{1, 3, 6133, 4}));  // control tokens only where they are allowed
  auto const plain = t.encode("[INST]", false);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 3), 0);
  EXPECT_EQ(t.decode(plain), "[INST]");
  EXPECT_EQ(t.eos_ids(), (ids{2}));
  EXPECT_EQ(t.bos_id(), 1);
  std::mt19937 random(5);
  for (int i = 0; i < 100; ++i) {
    std::string text;
    for (auto n = random() % 100; n > 0; --n) text += static_cast<char>(random());
    EXPECT_EQ(t.decode(t.encode(text)), text);
  }
}

// Messages of this file's own.

std::string varint(std::uint64_t v) {
  std::string bytes;
  for (; v >= 0x80; v >>= 7) bytes += static_cast<char>(v | 0x80);
  return bytes += static_cast<char>(v);
}
std::string number_field(unsigned number, std::uint64_t v) { return varint(number << 3) + varint(v); }
std::string bytes_field(unsigned number, std::string_view v) {
  return varint(number << 3 | 2) + varint(v.size()) + std::string(v);
}
std::string float_field(unsigned number, float v) {
  auto const  bits  = std::bit_cast<std::uint32_t>(v);
  std::string bytes = varint(number << 3 | 5);
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(bits >> (8 * i));
  return bytes;
}
std::string piece(std::string_view text, unsigned type = 1, float score = 0) {
  return bytes_field(1, bytes_field(1, text) + float_field(2, score) + number_field(3, type));
}
std::string trainer(std::string_view fields) { return bytes_field(2, fields); }
std::string normalizer(std::string_view fields) { return bytes_field(3, fields); }

std::string const unknown = piece("<unk>", 2), bpe = trainer(number_field(3, 2));

void expect_refused(std::string const& bytes, std::string const& message) {
  try {
    (void)read_sentencepiece(bytes, "f");
    ADD_FAILURE() << message;
  } catch (error const& e) {
    EXPECT_EQ(std::string(e.what()), "f" + message);
  }
}

TEST(sentencepiece, options_of_a_hand_made_model) {
  std::string const pieces = unknown + piece("<s>", 3) + piece("</s>", 3) + piece("\xE2\x96\x81", 1, -2) +
                             piece("a", 1, -2) +
                             piece(
                                 "\xE2\x96\x81"
                                 "a",
                                 1, -1) +
                             piece("b b", 1, 0);
  std::string const unknown_fields = number_field(99, 7) + bytes_field(98, "x") + float_field(97, 1);
  auto const        make           = [&](std::string const& spec, sentencepiece_options o = {}) {
    return piece_tokenizer(read_sentencepiece(pieces + unknown_fields + bpe + normalizer(spec), "f", o));
  };
  EXPECT_EQ(make("").encode("  a  a "), (ids{1, 5, 5}));  // without fields: a space in front, extra ones go
  EXPECT_EQ(make(number_field(4, 0)).encode("a  a"), (ids{1, 5, 3, 5}));
  EXPECT_EQ(make(number_field(3, 0) + number_field(4, 0)).encode("a a"), (ids{1, 4, 5}));
  EXPECT_EQ(make(number_field(3, 0) + number_field(4, 0) + number_field(5, 0)).encode("a "), (ids{1, 4, 0}));
  EXPECT_EQ(make("", {false, true}).encode("a"), (ids{5, 2}));
  EXPECT_EQ(make("").encode("axyza"), (ids{1, 5, 0, 4}));  // unknown characters are one token
  EXPECT_EQ(make("").decode(ids{1, 5, 0, 5}), "a \xE2\x81\x87  a");
  EXPECT_TRUE(make("").is_special(1));
  EXPECT_FALSE(make("").is_special(0));
}

TEST(sentencepiece, its_folder_says_what_is_added) {
  test::scratch_folder const place;
  std::filesystem::copy_file(folder / "bpe.model", place / "tokenizer.model");
  auto const load = [&] { return load_tokenizer((place / "tokenizer.model").string()); };
  EXPECT_EQ(load()->added_before().size(), 1u);
  EXPECT_EQ(load()->added_after().size(), 0u);
  test::write_text(place / "tokenizer_config.json", R"({"add_bos_token": false, "add_eos_token": true})");
  EXPECT_EQ(load()->added_before().size(), 0u);
  EXPECT_EQ(load()->added_after().size(), 1u);
  EXPECT_EQ(load()->description(), "BPE (SentencePiece)");
  EXPECT_EQ(find_tokenizer((place / "").string()), (place / "tokenizer.model").string());
}

TEST(sentencepiece, refusals_say_what_is_wrong) {
  expect_refused("", ": holds no pieces: found none, expected a SentencePiece model");
  expect_refused(
      "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
      ": is no protocol buffer: found 18446744073709551615 bytes before byte 11, expected at most the 0 that are "
      "left");
  expect_refused(
      "\x0A\x05"
      "ab",
      ": is no protocol buffer: found 5 bytes before byte 2, expected at most the 2 that are left");
  expect_refused(
      std::string("\x08") + std::string(11, '\xFF'),
      ": is no protocol buffer: found a number of more than 64 bits before byte 11, expected at most 10 bytes");
  expect_refused("\x08\x80",
                 ": is no protocol buffer: found the end inside of a number before byte 2, expected its last byte");
  expect_refused(std::string("\0\0", 2),
                 ": is no protocol buffer: found a field with number 0 before byte 1, expected 1 to 536870911");
  expect_refused("\x0B", ": is no protocol buffer: found a field of kind 3 before byte 1, expected 0, 1, 2 or 5");
  expect_refused(number_field(1, 5), ": is no protocol buffer: found field 1 of kind 0 before byte 2, expected bytes");
  expect_refused(bytes_field(1, number_field(1, 5)),
                 ": piece 0: is no protocol buffer: found field 1 of kind 0 before byte 2, expected bytes");
  expect_refused(piece(""), ": piece 0: has no text: found an empty piece, expected at least a character");
  expect_refused(piece("\xFF"), ": piece 0: is not UTF-8: found \"\\xff\", expected valid UTF-8");
  expect_refused(piece(std::string(70000, 'a')), ": piece 0: is too long: found 70000 bytes, expected at most 65536");
  expect_refused(piece("a", 1, NAN), ": piece 0: has a score that is no number: found nan, expected a finite number");
  expect_refused(piece("a", 9), ": piece 0: has an unknown type: found 9, expected 1 to 6");
  expect_refused(unknown + piece("a") + piece("a"),
                 ": piece 2: is defined twice: found \"a\", expected each piece once");
  expect_refused(unknown + piece("u", 2), ": piece 1: is another unknown piece: found \"u\", expected one");
  expect_refused(piece("a"), ": has no unknown piece: found none, expected one");
  expect_refused(unknown + piece("<0x00>", 6),
                 ": piece 1: is no byte piece: found \"<0x00>\", expected <0x00> to <0xFF>, and byte_fallback");
  expect_refused(unknown + piece("<0x0g>", 6) + trainer(number_field(35, 1)),
                 ": piece 1: is no byte piece: found \"<0x0g>\", expected <0x00> to <0xFF>, and byte_fallback");
  expect_refused(unknown + piece("<0x00>", 6) + trainer(number_field(35, 1)),
                 ": lacks byte pieces: found byte_fallback without all of them, expected 256");
  expect_refused(unknown + trainer(number_field(3, 3)),
                 ": trainer_spec.model_type: unsupported: found 3, expected 1 (Unigram), 2 (BPE) or 4 (characters)");
  expect_refused(unknown + trainer(number_field(24, 1)),
                 ": trainer_spec.treat_whitespace_as_suffix: unsupported: found true, expected false");
  expect_refused(
      unknown + normalizer(bytes_field(2, "abc")),
      ": normalizer_spec.precompiled_charsmap: is broken: found 3 bytes with an array of 0 bytes, expected a length, "
      "as many bytes of units of 4, and texts");
  expect_refused(
      unknown + normalizer(bytes_field(2, std::string("\xF0\xFF\xFF\xFF"
                                                      "abcd",
                                                      8))),
      ": normalizer_spec.precompiled_charsmap: is broken: found 8 bytes with an array of 4294967280 bytes, expected a "
      "length, as many bytes of units of 4, and texts");
}

/// What loads encodes and decodes any text.
void use(std::string const& bytes) {
  try {
    piece_tokenizer const t(read_sentencepiece(bytes, "f"));
    for (std::string_view const text :
         {"Hark!  \xEF\xAC\x81n e\xCC\x81 <user>s \xC2\xBD \xE7\xBA\xA2", "\xFF\xE2\x96", "   aaaaaaaaaaaaaaaa"})
      for (auto const id : t.encode(text)) {
        ASSERT_GE(id, 0);
        ASSERT_LT(id, t.vocabulary());
        (void)t.token_bytes(id);
      }
  } catch (error const& e) {
    EXPECT_NE(std::string(e.what()).find("expected"), std::string::npos);
  }
}

TEST(sentencepiece, truncated_anywhere) {
  for (char const* name : {"unigram.model", "bpe.model"}) {
    std::string const whole = bytes_of(folder / name);
    // At every byte, but for the many pieces in the middle, which are all alike.
    for (std::size_t n = 0; n < whole.size(); n += n < 600 || n + 2000 > whole.size() ? 1 : 29) {
      std::string const part = whole.substr(0, n);
      if (n % 64 == 0) use(part);
      try {
        (void)read_sentencepiece(part, "f");
      } catch (error const& e) {
        ASSERT_NE(std::string(e.what()).find("expected"), std::string::npos);
      }
    }
  }
}

TEST(sentencepiece, corrupted_anywhere) {
  std::mt19937 random(7);
  for (char const* name : {"unigram.model", "bpe.model"}) {
    std::string const whole = bytes_of(folder / name);
    // Where the map of characters lies, every other time: its array is what may lead astray.
    std::size_t const map = whole.size() - 1200;
    for (int i = 0; i < 150; ++i) {
      std::string broken = whole;
      for (auto n = 1 + random() % 4; n > 0; --n)
        broken[i % 2 ? map + random() % 1200 : random() % whole.size()] = static_cast<char>(random());
      use(broken);
    }
  }
}

TEST(character_map, finds_the_longest_rule_and_stays_inside) {
  piece_definition const d = read_sentencepiece(bytes_of(folder / "unigram.model"), "f");
  EXPECT_EQ(d.normalizer.apply("Q\xCC\x81\xCC\x82 Q\xCC\x81 Q").text, "x q\xCC\x81 q");
  EXPECT_EQ(d.normalizer.apply("e\xCC\x81 \xE2\x80\x8B\xEF\xAC\x81 \xE3\x80\x80 \xC2\xBD\xFF ").text,
            "\xC3\xA9 fi 1/2\xEF\xBF\xBD");
  normalized_text const n = d.normalizer.apply("a\xEF\xAC\x81 <user>\xEF\xAC\x81");
  EXPECT_EQ(n.text, "afi <user>fi");
  EXPECT_EQ(n.origin[1], (token_span{1, 4}));
  EXPECT_EQ(n.origin[2], (token_span{1, 4}));
  EXPECT_EQ(n.origin[11], (token_span{11, 14}));
  EXPECT_TRUE(character_map().empty());
  // Units that lead out of the array, and one whose children are itself.
  auto const map_of = [](std::vector<std::uint32_t> const& units, std::string_view results) {
    std::string blob;
    for (auto const v : {static_cast<std::uint32_t>(4 * units.size())})
      for (int i = 0; i < 4; ++i) blob += static_cast<char>(v >> (8 * i));
    for (auto const v : units)
      for (int i = 0; i < 4; ++i) blob += static_cast<char>(v >> (8 * i));
    return character_map(blob + std::string(results), "f");
  };
  EXPECT_EQ(map_of({0xFFFFFFFF}, "x").longest("abc").length, 0u);
  EXPECT_EQ(map_of({0x300}, "x").longest(std::string(1000, '\0')).length, 0u);
  std::vector<std::uint32_t> units(256, 0);
  units['a'] = 'a' | 1u << 8;                             // a leaf follows, at its own place
  EXPECT_EQ(map_of(units, "x").longest("a").length, 0u);  // whose value lies outside of the results
}

}  // namespace
