#pragma once
//  The decoder on this translation unit's target, in T: Llama, Mistral, Qwen2, Qwen3 and Gemma 2 layers from the library's
//  operators.
//
//    x = embedding(ids)
//    for each layer:  h = norm(x);  q, k, v = h Wqkv;  rope(q, k);  append(k, v);  x = x + attention(q, cache) Wo
//                     h = norm(x);  x = x + (silu(h Wgate) * (h Wup)) Wdown
//    logits = norm(x[wanted rows]) Whead
//
//  Some models norm q and k by heads, cap logits, let a layer see a window of keys, or norm what a half of a layer adds.
#include <tenon/core/throw_if.hpp>
#include <tenon/embedding/embedding_gather.hpp>
#include <tenon/gemm/gemm.hpp>
#include <tenon/norm/rms_norm.hpp>
#include <tenon/op/epilogue.hpp>
#include <tenon/position/rope_table.hpp>
#include <tenon/sampling/logprobs.hpp>
#include <tenon/sampling/penalties.hpp>
#include <tenon/sampling/sample.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/model/decoder.hpp"
#include "engine/model/kv_attention.hpp"
#include "engine/model/linear.hpp"
#include "engine/model/memory.hpp"
#include "engine/model/rope_scaling.hpp"
#include "engine/model/weights.hpp"

namespace tenon::engine::inline TENON_TARGET {

/// The gate of a config's MLP; setup refuses the kinds that are not here.
inline gate_activation gate_of(activation_kind kind) {
  switch (kind) {
    case activation_kind::gelu_tanh: return {1.59576912f, 1.59576912f * 0.044715f};
    case activation_kind::gelu_quick: return {1.702f, 0};
    default: return {};
  }
}

template <class T>
class device_decoder final : public decoder {
 public:
  device_decoder(model_config const& config, checkpoint const* files, std::uint64_t seed,
                 decoder_options const& options)
      : config_(config),
        options_(options),
        weights_(load_weights<T>(config_, weight_loader(config_, files, seed, format_for<T>, options_.load))) {
    make_context();
    make_rope_table();
    make_activations();
    make_cache();
  }

  std::int64_t pages() const override { return pages_; }

  void copy_pages(std::span<block_copy const> copies) override {
    while (!copies.empty()) {  // those of one launch are made at once
      auto const together = copies.first(independent_copies(copies));
      copy_entries_.clear();
      for (block_copy const& c : together) {
        if (c.from < 0 || c.from >= pages_ || c.to < 0 || c.to >= pages_ || c.tokens > options_.block_size)
          throw error("internal: a copy of pages that the cache does not have");
        copy_entries_.insert(copy_entries_.end(), {c.from, c.to, c.tokens});
      }
      grow(copies_, copy_entries_);
      for (std::size_t i = 0; i < weights_.layers.size(); ++i)
        if (weights_.layers[i].shape.heads > 0)
          throw_if(copy_tokens(context_, cache_[i].memory(),
                               std::as_const(copies_).view(static_cast<index_t>(together.size()), index_t{3})));
      copies = copies.subspan(together.size());
    }
  }

  std::int64_t head_pages(int layer) const override { return of(layer).head_pages(); }
  std::int64_t head_page_bytes(int layer) const override { return 2 * of(layer).head_page_bytes(); }

  void move_tokens(int layer, head_moves const& m) override {
    index_t const kv_heads = weights_.layers.at(static_cast<std::size_t>(layer)).shape.kv_heads;
    grow(from_table_, m.from_table), grow(to_table_, m.to_table), grow(moved_, m.from), grow(moved_tokens_, m.tokens);
    auto const table = [&](array<std::int32_t> const& a, std::int32_t width) {
      return a.view(index_t{1}, kv_heads, index_t{width});
    };
    throw_if(engine::TENON_TARGET::move_tokens(
        context_, cache_.at(static_cast<std::size_t>(layer)).of_one_head(),
        {table(from_table_, m.max_pages), table(to_table_, m.max_pages), table(moved_, m.max_tokens),
         std::as_const(moved_tokens_).view(index_t{1}, kv_heads)}));
  }

