#pragma once
//  --kv-...: how much of the KV cache is kept, and of which tokens.
#include <cstdint>
#include <optional>

#include "engine/generation/kv_compression.hpp"

namespace tenon::engine {

class option_set;

struct kv_flags {
  kv_compression              how;
  std::optional<std::int64_t> prefix;  // tokens of each text that are fed before the cache is compressed
};

void add_kv(option_set& set, kv_flags& kv);
void add_kv_prefix(option_set& set, kv_flags& kv);
/// Throws usage_error where they are there without --kv-keep, or without --kv-prefix.
void check_kv(option_set const& set, kv_flags const& kv);
void check_kv_prefix(option_set const& set, kv_flags const& kv);

}  // namespace tenon::engine
