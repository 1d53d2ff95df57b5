#include "engine/generation/generator.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

bool is_penalised(sampling_params const& p) {
  return p.repetition_penalty != 1.f || p.presence_penalty != 0.f || p.frequency_penalty != 0.f;
}

}  // namespace

generator::generator(decoder& model, tokenizer const* text, generator_options const& options)
    : model_(model), text_(text), options_(options), pool_(static_cast<block_id>(model.pages())) {}

/// Completion tokens that fit: a position is never fed past the model's length, and the last token drawn is never fed.
std::size_t generator::room(std::size_t prompt) const {
  return static_cast<std::size_t>(options_.max_length) + 1 - prompt;
}

void generator::add(request r) {
  std::string const name = "prompt " + std::to_string(r.index);
  if (r.prompt_ids.empty())
    throw error(
        name + ": is empty and the tokenizer adds no beginning-of-sequence token: found 0 tokens, expected at least 1");
  if (r.prompt_ids.size() > static_cast<std::size_t>(options_.max_length))
    throw error(name + ": is longer than the model's length: found " + std::to_string(r.prompt_ids.size()) +
                " tokens, expected at most " + std::to_string(options_.max_length));
  waiting_.push_back(std::move(r));
}

void generator::step(std::function<void(std::size_t, std::string const&)> const& on_text,
                     std::function<void(completion&&)> const&                    on_done) {
  using clock      = std::chrono::steady_clock;
  auto const began = clock::now();
  admit();
  bool const prefill = gather();
  model_.forward(step_);
  if (!step_.logit_rows.empty()) {
    describe_draw();
    model_.draw(draw_, out_);
    std::size_t row = 0;
    counts_.tokens += static_cast<std::int64_t>(out_.ids.size());
    if (!prefill) counts_.decoded += static_cast<std::int64_t>(out_.ids.size());
    for (sequence* s : batch_)
      if (s->drawn) accept(*s, row++, on_text);
  }
  double const seconds = std::chrono::duration<double>(clock::now() - began).count();
  (prefill ? counts_.prompt_seconds : counts_.seconds) += seconds;

  for (auto& s : running_) {
    if (!s->done) continue;
    if (auto const freed = pool_.release(s->pages); !freed.ok()) throw error("internal: a page was freed twice");
    on_done(std::move(s->result));
    s.reset();
  }
  std::erase(running_, nullptr);
}

void generator::admit() {
  auto const page = static_cast<std::size_t>(options_.block_size);
  while (!waiting_.empty() && running_.size() < static_cast<std::size_t>(options_.max_sequences)) {
    request&          r     = waiting_.front();
    std::size_t const limit = std::min(static_cast<std::size_t>(std::max(r.max_tokens, 0)), room(r.prompt_ids.size()));
    std::size_t const fed   = r.prompt_ids.size() + std::max<std::size_t>(limit, 1) - 1;
    auto s = std::make_unique<sequence>(text_ ? std::optional(detokenizer(*text_, r.prompt_ids.back(), r.stop))
                                              : std::nullopt);
    s->pages.resize((fed + page - 1) / page);
    if (!pool_.allocate(s->pages).ok()) {
      if (!running_.empty()) return;
      throw error("prompt " + std::to_string(r.index) + ": does not fit the KV cache: found " +
                  std::to_string(s->pages.size()) + " pages, expected at most " + std::to_string(pool_.blocks()));
    }
    s->tokens       = r.prompt_ids;
    s->limit        = limit;
    s->done         = limit == 0;
    s->result.asked = std::move(r);
    waiting_.pop_front();
    running_.push_back(std::move(s));
  }
}