  void read_keys(int layer, std::span<std::int32_t const> pages, std::vector<float>& keys) override {
    read_head_pages(of(layer).k, of(layer), 0, pages, keys);
  }
  void read_values(int layer, std::span<std::int32_t const> pages, std::vector<float>& values) override {
    read_head_pages(of(layer).v, of(layer), 1, pages, values);
  }

  void read_attention_lse(std::vector<float>& lse) const override {
    lse.resize(static_cast<std::size_t>(tokens_ * all_heads_));
    lse_.download(lse);
  }

  void forward(step_batch const& batch) override {
    upload(batch);
    if (tokens_ == 0) return;
    auto x = x_.view(tokens_, config_.hidden);
    auto h = h_.view(tokens_, config_.hidden);
    throw_if(embedding_gather(context_, x, embedding_view(), ids_.view(tokens_), epilogue::scale(embedding_scale())));
    show(stage::embedding, -1, x_, tokens_, config_.hidden);
    for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
      auto const& layer = weights_.layers[i];
      layer_            = static_cast<int>(i);
      if (layer.shape.heads > 0) attention(layer, cache_[i], config_.windows[i], x, h);
      if (layer.shape.intermediate > 0) mlp(layer, x, h);
    }
    head(x);
  }

  void look_with(tap show) override { tap_ = std::move(show); }

  void read_logits(std::vector<float>& logits) const override {
    logits.resize(static_cast<std::size_t>(rows_) * static_cast<std::size_t>(config_.vocab_size));
    logits_.download(logits);
  }

  void draw(draw_batch const& batch, drawn& out) override {
    auto const rows   = static_cast<index_t>(batch.params.size());
    auto       logits = logits_.view(rows_, config_.vocab_size).slice(0, rows);
    auto const top    = static_cast<index_t>(batch.top_logprobs);
    if (rows == 0) return;
    grow(params_, batch.params);
    grow(drawn_ids_, rows);
    grow(drawn_logprobs_, rows);
    out.top_ids.resize(static_cast<std::size_t>(rows * top)),
        out.top_logprobs.resize(static_cast<std::size_t>(rows * top));
    if (top > 0) {
      grow(top_ids_, rows * top);
      grow(top_values_, rows * top);
      throw_if(top_logprobs(context_, top_ids_.view(rows, top), top_values_.view(rows, top), as_const(logits)));
      top_ids_.download(out.top_ids);
      top_values_.download(out.top_logprobs);
    }
    // Log-probabilities are the model's own, of the logits as they were.
    bool const changed = !batch.history_start.empty() || !batch.bias_start.empty();
    if (changed && top > 0) unchanged_.copy(logits_);
    if (!batch.history_start.empty()) {
      grow(history_, batch.history), grow(history_start_, batch.history_start),
          grow(prompt_length_, batch.prompt_length);
      throw_if(apply_penalties(context_, logits, std::as_const(params_).view(rows),
                               std::as_const(history_).view(static_cast<index_t>(batch.history.size())),
                               std::as_const(history_start_).view(rows + 1), std::as_const(prompt_length_).view(rows)));
    }
    if (!batch.bias_start.empty()) {
      grow(bias_ids_, batch.bias_ids), grow(bias_values_, batch.bias_values), grow(bias_start_, batch.bias_start);
      auto const entries = static_cast<index_t>(batch.bias_ids.size());
      throw_if(add_logit_bias(context_, logits, std::as_const(bias_ids_).view(entries),
                              std::as_const(bias_values_).view(entries), std::as_const(bias_start_).view(rows + 1)));
    }
    throw_if(sample(context_, drawn_ids_.view(rows), as_const(logits), std::as_const(params_).view(rows), {},
                    drawn_logprobs_.view(rows)));
    if (changed && top > 0)
      throw_if(token_logprobs(context_, drawn_logprobs_.view(rows),
                              std::as_const(unchanged_).view(rows, config_.vocab_size),
                              std::as_const(drawn_ids_).view(rows)));
    out.ids.resize(static_cast<std::size_t>(rows)), out.logprobs.resize(static_cast<std::size_t>(rows));
    drawn_ids_.download(out.ids);
    drawn_logprobs_.download(out.logprobs);
  }

