//  Any bytes as a trace of requests, and as a model of costs; what is read keeps its promises.
#include <engine/schedule/cost_model_file.hpp>
#include <engine/schedule/traces.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "attempt.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace tenon::engine;
  std::string_view const text(reinterpret_cast<char const*>(data), size);
  fuzz::attempt([&] {
    trace const t    = parse_trace(text, "input");
    double      last = 0;
    for (arriving_request const& r : t.requests) {
      std::int64_t tokens = 0;
      for (prompt_piece const& p : r.prompt) tokens += p.tokens;
      if (!(r.arrival >= last) || tokens != r.prompt_tokens || tokens < 1 || r.output_tokens < 1) std::abort();
      last = r.arrival;
    }
  });
  fuzz::attempt([&] {
    cost_model const m = cost_model_of(parse_json(text, "input"), "input");
    for (double const seconds : {m.step, m.weights, m.token, m.sequence, m.row, m.key, m.pair})
      if (!(seconds >= 0) || std::isinf(seconds)) std::abort();
  });
  return 0;
}
