#pragma once
//  Requests through a decoder: admit, prefill in chunks, decode together, draw, stop.
//
//  A request is admitted when the KV pages for all that it may become are free, so none is ever interrupted.
#include <tenon/kv/block_pool.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/generation/request.hpp"
#include "engine/model/decoder.hpp"
#include "engine/text/detokenizer.hpp"
#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

struct generator_options {
  int                    max_length         = 0;   // tokens that a request may feed
  int                    max_sequences      = 64;  // requests that run together
  int                    max_batched_tokens = 512;
  int                    block_size         = 16;
  std::set<std::int32_t> end_ids;  // a drawn id of these ends the request
};

struct generation_counts {
  std::int64_t prompt_tokens  = 0;  // fed
  std::int64_t tokens         = 0;  // drawn
  std::int64_t decoded        = 0;  // drawn by the steps that fed no prompt
  double       prompt_seconds = 0;  // of the steps that fed prompts
  double       seconds        = 0;  // of the others
};

class generator {
 public:
  /// `text` may be null: completions are then ids without text.
  generator(decoder& model, tokenizer const* text, generator_options const& options);

  /// Throws `error` where the request can never run.
  void add(request r);
  bool idle() const { return waiting_.empty() && running_.empty(); }
  bool wants_more() const { return waiting_.size() < static_cast<std::size_t>(options_.max_sequences); }

  /// One step of the model. `on_text(index, piece)` gets completed text as it comes, `on_done` a finished request.
  void step(std::function<void(std::size_t, std::string const&)> const& on_text,
            std::function<void(completion&&)> const&                    on_done);

  generation_counts const& counts() const { return counts_; }

 private:
  struct sequence {
    explicit sequence(std::optional<detokenizer> d) : stream(std::move(d)) {}

    completion                 result;
    std::vector<std::int32_t>  tokens;   // prompt and completion
    std::size_t                fed = 0;  // tokens whose keys are in the cache
    std::vector<block_id>      pages;
    std::size_t                limit = 0;      // completion tokens
    std::optional<detokenizer> stream;         // none: the completion is ids alone
    bool                       drawn = false;  // has a logit row in its last step
    bool                       done  = false;
  };

  void        admit();
  bool        gather();
  void        describe_draw();
  void        accept(sequence& s, std::size_t row, std::function<void(std::size_t, std::string const&)> const& on_text);
  std::size_t room(std::size_t prompt) const;

  decoder&                               model_;
  tokenizer const*                       text_;
  generator_options                      options_;
  block_pool                             pool_;
  std::deque<request>                    waiting_;
  std::vector<std::unique_ptr<sequence>> running_;
  generation_counts                      counts_;

  // Reused from step to step.
  std::vector<sequence*> batch_;  // the sequences of this step, in the order of its rows
  step_batch             step_;
  draw_batch             draw_;
  drawn                  out_;
};

}  // namespace tenon::engine
