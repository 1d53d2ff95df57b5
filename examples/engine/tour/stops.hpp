#pragma once
//  The stops of the tour: one technique each, in a file of its own name.
#include <span>

#include "engine/tour/findings.hpp"
#include "engine/tour/guide.hpp"

namespace tenon::engine::tour {

struct stop {
  char const* name;  // as --stop has it
  char const* title;
  char const* what;     // two or three sentences
  char const* command;  // what does it alone; DIR stands for the model
  void (*visit)(guide&, findings&);
};

/// In the order of the tour. Another one is a file here, its declaration below, and its lines in stops.cpp.
[[nodiscard]] std::span<stop const> all_stops();

void visit_stream(guide&, findings&);
void visit_race(guide&, findings&);
void visit_fusion(guide&, findings&);
void visit_folds(guide&, findings&);
void visit_pruning(guide&, findings&);
void visit_quantising(guide&, findings&);
void visit_precision(guide&, findings&);
void visit_kv_cache(guide&, findings&);
void visit_kv_compression(guide&, findings&);
void visit_batching(guide&, findings&);
void visit_prefix_cache(guide&, findings&);
void visit_tokenizer(guide&, findings&);
void visit_attention(guide&, findings&);

}  // namespace tenon::engine::tour
