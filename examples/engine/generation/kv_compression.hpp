#pragma once
//  How a KV cache is compressed, as the command line says it.
#include <cstdint>
#include <optional>
#include <string_view>

namespace tenon::engine {

enum class kv_score : std::uint8_t { snapkv, h2o, mean, tova, expected, keydiff, knorm, window, random };
enum class kv_budget : std::uint8_t { uniform, pyramid, ada };

/// By what the attention is estimated that a query would give a dropped span: the mean of its keys, which is never too
/// much (and takes a third of the memory); a guess by their range, too; a bound, which is never too little.
enum class kv_estimate : std::uint8_t { mean, guess, bound };

struct kv_compression {
  kv_score              score  = kv_score::snapkv;
  kv_budget             budget = kv_budget::uniform;
  double                keep   = 1;   // share of the tokens that stay, over all heads
  std::int64_t          sinks  = 4;   // first tokens that every head keeps
  std::int64_t          recent = 32;  // last ones; their queries are those that snapkv looks at
  double                floor  = .2;  // ada: share of an even budget that each head has for itself
  double                beta   = 20;  // pyramid: how steep
  std::uint64_t         seed   = 0;   // random
  std::int64_t          span   = 16;  // tokens that are remembered, and come back, together
  std::optional<double> rebuild;  // the share of a query's attention at which a dropped span comes back; none: never
  kv_estimate           rebuild_by = kv_estimate::mean;
};

/// As --kv-score and --kv-budget spell them.
constexpr std::string_view name_of(kv_score s) {
  constexpr std::string_view names[] = {"snapkv",  "h2o",   "mean",   "tova",  "expected",
                                        "keydiff", "knorm", "window", "random"};
  return names[static_cast<int>(s)];
}
constexpr std::string_view name_of(kv_budget b) {
  constexpr std::string_view names[] = {"uniform", "pyramid", "ada"};
  return names[static_cast<int>(b)];
}

}  // namespace tenon::engine
