#include "engine/generation/compressed_cache.hpp"

#include <tenon/core/integer.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/kv/freed_pages.hpp>
#include <tenon/position/rope_table.hpp>

#include <algorithm>
#include <string>
#include <utility>

#include "engine/error.hpp"
#include "engine/generation/token_selection.hpp"
#include "engine/model/rope_scaling.hpp"

namespace tenon::engine {

void compression_counts::add(compression_counts const& o) {
  tokens += o.tokens, kept += o.kept, pages += o.pages, freed_pages += o.freed_pages, freed_bytes += o.freed_bytes;
  ideal_bytes += o.ideal_bytes, bytes += o.bytes, summary_bytes += o.summary_bytes, rebuilt += o.rebuilt;
  repeated += o.repeated, rebuildings += o.rebuildings, rebuilt_bytes += o.rebuilt_bytes;
}

std::int64_t compressed_cache::pages_wanted(model_config const& config, kv_cache_format format,
                                            scorer_options const& limits, kv_compression const& how) {
  std::int64_t const pages = pages_for(static_cast<std::size_t>(limits.max_length), limits);
  std::int64_t       most  = pages;
  for (layer_shape const& l : config.shapes) {
    if (l.heads == 0) continue;
    // Pages of one head may be larger than a head's part of a page: codes are rounded up.
    std::int64_t const all = page_bytes_of(format, limits.block_size, l.kv_heads, l.head_dim);
    std::int64_t const one = page_bytes_of(format, limits.block_size, 1, l.head_dim);
    most                   = std::max(most, ceil_div((how.rebuild ? 2 : 1) * pages * l.kv_heads * one, all));
  }
  return most;
}

compressed_cache::compressed_cache(decoder& model, model_config const& config, scorer_options const& limits, int runs,
                                   kv_compression const& how)
    : model_(model), config_(config), limits_(limits), runs_(runs), how_(how) {
  if (config.attention_soft_cap > 0)
    throw wrong("--kv-keep", "caps of attention logits are not supported", std::to_string(config.attention_soft_cap),
                "a model without attn_logit_softcapping");
  for (std::size_t i = 0; i < config.shapes.size(); ++i) {
    layer_shape const& shape = config.shapes[i];
    layer_cache        l{.shape        = shape,
                         .pool         = block_pool(static_cast<block_id>(model.head_pages(static_cast<int>(i)))),
                         .heads        = {},
                         .queries      = {},
                         .dropped      = {},
                         .compressible = shape.heads > 0 && config.windows[i] == 0};
    if (shape.heads > 0) l.heads.resize(static_cast<std::size_t>(shape.kv_heads));
    layers_.push_back(std::move(l));
  }
  step_queries_.resize(layers_.size());
}

std::span<std::int32_t const> compressed_cache::kept(int layer, int head) const {
  return layers_.at(static_cast<std::size_t>(layer)).heads.at(static_cast<std::size_t>(head)).kept;
}

std::int64_t compressed_cache::used_pages() const {
  std::int64_t pages = 0;
  for (layer_cache const& l : layers_) pages += l.pool.used_blocks();
  return pages;
}

// ---- new tokens

void compressed_cache::feed(std::span<std::int32_t const> ids, wanted rows, visitor const& visit, tap const& watch) {
  if (ids.size() > static_cast<std::size_t>(limits_.max_length) - ids_.size())
    throw wrong("--max-model-len", "a text is longer than the model", std::to_string(ids_.size() + ids.size()),
                "at most " + std::to_string(limits_.max_length));
  bool const        all   = rows == wanted::all;
  std::size_t const chunk = static_cast<std::size_t>(all ? std::min(limits_.max_batched_tokens, limits_.max_rows)
                                                         : limits_.max_batched_tokens);
  for (std::size_t done = 0; done < ids.size();) {
    std::size_t const count = std::min(chunk, ids.size() - done), first = ids_.size();
    ids_.insert(ids_.end(), ids.begin() + static_cast<std::ptrdiff_t>(done),
                ids.begin() + static_cast<std::ptrdiff_t>(done + count));
    append(count);
    token_run const step{static_cast<std::int32_t>(first), static_cast<std::int32_t>(count)};
    pass({&step, 1}, rows, watch);
    // What a query misses most comes back, and the query is asked again, until it misses nothing.
    while (how_.rebuild && rebuild_above(count)) {
      for (layer_cache& l : layers_)
        for (head_cache& h : l.heads) h.fresh.assign(h.kept.end() - static_cast<std::ptrdiff_t>(count), h.kept.end());
      pass({&step, 1}, rows, watch);
      counts_.repeated += static_cast<std::int64_t>(count);
    }
    done += count;
    if (!visit) continue;
    model_.read_logits(logits_);
    std::size_t const given = all ? count : 1, vocabulary = logits_.size() / given;
    for (std::size_t i = 0; i < given; ++i)
      visit(first + count - given + i, std::span<float const>(logits_).subspan(i * vocabulary, vocabulary));
  }
}

/// Places for the last `count` tokens at the end of every list.
void compressed_cache::append(std::size_t count) {
  auto const first = static_cast<std::int32_t>(ids_.size() - count);
  for (layer_cache& l : layers_)
    for (head_cache& h : l.heads) {
      for (std::size_t i = 0; i < count; ++i) {
        h.kept.push_back(first + static_cast<std::int32_t>(i));
        h.fresh.push_back(first + static_cast<std::int32_t>(i));
      }
      give_pages(l, h, h.kept.size());
    }
}

void compressed_cache::give_pages(layer_cache& l, head_cache& h, std::size_t count) {
  auto const size = static_cast<std::size_t>(limits_.block_size);
  while (h.pages.size() * size < count) {
    block_id const page = l.pool.allocate();
    if (page == no_block)
      throw wrong("--max-model-len", "a text does not fit the KV cache",
                  std::to_string(l.pool.blocks()) + " head pages", "more");
    h.pages.push_back(page);
  }
}

/// One pass over `runs` of tokens that have places, in as many steps as the limits ask for. Nothing is fresh any more.
void compressed_cache::pass(std::span<token_run const> runs, wanted rows, tap const& watch) {
  auto const             most = static_cast<std::int32_t>(limits_.max_batched_tokens);
  std::vector<token_run> step;
  std::int32_t           room = most;
  for (token_run left : runs)
    while (left.tokens > 0) {
      token_run const part{left.first, std::min(left.tokens, room)};
      step.push_back(part);
      left.first += part.tokens, left.tokens -= part.tokens, room -= part.tokens;
      if (room > 0 && step.size() < static_cast<std::size_t>(runs_)) continue;
      run(step, rows, watch);
      step.clear(), room = most;
    }
  if (!step.empty()) run(step, rows, watch);
  for (layer_cache& l : layers_)
    for (head_cache& h : l.heads) h.fresh.clear();
}

void compressed_cache::run(std::span<token_run const> runs, wanted rows, tap const& watch) {
  lay_out(runs, rows);
  // Queries of the last tokens that scores will look at.
  std::size_t const scored      = compressed_ || how_.keep == 1 ? 0 : queries_wanted(how_, ids_.size());
  bool const        for_rebuild = compressed_ && how_.rebuild.has_value();
  if (!watch && scored == 0 && !for_rebuild) return model_.forward(step_);
  stage_reader const look(model_, [&](tap_site const& s, std::vector<float>& values) {
    if (s.what == stage::q_rotated) {
      auto const layer = static_cast<std::size_t>(s.layer);
      if (for_rebuild) step_queries_[layer] = values;
      if (scored > 0 && layers_[layer].compressible) {
        std::vector<float>& all = layers_[layer].queries;
        all.insert(all.end(), values.begin(), values.end());
        if (std::size_t const most = scored * s.width; all.size() > most)
          all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(most));
      }
    }
    return watch ? watch(s, values) : false;
  });
  model_.forward(step_);
}