 private:
  using rows_view = tensor_view<T, 2>;

  /// One layer's cache.
  struct layer_cache {
    array<std::byte> k, v;
    array<float>     scales;  // fp8: two fixed ones, or none
    kv_memory        shape;   // without addresses

    kv_memory memory() {
      kv_memory m = shape;
      m.k = k.data(), m.v = v.data();
      m.scales = scales.size() > 0 ? scales.data() : nullptr;
      return m;
    }

    /// The same memory as pages of one kv head. Of numbers, those of a page lie side by side, head after head.
    kv_memory of_one_head() {
      kv_memory m = memory();
      m.kv_heads  = 1;
      m.pages     = head_pages();
      return m;
    }
    index_t head_pages() const { return k.size() > 0 ? static_cast<index_t>(k.size()) / head_page_bytes() : 0; }
    /// Bytes of the keys (or the values) of such a page.
    index_t head_page_bytes() const { return page_bytes_of(shape.format, shape.page_size, 1, shape.head_dim); }
  };

  layer_cache const& of(int layer) const { return cache_.at(static_cast<std::size_t>(layer)); }

  /// `which`: the fixed scale of these codes, where the cache has any.
  static void read_head_pages(array<std::byte> const& from, layer_cache const& c, std::size_t which,
                              std::span<std::int32_t const> pages, std::vector<float>& values) {
    index_t const size = c.shape.page_size, width = c.shape.head_dim, bytes = c.head_page_bytes();
    struct alignas(16) aligned {  // as kv_pages_over wants its memory
      std::byte bytes[16];
    };
    std::vector<aligned> page(static_cast<std::size_t>(ceil_div(bytes, index_t{16})));
    auto* const          data = page.empty() ? nullptr : page.front().bytes;
    std::vector<float>   scales(c.scales.size());
    c.scales.download(scales);
    values.clear();
    for (std::int32_t const p : pages) {
      from.download({data, static_cast<std::size_t>(bytes)},
                    static_cast<std::size_t>(p) * static_cast<std::size_t>(bytes));
      visit_kv_format(c.shape.format, [&]<class E>() {
        auto of = [&] {
          if constexpr (is_kv_codes<E>) return kv_pages_over<E>(data, 1, size, 1, width);
          else return dense(reinterpret_cast<E*>(data), index_t{1}, size, index_t{1}, width);
        }();
        if constexpr (std::is_same_v<E, kv_fp8>)
          if (!scales.empty()) share_scale(of, &scales[which]);
        for (index_t t = 0; t < size; ++t)
          for (index_t d = 0; d < width; ++d) values.push_back(kv_value(of, 0, t, 0, d));
      });
    }
  }

  void make_context() {
    context_.batch_invariant = options_.batch_invariant;
#if TENON_CUDA
    context_.arch = arch::built_for();
    if (context_.arch == 0) throw error("--device: this program holds no code for this GPU");
    // What products may split K with; plans ask for what is there.
    workspace_ = array<std::byte>(std::size_t{64} << 20), counters_ = array<unsigned>(1 << 16);
    context_.workspace = {workspace_.data(), workspace_.size()};
    context_.counters  = {counters_.data(), static_cast<int>(counters_.size())};
    int device         = 0;
    if (cudaGetDevice(&device) == cudaSuccess)
      cudaDeviceGetAttribute(&context_.multiprocessors, cudaDevAttrMultiProcessorCount, device);
#else
    context_.threads = options_.threads;
#endif
  }

  void make_rope_table() {
    int const          rotary = static_cast<int>(config_.rotary_dim()), length = options_.max_length;
    std::vector<float> table(static_cast<std::size_t>(length) * static_cast<std::size_t>(rotary));
    throw_if(
        fill_rope_table(dense(table.data(), length, rotary), config_.rope_theta, scaling_of(config_.rope_scaling)));
    cos_sin_ = array<float>(table.size());
    cos_sin_.upload(table);
  }

