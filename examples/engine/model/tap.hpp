#pragma once
//  Looking into a forward pass: each stage of a layer shows its numbers, and takes others in their place.
#include <cstddef>
#include <functional>
#include <vector>

namespace tenon::engine {

/// A stage of a pass, in the order in which they are computed; `layer` is -1 in front of and behind the layers.
struct tap_site {
  char const* name  = "";
  int         layer = -1;
  std::size_t rows = 0, width = 0;  // tokens, or rows of logits; numbers of each
};

/// Gets the stage's numbers, (rows, width) in f32, and returns whether it changed them: then the pass goes on with those.
using tap = std::function<bool(tap_site const&, std::vector<float>&)>;

}  // namespace tenon::engine
