//  safetensors: what is written is read back, and every way in which a file can lie has its one-line error.
#include <engine/error.hpp>
#include <engine/files/safetensors.hpp>

#include <gtest/gtest.h>

#include <cstring>

#include "program.hpp"

namespace {

using namespace tenon::engine;

std::span<std::byte const> as_bytes(auto const& values) { return std::as_bytes(std::span(values)); }

/// A file with this header, then `data` bytes.
std::string file_of(std::string const& header, std::size_t data) {
  std::uint64_t const size = header.size();
  return std::string(reinterpret_cast<char const*>(&size), 8) + header + std::string(data, 'x');
}

class safetensors : public testing::Test {
 protected:
  std::string path(std::string const& name = "model.safetensors") const { return (folder / name).string(); }

  template <class Read>
  static std::string message_of(Read const& read) {
    try {
      read();
    } catch (error const& e) {
      EXPECT_EQ(one_line(e.what()), e.what());  // nothing to escape: messages are one clean line
      return e.what();
    }
    return "no error";
  }
  void expect_refusal(std::string const& bytes, std::string const& message) const {
    test::write_text(path(), bytes);
    EXPECT_EQ(message_of([&] { safetensors_file{path()}; }), path() + ": " + message);
  }
  void expect_refusal(std::string const& header, std::size_t data, std::string const& message) const {
    expect_refusal(file_of(header, data), message);
  }
  std::string checkpoint_error() const {
    return message_of([&] { checkpoint{(folder / "").string()}; });
  }

  test::scratch_folder folder;
};

TEST_F(safetensors, round_trip) {
  std::vector<float> const         a{1, 2, 3, 4, 5, 6};
  std::vector<std::uint16_t> const b{7, 8};
  std::vector<std::uint8_t> const  c{9};
  std::vector<tensor_info> const   tensors{{"c", dtype::u8, {1}, as_bytes(c)},
                                         {"b", dtype::bf16, {2, 1}, as_bytes(b)},
                                         {"a", dtype::f32, {2, 3}, as_bytes(a)},
                                         {"none", dtype::f16, {0, 5}, {}},
                                         {"scalar", dtype::f32, {}, as_bytes(a).first(4)}};
  write_safetensors(path(), tensors, {{"format", "pt"}});
  safetensors_file const file(path());
  ASSERT_EQ(file.tensors().size(), 5u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  for (auto const& t : tensors) {
    auto const* found = file.find(t.name);
    ASSERT_NE(found, nullptr) << t.name;
    EXPECT_EQ(found->type, t.type);
    EXPECT_EQ(found->shape, t.shape);
    ASSERT_EQ(found->bytes.size(), t.bytes.size());
    EXPECT_TRUE(std::equal(t.bytes.begin(), t.bytes.end(), found->bytes.begin()));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found->bytes.data()) % bytes_of(t.type), 0u) << "written aligned";
  }
  EXPECT_EQ(file.find("d"), nullptr);

  checkpoint const all(folder / "");
  EXPECT_EQ(all.names(), (std::vector<std::string>{"a", "b", "c", "none", "scalar"}));
  EXPECT_EQ(all.parameters(), 10u);
  EXPECT_EQ(all.bytes_by_dtype().at(dtype::f32), 28u);
  EXPECT_EQ(message_of([&] { (void)all.at("x\n"); }),
            (folder / "").string() + ": a tensor is missing: found no \"x\\n\", expected it among the weights");
}

TEST_F(safetensors, writer_refuses) {
  std::vector<float> const a(6);
  auto const               wrong_size = std::vector<tensor_info>{{"a", dtype::f32, {2, 2}, as_bytes(a)}};
  EXPECT_EQ(message_of([&] { write_safetensors(path(), wrong_size); }),
            path() + ": tensor \"a\": has the wrong number of bytes: found 24, expected 16");
  auto const twice = std::vector<tensor_info>(2, {"a", dtype::f32, {6}, as_bytes(a)});
  EXPECT_EQ(message_of([&] { write_safetensors(path(), twice); }),
            path() + ": tensor is written twice: found \"a\", expected each name once");
  auto const good = std::vector<tensor_info>{{"a", dtype::f32, {6}, as_bytes(a)}};
  EXPECT_EQ(message_of([&] { write_safetensors(folder / "no/such.safetensors", good); }),
            path("no/such.safetensors") + ": cannot be written: found an output error, expected a writable file");
}

