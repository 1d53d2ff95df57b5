#pragma once
//  One sequence whose cache is compressed: each kv head of each layer keeps tokens of its own, in pages of its own.
//
//    ids        t0 t1 t2 t3 t4 t5 t6 ...                 of all tokens, always
//    head 0     t0 .  .  t3 .  t5 t6                     pages of one head; what is dropped is gone from memory
//    head 1     t0 t1 .  .  .  t5 t6                       but for its id and a summary of the keys of its span
//
//  A token keeps its position: keys are stored rotated, so the list of a head is a shorter sequence with the same keys.
//  New tokens go to the end of every list. Dropped tokens come back by a prefill of just those tokens, over what each
//  head keeps in front of them; once all are back, the cache is bit for bit that of a sequence that was never
//  compressed.
#include <tenon/core/numeric.hpp>
#include <tenon/kv/block_pool.hpp>
#include <tenon/kv/select_tokens.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/files/hf_config.hpp"
#include "engine/generation/dropped_spans.hpp"
#include "engine/generation/kv_compression.hpp"
#include "engine/generation/scorer.hpp"
#include "engine/model/decoder.hpp"

namespace tenon::engine {

/// What compression has done and cost, over all layers and kv heads.
struct compression_counts {
  std::int64_t tokens = 0, kept = 0;              // of the prefix, times kv heads: there, and kept
  std::int64_t pages = 0, freed_pages = 0;        // head pages
  std::int64_t freed_bytes = 0, ideal_bytes = 0;  // of those pages; of the dropped tokens alone
  std::int64_t bytes = 0, summary_bytes = 0;  // of the prefix in front of it; of what is remembered of dropped spans
  std::int64_t rebuilt = 0, rebuildings = 0;  // tokens that came back, in so many passes
  std::int64_t rebuilt_bytes = 0;             // of the pages that they took
  std::int64_t repeated      = 0;             // tokens of steps that were repeated

  void add(compression_counts const& other);
};

class compressed_cache {
 public:
  /// Pages of the model's cache that hold one such sequence, whatever comes back: it moves to new pages.
  [[nodiscard]] static std::int64_t pages_wanted(model_config const& config, kv_cache_format format,
                                                 scorer_options const& limits, kv_compression const& how);

  /// Takes all of the model's cache. The model has no caps of logits; layers with a window keep all their tokens.
  /// `runs`: the requests that a step may have.
  compressed_cache(decoder& model, model_config const& config, scorer_options const& limits, int runs,
                   kv_compression const& how);

  enum class wanted { all, last, none };  // logits of each step
  using visitor = std::function<void(std::size_t position, std::span<float const> logits)>;

  /// Feeds `ids` behind the tokens that are there. visit(position, logits) gets those wanted of each step; `watch` sees
  /// the stages of each pass, of a repeated one once more. Throws where the cache is full.
  void feed(std::span<std::int32_t const> ids, wanted rows, visitor const& visit = {}, tap const& watch = {});

  /// Scores all tokens, keeps the best, frees the pages of the others; all stay where the sinks and the recent ones are
  /// more than may stay. Once, behind the first tokens.
  void               compress();
  [[nodiscard]] bool compressed() const { return compressed_; }

  /// Brings back what was dropped of some spans of `span` tokens, or of all.
  void rebuild(std::vector<bool> const& spans);
  void rebuild();

  [[nodiscard]] std::size_t               tokens() const { return ids_.size(); }
  [[nodiscard]] compression_counts const& counts() const { return counts_; }
  /// The tokens that a head keeps, ascending.
  [[nodiscard]] std::span<std::int32_t const> kept(int layer, int head) const;
  /// Head pages in use, of all layers.
  [[nodiscard]] std::int64_t used_pages() const;

 private:
  struct head_cache {
    std::vector<std::int32_t> kept;   // ascending
    std::vector<std::int32_t> fresh;  // of these what the next pass computes, ascending
    std::vector<block_id>     pages;
  };
  struct layer_cache {
    layer_shape             shape;
    block_pool              pool;
    std::vector<head_cache> heads;
    std::vector<float>      queries;  // (tokens, heads, head_dim) of the last tokens, rotated
    dropped_spans           dropped;
    bool                    compressible = false;
  };

  /// A head once tokens have come back.
  struct grown_head {
    std::vector<std::int32_t> kept, fresh;
    std::size_t               first = 0, pages = 0;  // pages that stay, and new ones behind them
    std::vector<std::int32_t> from;  // of the tokens in the new ones: their places in the old list; -1: they had none
  };

  void        append(std::span<std::int32_t const> ids);
  void        run(std::span<token_run const> runs, wanted rows, tap const& watch);
  void        pass(std::span<token_run const> runs, wanted rows, tap const& watch);
  void        lay_out(std::span<token_run const> runs, wanted rows);
  void        drop(int layer, kept_tokens const& kept);
  bool        may_rebuild() const;
  bool        rebuild_above(std::size_t tokens);
  grown_head  grow(head_cache const& h, std::span<token_run const> runs) const;
  void        make_room(int layer, std::vector<grown_head>&& grown);
  std::size_t span_count() const { return ids_.size() / static_cast<std::size_t>(how_.span) + 1; }
  std::size_t pages_of(std::size_t tokens) const { return static_cast<std::size_t>(pages_for(tokens, limits_)); }

  static void require_pages(layer_cache const& l, std::size_t wanted, char const* option, char const* what);

  tensor_view<float const, 2> rope_table();

  decoder&                  model_;
  model_config const&       config_;
  scorer_options            limits_;
  int                       runs_;
  kv_compression            how_;
  std::vector<std::int32_t> ids_;
  std::vector<layer_cache>  layers_;
  compression_counts        counts_;
  bool                      compressed_ = false;

  // Of the last step.
  step_batch                      step_;
  std::vector<std::vector<float>> step_queries_;  // (layers): (tokens, heads, head_dim)
  std::vector<float>              lse_, logits_;

  std::vector<float> cos_sin_;  // the table of the rotation, where scores want it
};

}  // namespace tenon::engine
