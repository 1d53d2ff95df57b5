#pragma once
//  Looking into a forward pass: each stage of a layer shows its numbers, and takes others in their place.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tenon::engine {

/// In the order in which they are computed: the first, those of each layer, the last.
enum class stage : std::uint8_t {
  embedding,
  attention_norm,
  q,  // k and v, too: projections, in front of their norms and the rotation
  k,
  v,
  q_rotated,
  attention,           // in front of the output projection
  attention_residual,  // the stream behind the half
  mlp_norm,
  gated,  // act(gate) * up
  mlp_residual,
  final_norm,
};

/// One stage of one pass.
struct tap_site {
  stage       what  = stage::embedding;
  int         layer = -1;           // in front of and behind the layers: -1
  std::size_t rows = 0, width = 0;  // tokens, or rows of logits; numbers of each
};

/// "layers.3.gated"
[[nodiscard]] std::string name_of(tap_site const& s);

/// Whether the stage is the residual stream.
[[nodiscard]] constexpr bool is_stream(stage s) {
  return s == stage::embedding || s == stage::attention_residual || s == stage::mlp_residual;
}

/// Gets the stage's numbers, (rows, width) in f32, and returns whether it changed them: then the pass goes on with those.
using tap = std::function<bool(tap_site const&, std::vector<float>&)>;

}  // namespace tenon::engine
