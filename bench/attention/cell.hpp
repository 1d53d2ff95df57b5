#pragma once
//  What the attention benchmark measures: calls on caches of some format, and what each of them is held to.
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../support/arena.hpp"
#include "../support/timing.hpp"

namespace bench {

/// What a goal is about.
enum class aim {
  most_us,         // time of a call
  least_of_copy,   // percent of the measured copy that bytes of K and V over time are
  least_tflops,    // operations over time
  times_as_quick,  // the time of the cell beside it over this one's, at least
  most_time,       // this one's time over that of the cell beside it, at most
  least_rate,      // this one's rate over that of the cell beside it, at least
  most_more_us,    // this one's time less that of the cell beside it, at most
  times_cudnn,     // cuDNN's time over this one's, at least
};
/// A figure that is asked for; none of them is a measurement.
struct goal {
  aim    of;
  double must, best;  // 0: none
};

enum class call_kind {
  paged,     // paged_attention, as a user calls it
  unsplit,   // the same without workspace and counters: keys of a row stay in one block
  chunked,   // keys cut at multiples of 512 whatever the batch: the bits of a row depend on nothing else
  cascaded,  // the shared prefix once for all requests
  merged,    // merge_attention of as many partial results as `parts` says, in f32 where the cache is "f32"
  append,    // queries and keys rotated; keys and values quantised and written
};

/// One call. Requests have queries[i] new tokens of keys[i].
struct cell {
  std::string          name;
  std::string          cache = "bf16";
  call_kind            how   = call_kind::paged;
  index_t              heads = 32, kv_heads = 8, head_dim = 128;
  std::vector<index_t> queries = {}, keys = {};
  index_t              page    = 16;    // 0: a request's keys lie in a row
  bool                 causal  = true;  // else: every key
  index_t              window  = 0;     // with causal; 0: none
  float                cap     = 0;     // soft cap of the logits; 0: none
  bool                 lse     = false;
  index_t              shared  = 0;      // keys at the start that all requests have in common, in the same pages
  index_t              parts   = 0;      // of a merge
  bool                 rival   = false;  // beside cuDNN
  std::string          beside  = {};     // a cell of the same group
  std::vector<goal>    goals   = {};
  bool                 compute = false;  // its rate is of operations, not of bytes
};

/// Cells that are measured against each other, turn by turn.
struct cell_group {
  std::string       name;
  int               importance;  // 0: first
  std::vector<cell> cells;
};

/// Every group that a GPU, or this machine's cores, is measured by.
std::vector<cell_group> attention_cells(bool of_gpu = TENON_CUDA);

/// Bytes of one head of one token in a cache of numbers or codes E, its scales included.
template <tenon::kv_element E>
index_t cached_bytes(index_t width) {
  if constexpr (tenon::is_kv_codes<E>)
    return width * E::bits / 8 + tenon::kv_groups<E>(width) * static_cast<index_t>(sizeof(typename E::scale_type));
  else return width * static_cast<index_t>(sizeof(E));
}
inline index_t cached_bytes(std::string const& cache, index_t width, bool of_values) {
  if (cache == "fp8") return cached_bytes<tenon::kv_fp8>(width);
  if (cache == "int8" || (cache == "k16v8" && of_values)) return cached_bytes<tenon::kv_int8>(width);
  if (cache == "int4") return cached_bytes<tenon::kv_int4>(width);
  return cached_bytes<tenon::bf16>(width);
}

/// Pairs of a query and a key that the mask keeps, of one head.
inline index_t pairs_of(cell const& c) {
  index_t pairs = 0;
  for (std::size_t r = 0; r < c.queries.size(); ++r)
    for (index_t i = 0; i < c.queries[r]; ++i) {
      index_t const seen = c.causal ? c.keys[r] - c.queries[r] + i + 1 : c.keys[r];
      pairs += c.window > 0 ? std::min(seen, c.window) : seen;
    }
  return pairs;
}

/// Keys that some query sees; `once`: those that requests share count once.
inline index_t keys_of(cell const& c, bool once = true) {
  index_t keys = once ? c.shared : 0;
  for (std::size_t r = 0; r < c.queries.size(); ++r) {
    index_t const own = once ? c.keys[r] - c.shared : c.keys[r];
    keys += c.window > 0 ? std::min(own, c.window + c.queries[r] - 1) : own;
  }
  return keys;
}

inline index_t tokens_of(cell const& c) {
  index_t tokens = 0;
  for (index_t const q : c.queries) tokens += q;
  return tokens;
}

/// Bytes of K and V that a call reads at the least, or writes.
inline std::int64_t kv_bytes_of(cell const& c) {
  if (c.how == call_kind::merged) return 0;
  index_t const tokens = c.how == call_kind::append ? tokens_of(c) : keys_of(c);
  return tokens * c.kv_heads * (cached_bytes(c.cache, c.head_dim, false) + cached_bytes(c.cache, c.head_dim, true));
}

/// Calls of one cell over rotated operands.
struct attention_call : computation {
  std::int64_t kv_bytes = 0;  // of moved.bytes
  // Which plan the first way follows, where it has one.
  std::function<std::string(tenon::context const&)> plan = {};
};

/// A call over a cache of a format; no ways where this build has none.
attention_call make_call(arena&, cell const&);

/// The same by cuDNN's attention over dense operands; no ways where there is no cuDNN or it refuses. `why` then says so.
attention_call cudnn_call(arena&, cell const&, std::string& why);
/// "cuDNN 9.19.0"; empty without it
std::string cudnn_version();

}  // namespace bench
