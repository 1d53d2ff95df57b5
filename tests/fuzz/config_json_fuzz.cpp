//  Any bytes as config.json, and as a line of prompts.
#include <engine/files/hf_config.hpp>
#include <engine/program/prompts.hpp>

#include <cstdlib>

#include "attempt.hpp"
#include "input_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace tenon::engine;
  fuzz::attempt([&] {
    model_config const c = read_model_config(fuzz::input_file(data, size));
    if (c.heads % c.kv_heads != 0 || c.rotary_dim() < 2 || c.rotary_dim() > c.head_dim) std::abort();
    for (auto const id : c.eos_ids)
      if (id < 0 || id >= c.vocab_size) std::abort();
  });
  fuzz::attempt([&] {
    prompt_request const r = parse_prompt_line({reinterpret_cast<char const*>(data), size}, "input:1", {});
    if (!(r.sampling.top_p > 0 && r.sampling.top_p <= 1) || r.sampling.max_tokens < 0) std::abort();
  });
  return 0;
}
