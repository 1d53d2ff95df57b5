#include "engine/generation/generator.hpp"

#include <tenon/attention/paged_attention_policy.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

bool is_penalised(sampling_params const& p) {
  return p.repetition_penalty != 1.f || p.presence_penalty != 0.f || p.frequency_penalty != 0.f;
}

kv_blocks_options pool_of(generator_options const& o, std::int64_t pages) {
  kv_blocks_options k;
  k.blocks                  = static_cast<block_id>(pages) - padding_of(o).pages;
  k.block_size              = o.block_size;
  k.max_sequences           = o.schedule.max_sequences;
  k.max_blocks_per_sequence = (o.schedule.max_length + o.block_size - 1) / o.block_size;
  k.prefix_cache            = o.prefix_caching;
  return k;
}

/// Attention reads keys in tiles, whole, which start at multiples of their size: of a multiple of all sizes no tile reaches
/// back over.
constexpr int tile_of_keys = [] {
  int all = 1;
  for (paged_attention_policy const& p : paged_attention_menu) all = std::lcm(all, p.keys);
  return all;
}();

finish finish_of(sequence_end e) {
  switch (e) {
    case sequence_end::stop: return finish::stop;
    case sequence_end::length: return finish::length;
    case sequence_end::deadline: return finish::deadline;
    default: return finish::cancelled;
  }
}

}  // namespace

padding_need padding_of(generator_options const& o) {
  schedule_options const& s = o.schedule;
  if (s.mode == batching::continuous) return {};
  int const pieces = s.max_batched_tokens / o.block_size + 1;  // of the padding of prompts, a page each
  int const length = (s.max_length + o.block_size - 1) / o.block_size;
  return {pieces, length + std::max(pieces, s.max_sequences)};
}

generator::generator(decoder& model, tokenizer const* text, generator_options const& options)
    : model_(model),
      text_(text),
      options_(options),
      pages_(pool_of(options, model.pages())),
      plan_(options.schedule, pages_, options.cost),
      layout_(options.block_size) {
  for (block_id p = pages_.blocks(); p < static_cast<block_id>(model.pages()); ++p) scratch_.push_back(p);
}

double generator::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
}

void generator::add(request r) {
  std::string const name   = "prompt " + std::to_string(r.index);
  auto const        prompt = static_cast<std::int64_t>(r.prompt_ids.size());
  int const         length = options_.schedule.max_length;
  if (prompt == 0)
    throw error(
        name + ": is empty and the tokenizer adds no beginning-of-sequence token: found 0 tokens, expected at least 1");
  if (prompt > length)
    throw error(name + ": is longer than the model's length: found " + std::to_string(prompt) +
                " tokens, expected at most " + std::to_string(length));
  if (options_.kv && r.n > 1)
    throw error(name + ": has a compressed KV cache, which completions cannot share: found n = " + std::to_string(r.n) +
                ", expected 1");
  // A position is never fed past the model's length, and the last token drawn is never fed.
  r.max_tokens = static_cast<int>(std::clamp<std::int64_t>(r.max_tokens, 0, length + 1 - prompt));

  std::uint64_t tag = tickets_.size();
  if (free_tags_.empty()) tickets_.emplace_back();
  else tag = free_tags_.back(), free_tags_.pop_back();
  if (r.max_tokens == 0) {
    empty_.push_back(tag);
  } else {
    schedule_request s;
    s.tag = tag, s.prompt = r.prompt_ids, s.max_tokens = r.max_tokens, s.n = r.n;
    s.priority = r.priority, s.tenant = r.tenant, s.salt = r.tenant, s.arrival = r.arrival, s.deadline = r.deadline;
    if (refusal const no = plan_.submit(s); no != refusal::none) {
      free_tags_.push_back(tag);
      if (no == refusal::bad_count)
        throw error(name + ": n does not fit: found " + std::to_string(r.n) + " completions, expected at most " +
                    std::to_string(options_.schedule.max_sequences) + " (--max-num-seqs)");
      if (no == refusal::queue_full)
        throw error(name + ": too many requests wait: found " + std::to_string(plan_.counts().waiting) +
                    ", expected fewer than " + std::to_string(options_.schedule.max_waiting));
      throw error(name + ": does not fit the KV cache: found " + std::to_string(prompt) + " tokens and " +
                  std::to_string(r.n) + " x " + std::to_string(r.max_tokens) + " to draw, expected at most " +
                  std::to_string(pages_.blocks()) + " pages of " + std::to_string(options_.block_size));
    }
  }

  auto t = std::make_unique<ticket>();
  for (int k = 0; k < r.n; ++k) {
    stream s;
    s.result.asked  = r;
    s.result.number = k;
    s.result.asked.sampling.seed += static_cast<std::uint64_t>(k);
    if (text_) s.text.emplace(*text_, r.prompt_ids.back(), r.stop);
    t->streams.push_back(std::move(s));
  }
  t->open       = r.n;
  t->asked      = std::move(r);
  tickets_[tag] = std::move(t);
  ++open_;
}