/// The step of `runs`, each a request of its own: its tokens lie side by side in the list of every head.
void compressed_cache::lay_out(std::span<token_run const> runs, wanted rows) {
  step_.clear();
  step_.query_start.push_back(0);
  for (token_run const& r : runs) {
    for (std::int32_t t = r.first; t < r.first + r.tokens; ++t) {
      step_.ids.push_back(ids_[static_cast<std::size_t>(t)]);
      step_.positions.push_back(t);
    }
    step_.query_start.push_back(static_cast<std::int32_t>(step_.ids.size()));
    step_.kv_length.push_back(r.first + r.tokens);  // of the longest list there may be
  }
  std::size_t pages = 1;
  for (layer_cache const& l : layers_)
    for (head_cache const& h : l.heads) pages = std::max(pages, h.pages.size());
  step_.max_pages     = static_cast<std::int32_t>(pages);
  head_places& places = step_.heads;
  for (layer_cache const& l : layers_)
    for (head_cache const& h : l.heads)
      for (token_run const& r : runs) {
        auto const at    = std::lower_bound(h.kept.begin(), h.kept.end(), r.first) - h.kept.begin();
        auto       fresh = std::lower_bound(h.fresh.begin(), h.fresh.end(), r.first);
        for (std::int32_t i = 0; i < r.tokens; ++i) {
          bool const     computed = fresh != h.fresh.end() && *fresh == r.first + i;
          std::int64_t   place    = at + i;
          block_id const page     = h.pages[static_cast<std::size_t>(place / limits_.block_size)];
          places.slots.push_back(computed ? std::int64_t{page} * limits_.block_size + place % limits_.block_size : -1);
          if (computed) ++fresh;
        }
        places.kv_length.push_back(static_cast<std::int32_t>(at) + r.tokens);
        places.block_table.insert(places.block_table.end(), h.pages.begin(), h.pages.end());
        places.block_table.resize(places.block_table.size() + pages - h.pages.size(), no_block);
      }

  auto const         count = static_cast<std::int32_t>(step_.ids.size());
  std::int32_t const first = rows == wanted::all ? 0 : rows == wanted::last ? count - 1 : count;
  for (std::int32_t i = first; i < count; ++i) step_.logit_rows.push_back(i);
}

