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

namespace {

/// One more row of a table, filled up to `width`.
void add_row(std::vector<std::int32_t>& table, std::span<std::int32_t const> row, std::size_t width) {
  table.insert(table.end(), row.begin(), row.end());
  table.resize(table.size() + width - row.size(), no_block);
}

}  // namespace

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
    append(ids.subspan(done, count));
    token_run const step{static_cast<std::int32_t>(first), static_cast<std::int32_t>(count)};
    pass({&step, 1}, rows, watch);
    // What a query misses most comes back, and the query is asked again, until it misses nothing.
    while (may_rebuild() && rebuild_above(count)) {
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

/// Places for `ids` at the end of every list.
void compressed_cache::append(std::span<std::int32_t const> ids) {
  auto const first = static_cast<std::int32_t>(ids_.size());
  auto const more  = [&](head_cache const& h) { return pages_of(h.kept.size() + ids.size()) - h.pages.size(); };
  for (layer_cache const& l : layers_) {
    std::size_t wanted = 0;
    for (head_cache const& h : l.heads) wanted += more(h);
    require_pages(l, wanted, "--max-model-len", "a text does not fit the KV cache");
  }
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  for (layer_cache& l : layers_)
    for (head_cache& h : l.heads) {
      auto const held = h.pages.size();
      h.pages.resize(held + more(h));
      throw_if(l.pool.allocate(std::span(h.pages).subspan(held)));
      for (auto t = first; t < static_cast<std::int32_t>(ids_.size()); ++t) h.kept.push_back(t), h.fresh.push_back(t);
    }
}

void compressed_cache::require_pages(layer_cache const& l, std::size_t wanted, char const* option, char const* what) {
  if (auto const free = static_cast<std::size_t>(l.pool.free_blocks()); wanted > free)
    throw wrong(option, what, std::to_string(free) + " free head pages of a layer",
                "at least " + std::to_string(wanted));
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
  bool const        for_rebuild = may_rebuild();
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
        add_row(places.block_table, h.pages, pages);
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
  layer_cache& l     = layers_[static_cast<std::size_t>(layer)];
  auto const   pages = l.heads.front().pages.size();  // of each head: they have all tokens
  std::size_t  most  = 0;
  for (auto const& list : kept) most = std::max(most, list.size());
  head_moves moves;
  moves.max_pages = static_cast<std::int32_t>(pages), moves.max_tokens = static_cast<std::int32_t>(most);
  for (std::size_t h = 0; h < l.heads.size(); ++h) {
    add_row(moves.from_table, l.heads[h].pages, pages);
    add_row(moves.from, kept[h], most);
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

bool compressed_cache::may_rebuild() const {
  return how_.rebuild &&
         std::any_of(layers_.begin(), layers_.end(), [](layer_cache const& l) { return !l.dropped.empty(); });
}

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
  std::vector<bool> missed(span_count(), false);
  bool              any = false;
  for (std::size_t s = 0; s < share.size(); ++s)
    if (share[s] >= *how_.rebuild)
      for (layer_cache const& l : layers_)
        if (l.dropped.holds(s)) missed[s] = any = true;
  if (any) rebuild(missed);
  return any;
}

void compressed_cache::rebuild() { rebuild(std::vector<bool>(span_count(), true)); }

void compressed_cache::rebuild(std::vector<bool> const& spans) {
  if (spans.size() < span_count()) throw error("internal: too few spans");
  // Tokens that any head lacks; runs of them are what one request feeds.
  auto const             span = static_cast<std::size_t>(how_.span);
  std::vector<bool>      lacking(ids_.size(), false);
  std::vector<token_run> runs;
  for (layer_cache const& l : layers_)
    for (head_cache const& h : l.heads)
      for (token_run const& run : dropped_runs(h.kept, static_cast<std::int32_t>(ids_.size())))
        for (std::int32_t t = run.first; t < run.first + run.tokens; ++t)
          if (spans[static_cast<std::size_t>(t) / span]) lacking[static_cast<std::size_t>(t)] = true;
  for (std::size_t t = 0; t < lacking.size(); ++t) {
    if (!lacking[t]) continue;
    if (runs.empty() || runs.back().first + runs.back().tokens != static_cast<std::int32_t>(t))
      runs.push_back({static_cast<std::int32_t>(t), 0});
    ++runs.back().tokens;
  }
  if (runs.empty()) return;

  std::vector<std::vector<grown_head>> grown(layers_.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    std::size_t wanted = 0;
    for (head_cache const& h : layers_[i].heads) wanted += grown[i].emplace_back(grow(h, runs)).pages;
    require_pages(layers_[i], wanted, "--kv-rebuild", "tokens that come back do not fit the KV cache");
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    make_room(static_cast<int>(i), std::move(grown[i]));
    for (std::size_t s = 0; s < spans.size(); ++s)
      if (spans[s]) layers_[i].dropped.forget(s);
  }
  for (token_run const& run : runs) counts_.rebuilt += run.tokens;
  pass(runs, wanted::none, {});
  ++counts_.rebuildings;
}

/// The list of a head with the tokens of `runs`.
compressed_cache::grown_head compressed_cache::grow(head_cache const& h, std::span<token_run const> runs) const {
  grown_head g;
  auto       old  = h.kept.begin();
  auto const stay = [&] {
    g.kept.push_back(*old), g.from.push_back(static_cast<std::int32_t>(old++ - h.kept.begin()));
  };
  for (token_run const& r : runs)
    for (std::int32_t t = r.first; t < r.first + r.tokens; ++t) {
      while (old != h.kept.end() && *old < t) stay();
      if (old != h.kept.end() && *old == t) stay();
      else g.kept.push_back(t), g.from.push_back(-1), g.fresh.push_back(t);
    }
  while (old != h.kept.end()) stay();
  // The page of the first token that comes back is the first one that changes.
  auto const size = static_cast<std::size_t>(limits_.block_size);
  if (g.fresh.empty()) {
    g.first = h.pages.size(), g.from.clear();
    return g;
  }
  g.first = static_cast<std::size_t>(std::find(g.from.begin(), g.from.end(), -1) - g.from.begin()) / size;
  g.from.erase(g.from.begin(), g.from.begin() + static_cast<std::ptrdiff_t>(g.first * size));
  g.pages = pages_of(g.from.size());
  return g;
}

/// The heads of a layer become `grown`: what is kept behind the tokens that come back moves, to new pages.
void compressed_cache::make_room(int layer, std::vector<grown_head>&& grown) {
  layer_cache& l     = layers_[static_cast<std::size_t>(layer)];
  std::size_t  pages = 0, tokens = 0;
  for (std::size_t h = 0; h < grown.size(); ++h) {
    pages  = std::max({pages, l.heads[h].pages.size(), grown[h].pages});
    tokens = std::max(tokens, grown[h].from.size());
  }
  if (tokens == 0) return;

  std::vector<std::vector<block_id>> fresh;
  head_moves                         moves;
  moves.max_pages = static_cast<std::int32_t>(pages), moves.max_tokens = static_cast<std::int32_t>(tokens);
  for (std::size_t h = 0; h < grown.size(); ++h) {
    throw_if(l.pool.allocate(fresh.emplace_back(grown[h].pages)));
    add_row(moves.from_table, l.heads[h].pages, pages);
    add_row(moves.to_table, fresh[h], pages);
    add_row(moves.from, grown[h].from, tokens);
    moves.tokens.push_back(static_cast<std::int32_t>(grown[h].from.size()));
  }
  model_.move_tokens(layer, moves);
  for (std::size_t h = 0; h < grown.size(); ++h) {
    head_cache& head  = l.heads[h];
    auto const  stale = std::span<block_id const>(head.pages).subspan(grown[h].first);
    counts_.rebuilt_bytes += (static_cast<std::int64_t>(fresh[h].size()) - static_cast<std::int64_t>(stale.size())) *
                             model_.head_page_bytes(layer);
    throw_if(l.pool.release(stale));
    head.pages.resize(grown[h].first);
    head.pages.insert(head.pages.end(), fresh[h].begin(), fresh[h].end());
    head.kept = std::move(grown[h].kept), head.fresh = std::move(grown[h].fresh);
  }
}

}  // namespace tenon::engine
