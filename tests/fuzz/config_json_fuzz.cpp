//  Any bytes as config.json, and as a line of prompts.
#include <engine/error.hpp>
#include <engine/files/hf_config.hpp>
#include <engine/program/prompts.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static int const         file = memfd_create("input", 0);
  static std::string const path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  using namespace tenon::engine;
  auto const attempt = [](auto const& read) {
    try {
      read();
    } catch (error const& e) {
      std::string const message = e.what();
      if (message.find("expected") == std::string::npos || message.size() > 4096) std::abort();
    }
  };
  attempt([&] {
    model_config const c = read_model_config(path);
    if (c.heads % c.kv_heads != 0 || c.rotary_dim() < 2 || c.rotary_dim() > c.head_dim) std::abort();
    for (auto const id : c.eos_ids)
      if (id < 0 || id >= c.vocab_size) std::abort();
  });
  attempt([&] {
    prompt_request const r = parse_prompt_line({reinterpret_cast<char const*>(data), size}, "input:1", {});
    if (!(r.sampling.top_p > 0 && r.sampling.top_p <= 1) || r.sampling.max_tokens < 0) std::abort();
  });
  return 0;
}