// ---- compression

void compressed_cache::compress() {
  if (compressed_) throw error("internal: a cache is compressed twice");
  compressed_                     = true;
  auto const               tokens = static_cast<std::int64_t>(ids_.size());
  auto const               size   = static_cast<std::int64_t>(limits_.block_size);
  std::vector<std::size_t> places;  // of the layers that have tokens to give
  for (std::size_t i = 0; i < layers_.size(); ++i)
    if (layers_[i].compressible) places.push_back(i);
  std::vector<index_t> budgets;
  bool const some = how_.keep < 1 && tokens_kept(how_, tokens) >= always_kept{how_.sinks, how_.recent}.count(tokens);
  if (some) budgets = layer_budgets(how_, static_cast<std::int64_t>(places.size()), tokens, size);

  for (std::size_t n = 0; n < places.size(); ++n) {
    auto const   layer    = static_cast<int>(places[n]);
    layer_cache& l        = layers_[places[n]];
    auto const   kv_heads = l.shape.kv_heads, bytes = model_.head_page_bytes(layer);
    auto const   all_pages = static_cast<std::int64_t>(l.pool.used_blocks());
    counts_.tokens += tokens * kv_heads, counts_.pages += all_pages, counts_.bytes += all_pages * bytes;
    counts_.kept += tokens * kv_heads;
    if (!some) continue;

    std::vector<std::int32_t> table;
    for (head_cache const& h : l.heads) table.insert(table.end(), h.pages.begin(), h.pages.end());
    std::vector<float> k, v, scores;
    model_.read_keys(layer, table, k);
    if (wants_values(how_.score)) model_.read_values(layer, table, v);
    layer_tokens const of{.heads    = l.shape.heads,
                          .kv_heads = kv_heads,
                          .head_dim = l.shape.head_dim,
                          .tokens   = tokens,
                          .stride   = static_cast<std::int64_t>(l.heads.front().pages.size()) * size,
                          .scale    = static_cast<float>(config_.attention_scale),
                          .k        = k,
                          .v        = v,
                          .q        = l.queries,
                          .cos_sin  = rope_table()};
    score_tokens(scores, how_, of, layer);
    kept_tokens const kept = select_tokens(how_, scores, kv_heads, tokens, budgets[n], size);
    if (how_.rebuild) l.dropped = dropped_spans(of, kept, how_.span, how_.rebuild_by);
    counts_.summary_bytes += static_cast<std::int64_t>(l.dropped.bytes());
    l.queries = {};
    drop(layer, kept);
  }
}

/// Empty where the score does not turn queries.
tensor_view<float const, 2> compressed_cache::rope_table() {
  if (how_.score != kv_score::expected) return {};
  index_t const positions = limits_.max_length, rotary = config_.rotary_dim();
  if (cos_sin_.empty()) {
    cos_sin_.resize(static_cast<std::size_t>(positions * rotary));
    throw_if(fill_rope_table(dense(cos_sin_.data(), positions, rotary), config_.rope_theta,
                             scaling_of(config_.rope_scaling)));
  }
  return dense(std::as_const(cos_sin_).data(), positions, rotary);
}