  void make_activations() {
    auto const tokens = static_cast<std::size_t>(options_.max_batched_tokens),
               hidden = static_cast<std::size_t>(config_.hidden);
    std::size_t qkv = 0, attended = 0, intermediate = 0;
    for (auto const& l : weights_.layers) {
      qkv          = std::max(qkv, static_cast<std::size_t>(l[product::qkv].outputs));
      attended     = std::max(attended, static_cast<std::size_t>(l.shape.heads * l.shape.head_dim));
      intermediate = std::max(intermediate, static_cast<std::size_t>(l.shape.intermediate));
    }
    auto const rows      = static_cast<std::size_t>(options_.max_rows);
    auto const sequences = static_cast<std::size_t>(options_.max_sequences);
    max_pages_           = ceil_div(options_.max_length, options_.block_size);
    x_ = array<T>(tokens * hidden), h_ = array<T>(tokens * hidden), qkv_ = array<T>(tokens * qkv);
    attended_ = array<T>(tokens * attended), gated_ = array<T>(tokens * intermediate);
    last_ = array<T>(rows * hidden), logits_ = array<float>(rows * static_cast<std::size_t>(config_.vocab_size));
    ids_ = array<std::int32_t>(tokens), positions_ = array<std::int32_t>(tokens), slots_ = array<std::int64_t>(tokens);
    query_start_ = array<std::int32_t>(sequences + 1), kv_length_ = array<std::int32_t>(sequences);
    block_table_ = array<std::int32_t>(sequences * static_cast<std::size_t>(max_pages_));
    logit_rows_  = array<std::int32_t>(rows);
    for (auto const& l : weights_.layers) {
      for (product const p : {product::qkv, product::attention_out, product::down}) space_.reserve(l[p], tokens);
      space_.reserve_pair(l[product::gate_up], tokens);
    }
  }

  /// Pages: what was asked for, else every sequence at full length, within a share of the memory that is there.
  void make_cache() {
    // Of the keys (or the values) of a layer.
    auto const bytes_of = [&](layer_shape const& l) {
      return static_cast<std::size_t>(page_bytes_of(options_.kv_format, options_.block_size, l.kv_heads, l.head_dim));
    };
    std::size_t page_bytes = 0;
    for (auto const& l : weights_.layers)
      if (l.shape.heads > 0) page_bytes += 2 * bytes_of(l.shape);
    pages_ = options_.pages;
    if (pages_ == 0) {
      pages_ = std::int64_t{options_.max_sequences} * max_pages_;
      if (page_bytes > 0)
        pages_ = std::min<std::int64_t>(pages_, static_cast<std::int64_t>(cache_budget() / page_bytes));
      pages_ = std::max<std::int64_t>(pages_, max_pages_);
    }
    for (auto& l : weights_.layers) {
      auto const  bytes = l.shape.heads > 0 ? static_cast<std::size_t>(pages_) * bytes_of(l.shape) : 0;
      layer_cache c;
      c.k = array<std::byte>(bytes), c.v = array<std::byte>(bytes);
      c.scales = std::move(l.kv_scales);
      c.shape  = kv_memory{.format    = options_.kv_format,
                           .pages     = pages_,
                           .page_size = options_.block_size,
                           .kv_heads  = l.shape.kv_heads,
                           .head_dim  = l.shape.head_dim};
      cache_.push_back(std::move(c));
    }
  }