TEST_F(safetensors, lengths) {
  expect_refusal("", "is truncated: found 0 bytes, expected a safetensors header of at least 8");
  expect_refusal("1234567", "is truncated: found 7 bytes, expected a safetensors header of at least 8");
  auto const length = [](std::uint64_t n) { return std::string(reinterpret_cast<char const*>(&n), 8); };
  expect_refusal(length(2) + "{",
                 "is truncated in its header: found 1 bytes after the length, expected 2 bytes of header");
  expect_refusal(
      length(100'000'001) + "{}",
      "header length is too large: found 100000001 bytes, expected at most 100000000 (is this a safetensors file?)");
  expect_refusal(length(~0ull) + "{}",
                 "header length is too large: found 18446744073709551615 bytes, expected at most 100000000 (is this a "
                 "safetensors file?)");
  expect_refusal(length(0), "header is not a JSON object: found \"\", expected \"{\"");
  expect_refusal("version https://git-lfs.github.com/spec/v1\n",
                 "header length is too large: found 2336927755350992246 bytes, expected at most 100000000 (is this a "
                 "safetensors file?)");
}

TEST_F(safetensors, header) {
  expect_refusal("[]", 0, "header is not a JSON object: found \"[\", expected \"{\"");
  expect_refusal("{\"a\":", 0, "broken JSON at line 1, column 6: found the end of the text, expected a JSON value");
  expect_refusal("{\"a\": 3}", 0, "tensor \"a\": wrong type: found 3, expected an object");
  expect_refusal(R"({"a":{},"a":{}})", 0, "repeated key in an object: found \"a\" twice, expected it once");
  expect_refusal(R"({"__metadata__":{"k":1}})", 0, "__metadata__.k: wrong type: found 1, expected a string");
  expect_refusal(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4,
                 "tensor \"a\".dtype: missing: found nothing, expected a string");
  expect_refusal(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4,
                 "tensor \"a\".shape: missing: found nothing, expected an array of extents");
  expect_refusal(R"({"a":{"dtype":"F32","shape":[1]}})", 4,
                 "tensor \"a\".data_offsets: missing: found nothing, expected an array [begin, end]");
  expect_refusal(
      R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4,
      "tensor \"a\": unknown dtype: found \"F31\", expected one of BOOL, U8, I8, F8_E5M2, F8_E4M3, F8_E8M0, I16, "
      "U16, F16, BF16, I32, U32, F32, I64, U64, F64");
  expect_refusal("{\"a\":" + std::string(20, '[') + std::string(20, ']') + "}", 0,
                 "JSON is nested too deeply: found more than 8 levels, expected at most that");
  expect_refusal("{\"\xFF\":1}", 0,
                 "broken JSON at line 1, column 3: found \"\"\\xff\" (invalid string: ill-formed UTF-8 byte), "
                 "expected a JSON value");
}