void generator::cancel_all() {
  for (std::uint64_t tag = 0; tag < tickets_.size(); ++tag)
    if (tickets_[tag]) tickets_[tag]->cancelled = true, plan_.cancel(tag);
}

bool generator::step(text_sink const& on_text, done_sink const& on_done) {
  double const began = now();
  for (std::uint64_t const tag : std::exchange(empty_, {})) {
    finish const      reason = tickets_[tag]->cancelled ? finish::cancelled : finish::length;
    std::size_t const n      = tickets_[tag]->streams.size();
    for (std::size_t k = 0; k < n; ++k) {
      stream& s = tickets_[tag]->streams[k];
      end(s, reason, on_text);
      deliver(tag, s, on_done);
    }
  }

  pages_.advance(static_cast<std::uint64_t>(began * 1e3));  // milliseconds
  step_plan const& plan = plan_.schedule(began);
  deliver_ended(on_text, on_done);
  if (plan.empty()) return false;

  feed(plan);
  if (plan.draws > 0) {
    describe_draw(plan);
    model_.draw(draw_, out_);
  }
  bool const   prefill = static_cast<std::size_t>(plan.decodes) < plan.parts.size();
  double const ended   = now();
  (prefill ? counts_.prompt_seconds : counts_.seconds) += ended - began;
  counts_.tokens += plan.draws;
  if (!prefill) counts_.decoded += plan.draws;

  stops_.clear();
  bool invalid = false;
  for (planned const& part : plan.parts)
    for (int k = 0; k < part.draws; ++k) {
      stream& s = stream_of(part, k);
      s.result.times.push_back(ended);
      stops_.push_back(accept(s, stops_.size(), on_text) ? 1 : 0);
      invalid = invalid || s.result.reason == finish::invalid;
    }
  plan_.commit(std::span(std::as_const(out_.ids)).first(stops_.size()), stops_);
  if (invalid) pages_.flush();  // its pages are not for others
  deliver_ended(on_text, on_done);
  return true;
}

/// Draws of one part are the completions of a prompt; a sequence that decodes has one.
generator::stream& generator::stream_of(planned const& part, int draw) {
  int const number = part.draws > 1 ? draw : plan_.completion(part.sequence);
  return tickets_[plan_.tag(part.sequence)]->streams[static_cast<std::size_t>(number)];
}

/// One forward pass over the plan's tokens.
void generator::feed(step_plan const& plan) {
  if (options_.kv) {
    for (planned const& p : plan.parts) feed_compressed(p);
    return;
  }
  if (!pages_.copies().empty()) model_.copy_pages(pages_.copies());  // commit() says that they are made
  if (options_.window > 0) release_passed(plan);
  layout_.clear();
  for (planned const& p : plan.parts)
    layout_.add(plan_.tokens(p.sequence).subspan(static_cast<std::size_t>(p.first), static_cast<std::size_t>(p.count)),
                p.first, plan_.block_table(p.sequence), p.draws);
  if (plan.padding > 0) pad(plan);
  model_.forward(layout_.step());
}

/// The same for the only sequence there is, whose cache is compressed once its prompt is fed.
void generator::feed_compressed(planned const& p) {
  if (p.first == 0) {
    compressed_done_ = compressed();
    compressed_.emplace(model_, *options_.config,
                        scorer_options{.max_length         = options_.schedule.max_length,
                                       .max_batched_tokens = options_.schedule.max_batched_tokens,
                                       .max_rows           = 1,
                                       .block_size         = options_.block_size},
                        options_.runs, *options_.kv);
  }
  auto const tokens =
      plan_.tokens(p.sequence).subspan(static_cast<std::size_t>(p.first), static_cast<std::size_t>(p.count));
  compressed_->feed(tokens, compressed_cache::wanted::last);
  if (!compressed_->compressed() && compressed_->tokens() >= tickets_[plan_.tag(p.sequence)]->asked.prompt_ids.size())
    compressed_->compress();
}

compression_counts generator::compressed() const {
  compression_counts all = compressed_done_;
  if (compressed_) all.add(compressed_->counts());
  return all;
}

/// Gives back the pages that no window of the step's queries, or of later ones, reaches.
void generator::release_passed(step_plan const& plan) {
  for (planned const& p : plan.parts)
    pages_.release_before(p.sequence, (p.first + 1 - options_.window) / tile_of_keys * tile_of_keys);
}

