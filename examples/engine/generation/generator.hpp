#pragma once
//  Requests through a decoder: the scheduler says which tokens, the manager which pages, the decoder computes, ids are drawn.
#include <tenon/kv/kv_blocks.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/generation/compressed_cache.hpp"
#include "engine/generation/request.hpp"
#include "engine/generation/step_layout.hpp"
#include "engine/model/decoder.hpp"
#include "engine/schedule/cost_model.hpp"
#include "engine/schedule/schedule_options.hpp"
#include "engine/schedule/scheduler.hpp"
#include "engine/text/detokenizer.hpp"
#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

struct generator_options {
  schedule_options       schedule;
  cost_model             cost;  // of a step: what schedule.itl_target is kept by
  int                    block_size     = 16;
  bool                   prefix_caching = true;
  int                    window         = 0;  // tokens that a query of any layer sees at most; 0: all
  std::set<std::int32_t> end_ids;             // a drawn id of these ends the completion

  /// Each prompt's cache is compressed behind its prefill. One request at a time then, of one completion, without
  /// prefix caching.
  std::optional<kv_compression> kv;
  model_config const*           config = nullptr;  // for kv
  int                           runs   = 0;        // requests that a step of the decoder may have, likewise
};

/// What a decoder has beside max_sequences sequences and the pages for them: fixed batches feed padding.
struct padding_need {
  int sequences = 0;
  int pages     = 0;
};
[[nodiscard]] padding_need padding_of(generator_options const& o);

struct generation_counts {
  std::int64_t tokens         = 0;  // drawn
  std::int64_t decoded        = 0;  // drawn by the steps that fed no prompt
  double       prompt_seconds = 0;  // of the steps that fed prompts
  double       seconds        = 0;  // of the others
};

class generator {
 public:
  using text_sink = std::function<void(std::size_t index, std::string const& piece)>;
  using done_sink = std::function<void(completion&&)>;

  /// `text` may be null: completions are then ids without text.
  generator(decoder& model, tokenizer const* text, generator_options const& options);

  /// Throws `error` where the request can never run.
  void add(request r);
  /// Every request that waits or runs ends (`cancelled`) in the next step.
  void cancel_all();

  bool idle() const { return open_ == 0; }
  bool wants_more() const { return plan_.counts().waiting < options_.schedule.max_sequences; }

  /// One step of the model; false where nothing could run before next_event(). `on_text(index, piece)` gets completed text as
  /// it comes, `on_done` a finished completion.
  bool step(text_sink const& on_text, done_sink const& on_done);

  /// The monotonic clock of arrivals, deadlines and times of tokens: seconds since construction.
  double now() const;
  /// When a step can do something again though none could now; infinity: after the next add().
  double next_event() const { return plan_.next_event(now()); }

  generation_counts const& counts() const { return counts_; }
  schedule_counts const&   scheduled() const { return plan_.counts(); }
  kv_blocks<> const&       pages() const { return pages_; }
  /// Of all requests that have ended or run.
  compression_counts compressed() const;

 private:
  /// One completion of a request.
  struct stream {
    completion                 result;
    std::optional<detokenizer> text;  // none: ids alone
    bool                       done = false;
  };
  /// A request that waits or runs; its tag at the scheduler is its place in tickets_.
  struct ticket {
    request             asked;
    std::vector<stream> streams;  // (n)
    int                 open      = 0;
    bool                cancelled = false;
  };

  void    feed(step_plan const& plan);
  void    feed_compressed(planned const& part);
  void    release_passed(step_plan const& plan);
  void    pad(step_plan const& plan);
  void    describe_draw(step_plan const& plan);
  bool    accept(stream& s, std::size_t row, text_sink const& on_text);
  void    end(stream& s, finish reason, text_sink const& on_text);
  void    deliver(std::uint64_t tag, stream& s, done_sink const& on_done);
  void    deliver_ended(text_sink const& on_text, done_sink const& on_done);
  stream& stream_of(planned const& part, int draw);

  decoder&                             model_;
  tokenizer const*                     text_;
  generator_options                    options_;
  kv_blocks<>                          pages_;
  scheduler                            plan_;
  std::vector<block_id>                scratch_;  // pages that padding is written to
  std::vector<std::unique_ptr<ticket>> tickets_;
  std::vector<std::uint64_t>           free_tags_;
  std::vector<std::uint64_t>           empty_;  // requests of no tokens: done before they begin
  int                                  open_ = 0;
  generation_counts                    counts_;
  std::optional<compressed_cache>      compressed_;       // of the request that runs, where options_.kv is
  compression_counts                   compressed_done_;  // of those before it

  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();

  // Reused from step to step.
  step_layout               layout_;
  draw_batch                draw_;
  drawn                     out_;
  std::vector<std::int32_t> padding_;
  std::vector<block_id>     padding_table_;
  std::vector<std::uint8_t> stops_;
};

}  // namespace tenon::engine
