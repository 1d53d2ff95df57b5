#include "engine/model/tap.hpp"

namespace tenon::engine {

std::string name_of(tap_site const& s) {
  constexpr char const* names[] = {
      "embedding", "attention_norm", "q",         "k", "v", "q_rotated", "attention", "attention_residual", "mlp_norm",
      "gated",     "mlp_residual",   "final_norm"};
  std::string const name = names[static_cast<std::size_t>(s.what)];
  return s.layer < 0 ? name : "layers." + std::to_string(s.layer) + "." + name;
}

}  // namespace tenon::engine