/// Fixed batches pay for their padding. Beside decodes it is rows as deep as the deepest, which share the pages that they read
/// and write one of their own; beside prompts it is loose tokens.
void generator::pad(step_plan const& plan) {
  auto const whole =
      static_cast<std::size_t>((options_.schedule.max_length + options_.block_size - 1) / options_.block_size);
  std::span<block_id const> const shared = std::span(std::as_const(scratch_)).first(whole);
  std::span<block_id const>       own    = std::span(std::as_const(scratch_)).subspan(whole);
  padding_.assign(static_cast<std::size_t>(options_.block_size), 0);
  std::span<std::int32_t const> const ids = padding_;
  if (plan.decodes == 0) {
    for (int left = plan.padding; left > 0; left -= options_.block_size, own = own.subspan(1))
      layout_.add(ids.first(static_cast<std::size_t>(std::min(left, options_.block_size))), 0, own.first(1), 0);
    return;
  }
  std::int32_t deepest = 0;
  for (planned const& p : plan.parts) deepest = std::max(deepest, p.first);
  auto const pages = static_cast<std::size_t>(deepest / options_.block_size + 1);
  padding_table_.clear();
  for (int i = 0; i < plan.padding; ++i) {
    padding_table_.insert(padding_table_.end(), shared.begin(), shared.begin() + static_cast<std::ptrdiff_t>(pages));
    padding_table_.back() = own[static_cast<std::size_t>(i)];
  }
  for (int i = 0; i < plan.padding; ++i)
    layout_.add(ids.first(1), deepest, std::span(padding_table_).subspan(static_cast<std::size_t>(i) * pages, pages),
                1);
}

void generator::describe_draw(step_plan const& plan) {
  draw_.clear();
  bool penalties = false, bias = false;
  for (planned const& part : plan.parts)
    for (int k = 0; k < part.draws; ++k) {
      completion const& c = stream_of(part, k).result;
      draw_.params.push_back(c.asked.sampling);
      draw_.params.back().position = c.ids.size();
      draw_.top_logprobs           = std::max(draw_.top_logprobs, c.asked.logprobs);
      penalties                    = penalties || is_penalised(c.asked.sampling);
      bias                         = bias || !c.asked.logit_bias.empty();
    }
  if (penalties) draw_.history_start.push_back(0);
  if (bias) draw_.bias_start.push_back(0);
  if (!penalties && !bias) return;
  for (planned const& part : plan.parts)
    for (int k = 0; k < part.draws; ++k) {
      request const& r = stream_of(part, k).result.asked;
      if (penalties) {
        bool const seen = is_penalised(r.sampling);
        if (auto const tokens = plan_.tokens(part.sequence); seen)
          draw_.history.insert(draw_.history.end(), tokens.begin(), tokens.end());
        draw_.history_start.push_back(static_cast<std::int32_t>(draw_.history.size()));
        draw_.prompt_length.push_back(seen ? static_cast<std::int32_t>(r.prompt_ids.size()) : 0);
      }
      if (bias) {
        for (auto const& [id, value] : r.logit_bias) draw_.bias_ids.push_back(id), draw_.bias_values.push_back(value);
        draw_.bias_start.push_back(static_cast<std::int32_t>(draw_.bias_ids.size()));
      }
    }
}

/// Takes the id drawn for `row`; whether the completion ends with it, whatever its length. That it has ended comes from the
/// scheduler (deliver_ended), but for the reason that only is known here.
bool generator::accept(stream& s, std::size_t row, text_sink const& on_text) {
  completion&        result = s.result;
  std::int32_t const id     = out_.ids[row];
  if (!std::isfinite(out_.logprobs[row])) {
    end(s, finish::invalid, on_text);
    return true;
  }
  if (!result.asked.ignore_eos && options_.end_ids.contains(id)) return true;
  result.ids.push_back(id);
  if (result.asked.logprobs > 0) {
    token_logprob t{id, out_.logprobs[row], {}};
    auto const    first = row * static_cast<std::size_t>(draw_.top_logprobs);
    for (std::size_t k = first; k < first + static_cast<std::size_t>(result.asked.logprobs); ++k)
      t.top.emplace_back(out_.top_ids[k], out_.top_logprobs[k]);
    result.logprobs.push_back(std::move(t));
  }
  std::string const piece = s.text ? s.text->feed(id) : std::string();
  result.text += piece;
  if (!piece.empty()) on_text(result.asked.index, piece);
  return s.text && s.text->stopped();
}

void generator::end(stream& s, finish reason, text_sink const& on_text) {
  if (s.done) return;
  s.done                 = true;
  s.result.reason        = reason;
  std::string const rest = s.text ? s.text->finish() : std::string();
  s.result.text += rest;
  if (!rest.empty()) on_text(s.result.asked.index, rest);
}

void generator::deliver(std::uint64_t tag, stream& s, done_sink const& on_done) {
  ticket& t = *tickets_[tag];
  on_done(std::move(s.result));
  if (--t.open > 0) return;
  tickets_[tag].reset();
  free_tags_.push_back(tag);
  --open_;
}

void generator::deliver_ended(text_sink const& on_text, done_sink const& on_done) {
  for (ended_sequence const& e : plan_.ended()) {
    stream& s = tickets_[e.tag]->streams[static_cast<std::size_t>(e.completion)];
    end(s, finish_of(e.reason), on_text);
    deliver(e.tag, s, on_done);
  }
  plan_.clear_ended();
}

}  // namespace tenon::engine
