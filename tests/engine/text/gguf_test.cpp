//  GGUF metadata: what is there, and the published attacks on readers of the format, none of which may cost more than the file.
#include <engine/error.hpp>
#include <engine/files/gguf.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf_bytes.hpp"

namespace {

using namespace tenon::engine;
using namespace test::gguf;

std::string refusal(bytes const& file, gguf_limits const& limits = {}) {
  try {
    gguf_file const f(file.str(), "f.gguf", limits);
  } catch (error const& e) {
    return e.what();
  }
  return "taken";
}

TEST(gguf, what_is_there) {
  bytes b;
  b.header(2, 8, 2).key("a.text", string).text("x\ny").key("a.flag", boolean).number(std::uint8_t{1});
  b.key("a.big", u64).u64(1u << 30).key("a.low", i8).number(std::int8_t{-5}).key("a.f64", f64).number(1.5);
  b.key("a.texts", array).u32(string).u64(2).text("").text("two");
  b.key("a.floats", array).u32(f32).u64(2).number(1.5f).number(-2.0f);
  b.key("a.ints", array).u32(i32).u64(2).number(7).number(-7);
  b.tensor("t", {3, 2}, 0).tensor("q", {32}, 32, 2).pad().raw(std::string(32 + 18, 'x'));
  gguf_file const f(b.str(), "f.gguf");
  EXPECT_EQ(f.text("a.text"), "x\ny");
  EXPECT_TRUE(f.flag("a.flag"));
  EXPECT_EQ(f.integer("a.big", 0, 1 << 30), 1 << 30);
  EXPECT_EQ(f.integer("a.low", -5, 5), -5);
  EXPECT_EQ(f.texts("a.texts"), (std::vector<std::string_view>{"", "two"}));
  EXPECT_EQ(f.floats("a.floats"), (std::vector<float>{1.5f, -2.0f}));
  EXPECT_EQ(f.integers("a.ints"), (std::vector<std::int64_t>{7, -7}));
  EXPECT_TRUE(f.has("a.f64"));
  EXPECT_FALSE(f.has("a.none"));
  ASSERT_EQ(f.tensors().size(), 2u);
  EXPECT_EQ(f.tensors()[0].bytes, 24u);
  EXPECT_EQ(f.tensors()[1].bytes, 18u);
  EXPECT_EQ(f.tensors()[1].begin, f.tensors()[0].begin + 32);

  auto const message = [&](std::function<void()> const& g) {
    try {
      g();
    } catch (error const& e) {
      return std::string(e.what());
    }
    return std::string("taken");
  };
  EXPECT_EQ(message([&] { (void)f.text("a.none"); }),
            "f.gguf: lacks a key: found no \"a.none\", expected a GGUF file with a vocabulary");
  EXPECT_EQ(message([&] { (void)f.text("a.flag"); }), "f.gguf: \"a.flag\": wrong type: found bool, expected a string");
  EXPECT_EQ(message([&] { (void)f.integer("a.low", 0, 9); }),
            "f.gguf: \"a.low\": is out of range: found -5, expected an integer from 0 to 9");
  EXPECT_EQ(message([&] { (void)f.texts("a.ints"); }),
            "f.gguf: \"a.ints\": wrong type: found an array of i32, expected an array of strings");
  EXPECT_EQ(message([&] { (void)f.integers("a.text"); }),
            "f.gguf: \"a.text\": wrong type: found string, expected an array of i32 or u32");
  // Cut anywhere, it is refused.
  for (std::size_t n = 0; n < b.str().size(); ++n)
    EXPECT_NE(refusal(bytes().raw(std::string_view(b.str()).substr(0, n))), "taken") << n;
}

TEST(gguf, headers) {
  EXPECT_EQ(refusal(bytes().raw("GGML")),
            "f.gguf: is no GGUF file: found \"GGML\", expected \"GGUF\" at the beginning");
  EXPECT_EQ(refusal(bytes().header(0, 0, 1)),
            "f.gguf: unsupported GGUF version: found 1, expected 2 or 3, little-endian");
  EXPECT_EQ(refusal(bytes().header(0, 0, 3u << 24)),
            "f.gguf: unsupported GGUF version: found a big-endian file, expected 2 or 3, little-endian");
  EXPECT_EQ(refusal(bytes().header(0, 0)), "taken");
}

// llama.cpp, "gguf: prevent integer overflows" (pull request 19856) and the readers of before: counts and lengths that wrap around
// or ask for more memory than there is.
TEST(gguf, counts_and_lengths_beyond_the_file) {
  EXPECT_NE(refusal(bytes().header(0, ~0ull)).find("counts too many keys"), std::string::npos);
  EXPECT_NE(refusal(bytes().header(~0ull, 0)).find("counts too many tensors"), std::string::npos);
  EXPECT_NE(refusal(bytes().header(1ull << 63, 0)).find("counts too many tensors"), std::string::npos);
  EXPECT_NE(refusal(bytes().header(0, 2).key("a", u8).number(std::uint8_t{1})).find("counts too many keys"),
            std::string::npos);
  for (std::uint64_t const n : {~0ull, ~0ull - 7, 1ull << 63, 1ull << 32, 100ull}) {
    EXPECT_NE(refusal(bytes().header(0, 1).u64(n).raw(std::string(40, 'k'))), "taken") << n;               // a key
    EXPECT_NE(refusal(bytes().header(0, 1).key("a", string).u64(n).raw("abc")), "taken") << n;             // a string
    EXPECT_NE(refusal(bytes().header(0, 1).key("a", array).u32(u64).u64(n).raw("abc")), "taken") << n;     // an array
    EXPECT_NE(refusal(bytes().header(0, 1).key("a", array).u32(string).u64(n).raw("abc")), "taken") << n;  // of strings
    EXPECT_NE(refusal(bytes().header(0, 1).key("a", array).u32(string).u64(1).u64(n).raw("a")), "taken") << n;
    EXPECT_NE(refusal(bytes().header(0, 1).key("a", array).u32(boolean).u64(n).raw("\1")), "taken") << n;
  }
  // 2^61 elements of eight bytes are 2^64, which is 0 where nobody looks.
  EXPECT_NE(refusal(bytes().header(0, 1).key("a", array).u32(u64).u64(1ull << 61)).find("is too long"),
            std::string::npos);
  EXPECT_NE(refusal(bytes().header(0, 1).key("abc", u8).number(std::uint8_t{1}), {.key = 2}).find("is too long"),
            std::string::npos);
}

TEST(gguf, types_that_are_none) {
  for (std::uint32_t const t : {13u, 255u, 0x80000000u, 0xFFFFFFFFu}) {
    EXPECT_NE(refusal(bytes().header(0, 1).key("a", t).u64(0)).find("unknown type"), std::string::npos);
    EXPECT_NE(refusal(bytes().header(0, 1).key("a", array).u32(t).u64(0)).find("unknown type"), std::string::npos);
    EXPECT_NE(refusal(bytes().header(1, 0).tensor("t", {1}, 0, t | 64).pad().raw("1234")).find("unknown type"),
              std::string::npos);
  }
  EXPECT_NE(refusal(bytes().header(0, 1).key("a", boolean).number(std::uint8_t{2})).find("is no bool"),
            std::string::npos);
}

TEST(gguf, nesting) {
  auto const nested = [](int levels) {
    bytes b;
    b.header(0, 1).key("a", array);
    for (int i = 1; i < levels; ++i) b.u32(array).u64(1);
    return b.u32(u8).u64(0);
  };
  EXPECT_EQ(refusal(nested(4)), "taken");
  EXPECT_NE(refusal(nested(5)).find("is nested too deeply"), std::string::npos);
  EXPECT_NE(refusal(nested(100000)).find("is nested too deeply"), std::string::npos);
}

TEST(gguf, twice) {
  EXPECT_NE(
      refusal(bytes().header(0, 2).key("a", u8).number(std::uint8_t{1}).key("a", u32).u32(1)).find("is there twice"),
      std::string::npos);
  EXPECT_NE(refusal(bytes().header(2, 0).tensor("t", {0}, 0).tensor("t", {0}, 0).pad()).find("is there twice"),
            std::string::npos);
  EXPECT_NE(refusal(bytes().header(0, 1).key("", u32).u32(1)).find("has no name"), std::string::npos);
}

TEST(gguf, alignment) {
  auto const with = [](std::uint32_t a) {
    return bytes().header(1, 1).key("general.alignment", u32).u32(a).tensor("t", {1}, 0).pad(64).raw("1234");
  };
  EXPECT_EQ(refusal(with(64)), "taken");
  for (std::uint32_t const a : {0u, 3u, 33u, 0x80000000u, 0xFFFFFFFFu})
    EXPECT_NE(refusal(with(a)).find("is no alignment"), std::string::npos) << a;
  EXPECT_NE(refusal(bytes().header(0, 1).key("general.alignment", i32).number(-32)).find("is out of range"),
            std::string::npos);
  EXPECT_NE(refusal(bytes().header(0, 1).key("general.alignment", string).text("32")).find("wrong type"),
            std::string::npos);
}

// CVE-2026-33298 (a product that overflows, so that an exabyte takes 4 MB) and Ollama's CVE-2026-7482, "Bleeding Llama" (extents
// beyond the data, so that what follows in memory is read): a tensor ends where the file ends, at most.
TEST(gguf, extents_beyond_the_file) {
  auto const one = [](std::vector<std::uint64_t> const& shape, std::uint32_t type = 0) {
    return refusal(bytes().header(1, 0).tensor("t", shape, 0, type).pad().raw(std::string(64, 'x')));
  };
  EXPECT_EQ(one({4, 4}), "taken");
  EXPECT_NE(one({4, 5}).find("reaches past the end"), std::string::npos);
  EXPECT_NE(one({1ull << 32, 1ull << 32}).find("is too large"), std::string::npos);
  EXPECT_NE(one({1ull << 20, 1ull << 20, 1ull << 20, 16}).find("is too large"), std::string::npos);
  EXPECT_NE(one({1ull << 62}).find("is too large"), std::string::npos);                // times 4 bytes
  EXPECT_NE(one({(1ull << 62) + 1}).find("is too large"), std::string::npos);          // which would be 4
  EXPECT_NE(one({0xFFFFFFFFFFFFFFE0ull}, 2).find("is too large"), std::string::npos);  // negative
  EXPECT_NE(one({1ull << 63, 0}).find("is too large"), std::string::npos);
  EXPECT_NE(one({16}, 2).find("does not divide into blocks"), std::string::npos);
  EXPECT_NE(one({1, 1, 1, 1, 1}).find("has too many extents"), std::string::npos);
  EXPECT_NE(
      refusal(bytes().header(1, 0).text("t").u32(0xFFFFFFFF).raw(std::string(64, '\0'))).find("has too many extents"),
      std::string::npos);
  EXPECT_NE(refusal(bytes().header(1, 0).tensor(std::string(64, 'n'), {1}, 0).pad().raw("1234")).find("is too long"),
            std::string::npos);
}

// CVE-2025-53630, and CVE-2026-27940 after its fix: sizes that overflow when they are added up, with padding and without.
TEST(gguf, sums_of_sizes) {
  auto const two = [](std::uint64_t n, std::uint64_t second) {
    return refusal(
        bytes().header(2, 0).tensor("a", {n}, 0, 24).tensor("b", {n}, second, 24).pad().raw(std::string(64, 'x')));
  };
  EXPECT_EQ(two(32, 32), "taken");
  EXPECT_NE(two((1ull << 63) - 1, 1ull << 63), "taken");
  EXPECT_NE(two((1ull << 63) - 16, 0), "taken");
  EXPECT_NE(two(~0ull - 30, 0), "taken");
  EXPECT_NE(two(32, ~0ull - 31).find("does not follow"), std::string::npos);
  EXPECT_NE(two(32, 0).find("does not follow"), std::string::npos);  // over each other
  EXPECT_NE(refusal(bytes().header(1, 0).tensor("t", {1}, 0)).find("reaches past the end"), std::string::npos);
}

}  // namespace