TEST_F(safetensors, shapes) {
  auto const with = [](char const* shape, char const* offsets = "[0,4]") {
    return std::string(R"({"a":{"dtype":"F32","shape":)") + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  expect_refusal(with("[2]"), 4,
                 "tensor \"a\": has the wrong number of bytes: found 4, expected 8 for F32 of shape [2]");
  expect_refusal(with("[-1]"), 4,
                 "tensor \"a\": shape: out of range: found -1, expected an integer from 0 to 9223372036854775807");
  expect_refusal(with("[1.5]"), 4,
                 "tensor \"a\": shape: wrong type: found 1.5, expected an integer from 0 to 9223372036854775807");
  expect_refusal(with("[18446744073709551615]"), 4,
                 "tensor \"a\": shape: out of range: found 18446744073709551615, expected an integer from 0 to "
                 "9223372036854775807");
  expect_refusal(with("[4294967296,4294967296]"), 4,
                 "tensor \"a\": shape is too large: found [4294967296,4294967296], expected fewer than 2^64 bytes");
  // 2^62 elements of 4 bytes are 0 modulo 2^64.
  expect_refusal(with("[4611686018427387904]", "[0,0]"), 0,
                 "tensor \"a\": shape is too large: found [4611686018427387904], expected fewer than 2^64 bytes");
  expect_refusal(with("3"), 4, "tensor \"a\": shape: is not a shape: found 3, expected an array of at most 16 extents");
  expect_refusal(with("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), 4,
                 "tensor \"a\": shape: is not a shape: found 17 extents, expected an array of at most 16 extents");
  expect_refusal(with("[1]", "[0]"), 4,
                 "tensor \"a\": data_offsets: is not a range: found 1 numbers, expected an array [begin, end]");
  expect_refusal(with("[1]", "[4,0]"), 4,
                 "tensor \"a\": lies outside the file's data: found bytes 4 to 0, expected a range within 4 bytes");
  expect_refusal(
      with("[1]", "[-4,0]"), 4,
      "tensor \"a\": data_offsets: out of range: found -4, expected an integer from 0 to 9223372036854775807");
  expect_refusal(with("[2]", "[0,8]"), 4,
                 "tensor \"a\": lies outside the file's data: found bytes 0 to 8, expected a range within 4 bytes");
}

TEST_F(safetensors, coverage) {
  auto const two = [](char const* first, char const* second) {
    return std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  test::write_text(path(), file_of(two("[4,8]", "[0,4]"), 8));
  EXPECT_EQ(safetensors_file(path()).tensors().size(), 2u);
  expect_refusal(two("[0,4]", "[2,6]"), 8,
                 "tensor \"b\": overlaps tensor \"a\": found bytes 2 to 6, expected to begin at byte 4");
  expect_refusal(two("[0,4]", "[0,4]"), 4,
                 "tensor \"b\": overlaps tensor \"a\": found bytes 0 to 4, expected to begin at byte 4");
  expect_refusal(two("[0,4]", "[5,9]"), 9,
                 "tensor \"b\": leaves a hole before it: found begin at byte 5, expected byte 4");
  expect_refusal(two("[0,4]", "[4,8]"), 9, "holds bytes that belong to no tensor: found 1 at the end, expected none");
  expect_refusal(two("[0,4]", "[4,8]"), 7,
                 "tensor \"b\": lies outside the file's data: found bytes 4 to 8, expected a range within 7 bytes");
}

TEST_F(safetensors, every_truncation_is_an_error) {
  std::vector<float> const a(6);
  write_safetensors(path("whole"), std::vector<tensor_info>{{"a", dtype::f32, {6}, as_bytes(a)}});
  std::string const whole = test::read_text(folder / "whole");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    test::write_text(path(), whole.substr(0, n));
    EXPECT_NE(message_of([&] { safetensors_file{path()}; }), "no error") << n;
  }
}

TEST_F(safetensors, files_that_are_none) {
  EXPECT_EQ(message_of([&] { safetensors_file{path("absent")}; }),
            path("absent") + ": cannot be opened: found \"No such file or directory\", expected a readable file");
  EXPECT_EQ(message_of([&] { safetensors_file{(folder / "").string()}; }),
            (folder / "").string() + ": is not a file: found a directory, expected a file");
  EXPECT_EQ(message_of([&] { checkpoint{path("absent")}; }),
            path("absent") + ": is not a model directory: found no such file or directory, expected a directory");
  EXPECT_EQ(checkpoint_error(), (folder / "").string() +
                                    ": holds no weights: found no *.safetensors file, expected model.safetensors or "
                                    "model.safetensors.index.json");
}

TEST_F(safetensors, shards) {
  std::vector<float> const a{1, 2};
  auto const               shard = [&](char const* file, char const* tensor) {
    write_safetensors(path(file), std::vector<tensor_info>{{tensor, dtype::f32, {2}, as_bytes(a)}});
  };
  auto const index = [&](std::string const& map) {
    test::write_text(path("model.safetensors.index.json"), "{\"metadata\":{},\"weight_map\":" + map + "}");
  };
  shard("one.safetensors", "a"), shard("two.safetensors", "b");
  EXPECT_EQ(checkpoint(folder / "").names().size(), 2u);  // without an index: all of them

  index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  checkpoint const both(folder / "");
  ASSERT_NE(both.find("b"), nullptr);
  EXPECT_EQ(both.find("b")->shape, (std::vector<std::int64_t>{2}));

  std::string const file = path("model.safetensors.index.json") + ": ";
  index(R"({"a":"one.safetensors","b":"three.safetensors"})");
  EXPECT_EQ(checkpoint_error(), file +
                                    "weight_map.b: names a shard that is missing: found no file \"three.safetensors\", "
                                    "expected it beside the index");
  index(R"({"a":"one.safetensors","c":"two.safetensors"})");
  EXPECT_EQ(checkpoint_error(), file +
                                    "weight_map.c: names a tensor that its shard lacks: found no such tensor in "
                                    "\"two.safetensors\", expected one");
  for (char const* outside : {"../one.safetensors", "/etc/passwd", "..", "a\\\\b", "", "x\\u0000y"}) {
    index(std::string(R"({"a":")") + outside + "\"}");
    EXPECT_TRUE(checkpoint_error().starts_with(file + "weight_map.a: names a shard outside the directory: found \""))
        << checkpoint_error();
  }
  index("3");
  EXPECT_EQ(checkpoint_error(), file + "weight_map: wrong type: found 3, expected an object");
  index(R"({"a":3})");
  EXPECT_EQ(checkpoint_error(), file + "weight_map.a: wrong type: found 3, expected a file name");

  test::fs::remove(folder / "model.safetensors.index.json");
  shard("two.safetensors", "a");
  EXPECT_EQ(checkpoint_error(),
            path("two.safetensors") + ": tensor is in two files: found \"a\" again, expected it in one of them");
}

TEST_F(safetensors, thousands_of_tensors) {
  std::vector<float> const a(4);
  std::string              map;
  for (int s = 0; s < 4; ++s) {
    std::vector<tensor_info> tensors;
    std::string const        file = "shard" + std::to_string(s) + ".safetensors";
    for (int i = 0; i < 1500; ++i) {
      std::string const name = "model.layers." + std::to_string(i) + ".part." + std::to_string(s);
      tensors.push_back({name, dtype::f32, {4}, as_bytes(a)});
      map += (map.empty() ? "\"" : ",\"") + name + "\":\"" + file + "\"";
    }
    write_safetensors(path(file), tensors);
  }
  test::write_text(path("model.safetensors.index.json"), "{\"weight_map\":{" + map + "}}");
  checkpoint const all(folder / "");
  EXPECT_EQ(all.names().size(), 6000u);
  EXPECT_EQ(all.parameters(), 24000u);
  EXPECT_NE(all.find("model.layers.1499.part.3"), nullptr);
}

TEST_F(safetensors, the_demo_model) {
  checkpoint const all(test::fs::path(TENON_SOURCE_DIR) / "examples/models/tenon-demo");
  EXPECT_EQ(all.at("model.embed_tokens.weight").shape, (std::vector<std::int64_t>{2048, 192}));
  EXPECT_EQ(all.bytes_by_dtype().size(), 1u);
  EXPECT_EQ(all.bytes_by_dtype().count(dtype::bf16), 1u);
}

}  // namespace