/// Leaves the tokens `kept` of each head of a layer.
void compressed_cache::drop(int layer, kept_tokens const& kept) {
  layer_cache& l = layers_[static_cast<std::size_t>(layer)];
  head_moves   moves;
  for (std::size_t h = 0; h < l.heads.size(); ++h) {
    moves.max_pages  = std::max(moves.max_pages, static_cast<std::int32_t>(l.heads[h].pages.size()));
    moves.max_tokens = std::max(moves.max_tokens, static_cast<std::int32_t>(kept[h].size()));
  }
  for (std::size_t h = 0; h < l.heads.size(); ++h) {
    head_cache& head = l.heads[h];
    moves.from_table.insert(moves.from_table.end(), head.pages.begin(), head.pages.end());
    moves.from_table.resize((h + 1) * static_cast<std::size_t>(moves.max_pages), no_block);
    moves.from.insert(moves.from.end(), kept[h].begin(), kept[h].end());
    moves.from.resize((h + 1) * static_cast<std::size_t>(moves.max_tokens), -1);
    moves.tokens.push_back(static_cast<std::int32_t>(kept[h].size()));
  }
  moves.to_table = moves.from_table;
  model_.move_tokens(layer, moves);

  std::int64_t const bytes = model_.head_page_bytes(layer), size = limits_.block_size;
  for (std::size_t h = 0; h < l.heads.size(); ++h) {
    head_cache& head = l.heads[h];
    auto const  held = static_cast<index_t>(head.kept.size()), left = static_cast<index_t>(kept[h].size());
    auto const  freed = freed_pages(head.pages, held, left, size);
    auto const  count = static_cast<std::int64_t>(freed.size());
    throw_if(l.pool.release(freed));
    counts_.kept -= held - left, counts_.freed_pages += count, counts_.freed_bytes += count * bytes;
    counts_.ideal_bytes += (held - left) * bytes / size;
    head.pages.resize(head.pages.size() - freed.size());
    head.kept = kept[h];
  }
}

// ---- what was dropped comes back

/// Brings back the spans of which any of the last step's `tokens` queries, in any head, would give what was dropped at
/// least the bound; whether there were any.
bool compressed_cache::rebuild_above(std::size_t tokens) {
  model_.read_attention_lse(lse_);
  std::vector<float> share;
  std::size_t        before = 0;  // numbers of lse_
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    std::size_t const count = tokens * static_cast<std::size_t>(layers_[i].shape.heads);
    layers_[i].dropped.raise_to_shares(share, step_queries_[i], std::span<float const>(lse_).subspan(before, count),
                                       static_cast<float>(config_.attention_scale));
    before += count;
  }
  std::vector<bool> missed(ids_.size() / static_cast<std::size_t>(how_.span) + 1, false);
  bool              any = false;
  for (std::size_t s = 0; s < share.size(); ++s)
    if (share[s] >= *how_.rebuild)
      for (layer_cache const& l : layers_)
        if (l.dropped.holds(s)) missed[s] = any = true;
  if (any) rebuild(missed);
  return any;
}

void compressed_cache::rebuild() {
  rebuild(std::vector<bool>(ids_.size() / static_cast<std::size_t>(how_.span) + 1, true));
}

void compressed_cache::rebuild(std::vector<bool> const& spans) {
  if (spans.size() <= ids_.size() / static_cast<std::size_t>(how_.span)) throw error("internal: too few spans");
  // Tokens that any head lacks; runs of them are what one request feeds.
  auto const             span = static_cast<std::size_t>(how_.span);
  std::vector<bool>      lacking(ids_.size(), false);
  std::vector<token_run> runs;
  for (layer_cache& l : layers_)
    for (head_cache& h : l.heads) {
      for (token_run const& run : dropped_runs(h.kept, static_cast<std::int32_t>(ids_.size())))
        for (std::int32_t t = run.first; t < run.first + run.tokens; ++t)
          if (spans[static_cast<std::size_t>(t) / span]) lacking[static_cast<std::size_t>(t)] = true;
    }
  for (std::size_t s = 0; s < spans.size(); ++s)
    for (layer_cache& l : layers_)
      if (spans[s]) l.dropped.forget(s);
  for (std::size_t t = 0; t < lacking.size(); ++t) {
    if (!lacking[t]) continue;
    if (runs.empty() || runs.back().first + runs.back().tokens != static_cast<std::int32_t>(t))
      runs.push_back({static_cast<std::int32_t>(t), 0});
    ++runs.back().tokens, ++counts_.rebuilt;
  }
  if (runs.empty()) return;
  for (std::size_t i = 0; i < layers_.size(); ++i) make_room(static_cast<int>(i), runs);
  pass(runs, wanted::none, {});
  ++counts_.rebuildings;
}