/// The next tokens of the running sequences into step_, decodes first; whether a prompt is among them.
bool generator::gather() {
  step_.clear();
  step_.query_start.push_back(0);
  auto const page    = static_cast<std::size_t>(options_.block_size);
  bool       prefill = false;
  auto const feed    = [&](sequence& s, std::size_t count) {
    for (std::size_t i = s.fed; i < s.fed + count; ++i) {
      step_.ids.push_back(s.tokens[i]);
      step_.positions.push_back(static_cast<std::int32_t>(i));
      step_.slots.push_back(std::int64_t{s.pages[i / page]} * options_.block_size +
                               static_cast<std::int64_t>(i % page));
    }
    s.fed += count;
    s.drawn = s.fed == s.tokens.size();
    if (s.drawn) step_.logit_rows.push_back(static_cast<std::int32_t>(step_.ids.size()) - 1);
    step_.query_start.push_back(static_cast<std::int32_t>(step_.ids.size()));
    step_.kv_length.push_back(static_cast<std::int32_t>(s.fed));
    step_.max_pages = std::max(step_.max_pages, static_cast<std::int32_t>((s.fed + page - 1) / page));
  };
  batch_.clear();
  for (bool const prompts : {false, true})
    for (auto& s : running_) {
      std::size_t const pending = s->tokens.size() - s->fed;
      if (s->done || pending == 0 || (pending > 1 || s->fed == 0) != prompts) continue;
      std::size_t const budget = static_cast<std::size_t>(options_.max_batched_tokens) - step_.ids.size();
      if (budget == 0) continue;
      std::size_t const count = std::min(pending, budget);
      if (prompts) prefill = true, counts_.prompt_tokens += static_cast<std::int64_t>(count);
      feed(*s, count);
      batch_.push_back(s.get());
    }
  for (sequence const* s : batch_)
    for (std::int32_t p = 0; p < step_.max_pages; ++p)
      step_.block_table.push_back(static_cast<std::size_t>(p) < s->pages.size() ? s->pages[static_cast<std::size_t>(p)]
                                                                                : no_block);
  return prefill;
}

void generator::describe_draw() {
  draw_.clear();
  bool penalties = false, bias = false;
  for (sequence const* s : batch_) {
    if (!s->drawn) continue;
    request const& r = s->result.asked;
    draw_.params.push_back(r.sampling);
    draw_.params.back().position = s->result.ids.size();
    draw_.top_logprobs           = std::max(draw_.top_logprobs, r.logprobs);
    penalties                    = penalties || is_penalised(r.sampling);
    bias                         = bias || !r.logit_bias.empty();
  }
  if (penalties) draw_.history_start.push_back(0);
  if (bias) draw_.bias_start.push_back(0);
  for (sequence const* s : batch_) {
    if (!s->drawn) continue;
    request const& r = s->result.asked;
    if (penalties) {
      if (is_penalised(r.sampling)) draw_.history.insert(draw_.history.end(), s->tokens.begin(), s->tokens.end());
      draw_.history_start.push_back(static_cast<std::int32_t>(draw_.history.size()));
      draw_.prompt_length.push_back(is_penalised(r.sampling) ? static_cast<std::int32_t>(r.prompt_ids.size()) : 0);
    }
    if (bias) {
      for (auto const& [id, value] : r.logit_bias) draw_.bias_ids.push_back(id), draw_.bias_values.push_back(value);
      draw_.bias_start.push_back(static_cast<std::int32_t>(draw_.bias_ids.size()));
    }
  }
}

void generator::accept(sequence& s, std::size_t row,
                       std::function<void(std::size_t, std::string const&)> const& on_text) {
  completion&        result = s.result;
  std::int32_t const id     = out_.ids[row];
  if (!result.asked.ignore_eos && options_.end_ids.contains(id)) {
    result.reason = finish::stop;
    s.done        = true;
  } else {
    s.tokens.push_back(id);
    result.ids.push_back(id);
    if (result.asked.logprobs > 0) {
      token_logprob t{id, out_.logprobs[row], {}};
      auto const    first = row * static_cast<std::size_t>(draw_.top_logprobs);
      for (std::size_t k = first; k < first + static_cast<std::size_t>(result.asked.logprobs); ++k)
        t.top.emplace_back(out_.top_ids[k], out_.top_logprobs[k]);
      result.logprobs.push_back(std::move(t));
    }
    std::string const piece = s.stream ? s.stream->feed(id) : std::string();
    result.text += piece;
    if (!piece.empty()) on_text(result.asked.index, piece);
    if (s.stream && s.stream->stopped()) {
      result.reason = finish::stop;
      s.done        = true;
    } else if (result.ids.size() == s.limit) {
      result.reason = finish::length;
      s.done        = true;
    }
  }
  if (s.done && s.stream) {
    std::string const rest = s.stream->finish();
    result.text += rest;
    if (!rest.empty()) on_text(result.asked.index, rest);
  }
}

}  // namespace tenon::engine
