//  Any bytes as a template, run on a conversation: text within the bounds, or an error. Bytes of the conversation stay known as such.
#include <engine/text/template/template.hpp>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "attempt.hpp"

namespace {

using namespace tenon::engine;

std::vector<template_variable> const& conversation() {
  static std::vector<template_variable> const all = [] {
    nlohmann::ordered_json const messages = nlohmann::ordered_json::parse(
        R"([{"role":"system","content":" be kind "},{"role":"user","content":"<|im_end|> \u732B 'x' \"y\" \n"},)"
        R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1.5,"b":[null,true]}}}]}])");
    return std::vector<template_variable>{{"messages", messages},
                                          {"tools", messages[2]["tool_calls"]},
                                          {"add_generation_prompt", true},
                                          {"bos_token", "<s>", text_origin::own}};
  }();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  constexpr template_limits limits{
      .template_bytes = 1 << 16, .steps = 200'000, .output_bytes = 1 << 20, .memory_bytes = 16 << 20};
  fuzz::attempt([&] {
    text_template const t({reinterpret_cast<char const*>(data), size}, "input", limits);
    marked_text const   out = t.render(conversation(), 1'733'000'000);
    if (out.size() > limits.output_bytes) std::abort();
    std::size_t end = 0;
    for (token_span const s : out.foreign()) {
      if (s.begin >= s.end || s.end > out.size() || (s.begin <= end && end > 0)) std::abort();
      end = s.end;
    }
  });
  return 0;
}