/// The tokens of `runs` get places in the lists of a layer's heads that lack them; what is kept behind them moves, to
/// new pages.
void compressed_cache::make_room(int layer, std::span<token_run const> runs) {
  layer_cache& l    = layers_[static_cast<std::size_t>(layer)];
  auto const   size = static_cast<std::size_t>(limits_.block_size);
  struct change {
    std::vector<std::int32_t> kept, from;  // from: where a token of the new list was in the old one; -1: nowhere
    std::vector<block_id>     pages;       // of the new list, from page `first` on
    std::size_t               first = 0;
  };
  std::vector<change> changes;
  head_moves          moves;
  for (head_cache& h : l.heads) {
    change& c   = changes.emplace_back();
    auto    old = h.kept.begin();
    for (token_run const& r : runs)
      for (std::int32_t t = r.first; t < r.first + r.tokens; ++t) {
        for (; old != h.kept.end() && *old < t; ++old)
          c.kept.push_back(*old), c.from.push_back(static_cast<std::int32_t>(old - h.kept.begin()));
        if (old != h.kept.end() && *old == t) continue;
        c.kept.push_back(t), c.from.push_back(-1), h.fresh.push_back(t);
      }
    for (; old != h.kept.end(); ++old)
      c.kept.push_back(*old), c.from.push_back(static_cast<std::int32_t>(old - h.kept.begin()));
    auto const here = static_cast<std::size_t>(std::find(c.from.begin(), c.from.end(), -1) - c.from.begin());
    c.first         = here == c.from.size() ? h.pages.size() : here / size;
    c.from.erase(c.from.begin(), c.from.begin() + static_cast<std::ptrdiff_t>(std::min(c.first * size, c.from.size())));
    head_cache grown;
    give_pages(l, grown, here == c.kept.size() ? 0 : c.kept.size() - c.first * size);
    c.pages         = std::move(grown.pages);
    moves.max_pages = std::max(
        {moves.max_pages, static_cast<std::int32_t>(h.pages.size()), static_cast<std::int32_t>(c.pages.size())});
    moves.max_tokens = std::max(moves.max_tokens, static_cast<std::int32_t>(c.from.size()));
  }
  if (moves.max_tokens == 0) return;

  auto const pages = static_cast<std::size_t>(moves.max_pages), tokens = static_cast<std::size_t>(moves.max_tokens);
  for (std::size_t h = 0; h < l.heads.size(); ++h) {
    change const& c = changes[h];
    moves.from_table.insert(moves.from_table.end(), l.heads[h].pages.begin(), l.heads[h].pages.end());
    moves.from_table.resize((h + 1) * pages, no_block);
    moves.to_table.insert(moves.to_table.end(), c.pages.begin(), c.pages.end());
    moves.to_table.resize((h + 1) * pages, no_block);
    moves.from.insert(moves.from.end(), c.from.begin(), c.from.end());
    moves.from.resize((h + 1) * tokens, -1);
    moves.tokens.push_back(static_cast<std::int32_t>(c.from.size()));
  }
  model_.move_tokens(layer, moves);
  for (std::size_t h = 0; h < l.heads.size(); ++h) {
    head_cache& head = l.heads[h];
    auto const  stay = static_cast<std::ptrdiff_t>(changes[h].first);
    auto const  more =
        stay + static_cast<std::ptrdiff_t>(changes[h].pages.size()) - static_cast<std::ptrdiff_t>(head.pages.size());
    counts_.rebuilt_bytes += more * model_.head_page_bytes(layer);
    throw_if(l.pool.release(std::span<block_id const>(head.pages).subspan(static_cast<std::size_t>(stay))));
    head.pages.resize(static_cast<std::size_t>(stay));
    head.pages.insert(head.pages.end(), changes[h].pages.begin(), changes[h].pages.end());
    head.kept = std::move(changes[h].kept);
  }
}

}  // namespace tenon::engine
