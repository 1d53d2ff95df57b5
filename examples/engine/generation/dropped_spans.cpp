#include "engine/generation/dropped_spans.hpp"

#include <tenon/core/throw_if.hpp>
#include <tenon/kv/span_mass.hpp>
#include <tenon/kv/span_summary.hpp>

#include <algorithm>
#include <utility>

namespace tenon::engine {

namespace {

kv_span_summary summary_of(std::vector<float>& least, std::vector<float>& most, std::vector<float>& mean,
                           std::vector<float>& count, index_t spans, index_t kv_heads, index_t head_dim) {
  auto const view = [&](std::vector<float>& of) { return dense(of.data(), spans, kv_heads, head_dim); };
  return {view(least), view(most), view(mean), dense(count.data(), spans, kv_heads)};
}

}  // namespace

dropped_spans::dropped_spans(layer_tokens const& of, kept_tokens const& kept, std::int64_t span, kv_estimate by)
    : heads_(of.heads), kv_heads_(of.kv_heads), head_dim_(of.head_dim), by_(by) {
  for (std::int64_t first = 0; first < of.tokens; first += span)
    spans_.insert(spans_.end(),
                  {0, static_cast<std::int32_t>(first), static_cast<std::int32_t>(std::min(span, of.tokens - first))});
  std::size_t widest = 1;
  for (auto const& list : kept) widest = std::max(widest, list.size());
  std::vector<std::int32_t> lists, lengths;
  for (auto const& list : kept) {
    lists.insert(lists.end(), list.begin(), list.end());
    lists.resize(lists.size() + widest - list.size(), -1);
    lengths.push_back(static_cast<std::int32_t>(list.size()));
  }
  auto const rows = spans() * kept.size(), numbers = rows * static_cast<std::size_t>(head_dim_);
  least_.resize(numbers), most_.resize(numbers), mean_.resize(numbers), count_.resize(rows);
  auto const        count = static_cast<index_t>(spans());
  layer_pages const pages(of);
  throw_if(span_summary(context{}, summary_of(least_, most_, mean_, count_, count, kv_heads_, head_dim_),
                        pages.of(of.k), pages.sequences(), dense(std::as_const(spans_).data(), count, index_t{3}),
                        dense(std::as_const(lists).data(), index_t{1}, kv_heads_, static_cast<index_t>(widest)),
                        dense(std::as_const(lengths).data(), index_t{1}, kv_heads_)));
  if (by == kv_estimate::mean) least_ = {}, most_ = {};
}

bool dropped_spans::holds(std::size_t span) const {
  if (span >= spans()) return false;
  auto const first = count_.begin() + static_cast<std::ptrdiff_t>(span) * kv_heads_;
  return std::any_of(first, first + kv_heads_, [](float n) { return n > 0; });
}

bool dropped_spans::empty() const {
  return std::none_of(count_.begin(), count_.end(), [](float n) { return n > 0; });
}

void dropped_spans::forget(std::size_t span) {
  if (span < spans()) std::fill_n(count_.begin() + static_cast<std::ptrdiff_t>(span) * kv_heads_, kv_heads_, 0.f);
}

void dropped_spans::raise_to_shares(std::vector<float>& share, std::span<float const> q, std::span<float const> lse,
                                    float scale) const {
  if (spans() == 0) return;
  auto const         count = static_cast<index_t>(spans()), queries = static_cast<index_t>(lse.size()) / heads_;
  std::int32_t const starts[] = {0, static_cast<std::int32_t>(queries)};
  std::vector<float> upper(count_.size()), guess(count_.size());
  bool const         mean = by_ == kv_estimate::mean;  // keys without any range: the guess of as many mean keys
  throw_if(
      span_mass(context{}, dense(upper.data(), count, kv_heads_), dense(guess.data(), count, kv_heads_),
                summary_of(mean ? mean_ : least_, mean ? mean_ : most_, mean_, count_, count, kv_heads_, head_dim_),
                dense(std::as_const(spans_).data(), count, index_t{3}), dense(q.data(), queries, heads_, head_dim_),
                dense(lse.data(), queries, heads_), dense(starts, index_t{2}), scale));
  auto const& shares = by_ == kv_estimate::bound ? upper : guess;
  share.resize(std::max(share.size(), spans()), 0.f);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    float& most = share[i / static_cast<std::size_t>(kv_heads_)];
    most        = std::max(most, shares[i]);
  }
}

}  // namespace tenon::engine