  static std::size_t cache_budget() {
#if TENON_CUDA
    std::size_t available = 0, total = 0;
    cudaMemGetInfo(&available, &total);
    return available / 10 * 9;
#else
    return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) / 4;
#endif
  }

  void upload(step_batch const& b) {
    tokens_   = static_cast<index_t>(b.ids.size());
    requests_ = static_cast<index_t>(b.kv_length.size());
    rows_     = static_cast<index_t>(b.logit_rows.size());
    if (b.max_pages > max_pages_) throw error("internal: a block table is wider than --max-model-len allows");
    ids_.upload(b.ids), positions_.upload(b.positions), slots_.upload(b.slots), query_start_.upload(b.query_start);
    kv_length_.upload(b.kv_length), block_table_.upload(b.block_table), logit_rows_.upload(b.logit_rows);
    table_width_   = b.max_pages;
    longest_query_ = longest_kv_ = 0;
    for (std::size_t r = 0; r < b.kv_length.size(); ++r) {
      longest_query_ = std::max(longest_query_, b.query_start[r + 1] - b.query_start[r]);
      longest_kv_    = std::max(longest_kv_, b.kv_length[r]);
    }
    by_heads_ = !b.heads.kv_length.empty();
    if (!by_heads_) return;
    grow(head_slots_, b.heads.slots), grow(head_kv_length_, b.heads.kv_length), grow(head_tables_, b.heads.block_table);
    all_heads_ = 0;
    for (auto const& l : weights_.layers) all_heads_ += l.shape.heads;
    grow(lse_, tokens_ * all_heads_);
    head_row_ = head_ = 0;
  }

  auto embedding_view() const { return weights_.embedding.view(config_.vocab_size, config_.hidden); }

  void attention(layer_weights<T> const& w, layer_cache& cache, std::int64_t window, rows_view x, rows_view h) {
    index_t const heads = w.shape.heads, kv_heads = w.shape.kv_heads, head_dim = w.shape.head_dim;
    index_t const width = w[product::qkv].outputs;
    auto const    part  = [&](index_t first, index_t count) {
      return tensor_view<T, 3>{qkv_.data() + first * head_dim, {tokens_, count, head_dim}, {width, head_dim, 1}};
    };
    auto const q = part(0, heads), k = part(heads, kv_heads), v = part(heads + kv_heads, kv_heads);

    norm(h, x, w.attention_norm);
    show(stage::attention_norm, layer_, h_, tokens_, config_.hidden);
    space_.apply(context_, qkv_.view(tokens_, width), as_const(h), w[product::qkv]);
    show(stage::q, layer_, qkv_, tokens_, heads * head_dim, 0, width);
    show(stage::k, layer_, qkv_, tokens_, kv_heads * head_dim, heads * head_dim, width);
    show(stage::v, layer_, qkv_, tokens_, kv_heads * head_dim, (heads + kv_heads) * head_dim, width);
    new_tokens<T> fresh{
        q, k, v, std::as_const(positions_).view(tokens_), std::as_const(slots_).view(tokens_), cos_sin_view()};
    fresh.eps = eps();
    if (w.q_norm.size() > 0) fresh.q_norm = w.q_norm.view(head_dim), fresh.k_norm = w.k_norm.view(head_dim);
    queries<T> asked{.out              = attended_.view(tokens_, heads, head_dim),
                     .q                = as_const(q),
                     .block_table      = std::as_const(block_table_).view(requests_, index_t{table_width_}),
                     .query_start      = std::as_const(query_start_).view(requests_ + 1),
                     .kv_length        = std::as_const(kv_length_).view(requests_),
                     .window           = window > 0 ? static_cast<int>(window) : INT_MAX,
                     .scale            = static_cast<float>(config_.attention_scale),
                     .soft_cap         = static_cast<float>(config_.attention_soft_cap),
                     .max_query_length = longest_query_,
                     .max_kv_length    = longest_kv_};
    if (by_heads_) {
      append_by_heads(cache, fresh);
      show(stage::q_rotated, layer_, qkv_, tokens_, heads * head_dim, 0, width);
      attend_by_heads(cache, asked, kv_heads);
    } else {
      throw_if(append(context_, cache.memory(), fresh));
      show(stage::q_rotated, layer_, qkv_, tokens_, heads * head_dim, 0, width);
      throw_if(attend(context_, cache.memory(), asked));
    }
    show(stage::attention, layer_, attended_, tokens_, heads * head_dim);
    add_product(x, h, as_const(attended_.view(tokens_, heads * head_dim)), w[product::attention_out],
                w.after_attention_norm);
    show(stage::attention_residual, layer_, x_, tokens_, config_.hidden);
  }

  // Each kv head with its group of query heads is a sequence of its own, in a cache of one kv head. A launch does one
  // head of all requests: their queries have one stride then, and no copy is needed.

  void append_by_heads(layer_cache& cache, new_tokens<T> const& all) {
    index_t const kv_heads = all.k.extent[1], group = all.q.extent[1] / kv_heads;
    for (index_t h = 0; h < kv_heads; ++h) {
      new_tokens<T> one = all;
      one.q = heads_of(all.q, h * group, group), one.k = heads_of(all.k, h, 1), one.v = heads_of(all.v, h, 1);
      one.slots = {head_slots_.data() + (head_row_ + h) * tokens_, {tokens_}, {1}};
      throw_if(append(context_, cache.of_one_head(), one));
    }
  }

  void attend_by_heads(layer_cache& cache, queries<T> const& all, index_t kv_heads) {
    index_t const heads = all.q.extent[1], group = heads / kv_heads;
    float* const  lse = lse_.data() + head_ * tokens_;
    for (index_t h = 0; h < kv_heads; ++h) {
      index_t const row = head_row_ + h;
      queries<T>    one = all;
      one.out = heads_of(all.out, h * group, group), one.q = heads_of(all.q, h * group, group);
      one.block_table = {head_tables_.data() + row * requests_ * table_width_,
                         {requests_, index_t{table_width_}},
                         {index_t{table_width_}, 1}};
      one.kv_length   = {head_kv_length_.data() + row * requests_, {requests_}, {1}};
      one.lse         = {lse + h * group, {tokens_, group}, {heads, 1}};
      throw_if(attend(context_, cache.of_one_head(), one));
    }
    head_row_ += kv_heads, head_ += heads;
  }

  template <class E>
  static tensor_view<E, 3> heads_of(tensor_view<E, 3> x, index_t first, index_t count) {
    x.data += first * x.stride[1], x.extent[1] = count;
    return x;
  }

  void mlp(layer_weights<T> const& w, rows_view x, rows_view h) {
    auto const gated = gated_.view(tokens_, w.shape.intermediate);
    norm(h, x, w.mlp_norm);
    show(stage::mlp_norm, layer_, h_, tokens_, config_.hidden);
    space_.apply_pair(context_, gated, as_const(h), w[product::gate_up], gate_of(config_.activation));
    show(stage::gated, layer_, gated_, tokens_, w.shape.intermediate);
    add_product(x, h, as_const(gated), w[product::down], w.after_mlp_norm);
    show(stage::mlp_residual, layer_, x_, tokens_, config_.hidden);
  }

  /// x = x + a W^T, or x + norm(a W^T) where there is such a norm; h is scratch.
  void add_product(rows_view x, rows_view h, tensor_view<T const, 2> a, linear_set<T> const& w,
                   array<float> const& after) {
    if (after.size() == 0) return space_.apply(context_, x, a, w, epilogue::residual(as_const(x)));
    space_.apply(context_, h, a, w);
    throw_if(rms_norm(context_, x, as_const(h), after.view(config_.hidden), {.eps = eps()},
                      epilogue::residual(as_const(x))));
  }

  void norm(rows_view y, rows_view x, array<float> const& weight) {
    throw_if(rms_norm(context_, y, as_const(x), weight.view(config_.hidden), {.eps = eps()}));
  }
  float eps() const { return static_cast<float>(config_.rms_eps); }

  /// sqrt(hidden) as a number of the decoder's format, where embeddings are scaled.
  float embedding_scale() const {
    return config_.scaled_embedding ? static_cast<float>(T(std::sqrt(static_cast<float>(config_.hidden)))) : 1.f;
  }

  void head(rows_view x) {
    if (rows_ == 0) return;
    index_t const hidden = config_.hidden, vocabulary = config_.vocab_size;
    auto const    last = last_.view(rows_, hidden);
    throw_if(embedding_gather(context_, last, as_const(x), std::as_const(logit_rows_).view(rows_), epilogue::scale(1)));
    norm(last, last, weights_.final_norm);
    show(stage::final_norm, -1, last_, rows_, hidden);
    throw_if(gemm(context_, logits_.view(rows_, vocabulary), as_const(last),
                  config_.tie_word_embeddings ? embedding_view() : weights_.head.view(vocabulary, hidden), {},
                  optional_soft_cap{static_cast<float>(config_.final_soft_cap)}));
  }

  /// Columns [first, first + width) of the array's `rows` rows of `stride` numbers, to the tap where there is one.
  void show(stage what, int layer, array<T>& from, index_t rows, index_t width, index_t first = 0, index_t stride = 0) {
    if (!tap_) return;
    auto const n = static_cast<std::size_t>(rows), w = static_cast<std::size_t>(width),
               step = static_cast<std::size_t>(stride > 0 ? stride : width), begin = static_cast<std::size_t>(first);
    std::vector<T> all(n * step);
    from.download(all);
    std::vector<float> values;
    values.reserve(n * w);
    for (std::size_t r = 0; r < n; ++r)
      for (std::size_t c = 0; c < w; ++c) values.push_back(static_cast<float>(all[r * step + begin + c]));
    if (!tap_({what, layer, n, w}, values)) return;
    for (std::size_t r = 0; r < n; ++r)
      for (std::size_t c = 0; c < w; ++c) all[r * step + begin + c] = T(values.at(r * w + c));
    from.upload(all);
  }

  auto cos_sin_view() const { return cos_sin_.view(index_t{options_.max_length}, config_.rotary_dim()); }

  template <class E>
  static void grow(array<E>& a, index_t size) {
    if (a.size() < static_cast<std::size_t>(size)) a = array<E>(static_cast<std::size_t>(size));
  }
  template <class E>
  static void grow(array<E>& a, std::vector<E> const& values) {
    if (a.size() < values.size()) a = array<E>(values.size() * 2);
    a.upload(values);
  }

  model_config             config_;
  decoder_options          options_;
  context                  context_;
  array<std::byte>         workspace_;  // CUDA
  array<unsigned>          counters_;   // CUDA
  model_weights<T>         weights_;
  std::vector<layer_cache> cache_;
  array<float>             cos_sin_;  // (max_length, rotary_dim)
  std::int64_t             pages_     = 0;
  int                      max_pages_ = 0;

  // The batch of this step.
  index_t             tokens_ = 0, requests_ = 0, rows_ = 0;
  int                 table_width_ = 0, longest_query_ = 0, longest_kv_ = 0;
  array<std::int32_t> ids_, positions_, query_start_, kv_length_, block_table_, logit_rows_;
  array<std::int64_t> slots_;

  // Where its tokens lie, where heads have pages of their own.
  bool    by_heads_  = false;
  index_t all_heads_ = 0, head_row_ = 0, head_ = 0;  // query heads of all layers; kv and query heads before this one
  array<std::int64_t> head_slots_;
  array<std::int32_t> head_kv_length_, head_tables_;
  array<float>        lse_;  // (layers, tokens, heads)

  // Copies of pages before this step.
  std::vector<std::int32_t> copy_entries_;
  array<std::int32_t>       copies_;                                        // (copies, 3)
  array<std::int32_t>       from_table_, to_table_, moved_, moved_tokens_;  // of heads

  // Activations.
  array<T>     x_, h_;     // (tokens, hidden)
  array<T>     qkv_;       // (tokens, (heads + 2 * kv_heads) * head_dim)
  array<T>     attended_;  // (tokens, heads * head_dim)
  array<T>     gated_;     // (tokens, intermediate)
  array<T>     last_;      // (rows, hidden)
  array<float> logits_;    // (rows, vocabulary)

  product_space<T> space_;  // of the products of quantised weights

  tap tap_;         // may be empty
  int layer_ = -1;  // that runs

  // The draw of this step.
  array<sampling_params> params_;
  array<std::int32_t>    history_, history_start_, prompt_length_, bias_ids_, bias_start_, drawn_ids_, top_ids_;
  array<float>           unchanged_;  // logits before penalties and bias
  array<float>           bias_values_, drawn_logprobs_, top_values_;
};

}  // namespace tenon::engine::inline TENON_TARGET
