#include "engine/commands/timed_steps.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "engine/schedule/latency.hpp"

namespace tenon::engine {

namespace {

int pages_of(timed_shape const& s) { return (s.length + s.block_size - 1) / s.block_size; }

void add_point(timed_steps& steps, grid_point const& p) {
  for (int s = 0; s < p.decodes; ++s) steps.add(s, p.depth, 1, 1);
  for (int s = 0; s < p.prompts; ++s) steps.add(p.decodes + s, p.behind, p.chunk, s + p.draws >= p.prompts ? 1 : 0);
}

}  // namespace

timed_steps::timed_steps(decoder& model, timed_shape const& shape)
    : model_(model), shape_(shape), layout_(shape.block_size) {
  for (int p = 0; p < shape.sequences * pages_of(shape); ++p) tables_.push_back(p);
  std::mt19937_64 random(1);
  for (int i = 0; i < shape.length; ++i)
    ids_.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(shape.vocabulary)));
  layout_.clear();
}

void timed_steps::add(int sequence, int first, int count, int draws) {
  auto const pages = static_cast<std::size_t>(pages_of(shape_));
  layout_.add(std::span(ids_).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)), first,
              std::span(tables_).subspan(static_cast<std::size_t>(sequence) * pages, pages), draws);
  load_.add(first, count, draws);
  for (int k = 0; k < draws; ++k) {
    sampling_params p;
    p.seed = static_cast<std::uint64_t>(sequence), p.position = static_cast<std::uint64_t>(first);
    draw_.params.push_back(p);
  }
}

double timed_steps::run() {
  using clock      = std::chrono::steady_clock;
  auto const began = clock::now();
  model_.forward(layout_.step());
  model_.draw(draw_, out_);
  double const seconds = std::chrono::duration<double>(clock::now() - began).count();
  layout_.clear(), draw_.clear();
  load_ = {};
  return seconds;
}

void timed_steps::fill(int tokens) {
  for (int at = filled_; at < tokens;) {
    int const each  = std::max(1, shape_.max_batched_tokens / shape_.sequences);
    int const count = std::min(each, tokens - at);
    for (int s = 0; s < shape_.sequences; ++s) add(s, at, count, 1);
    run();
    at += count;
  }
  filled_ = std::max(filled_, tokens);
}

std::vector<grid_point> cost_grid(timed_shape const& shape, std::span<std::int64_t const> batches) {
  std::vector<int> depths, chunks;
  for (int const share : {0, 1, 4}) depths.push_back(share * (shape.length - 1) / 4);
  for (int c = 16; c < std::min(shape.max_batched_tokens, shape.length); c *= 4) chunks.push_back(c);
  chunks.push_back(std::min(shape.max_batched_tokens, shape.length));

  std::vector<grid_point> grid;
  auto const              add = [&](grid_point const& p) {
    bool const fits = p.decodes + p.prompts <= shape.sequences &&
                      p.decodes + p.prompts * p.chunk <= shape.max_batched_tokens && p.behind + p.chunk <= shape.length;
    if (fits && p.decodes + p.prompts > 0) grid.push_back(p);
  };
  for (std::int64_t const batch : batches) {
    auto const b = static_cast<int>(batch);
    for (int const depth : depths) add({b, depth, 0, 0, 0, 0});
    for (int const chunk : chunks)
      for (int const depth : {0, depths.back() / 2}) add({b, depth, 1, chunk, 0, 1});
  }
  for (int const chunk : chunks)
    for (int const behind : {0, shape.length / 4, shape.length / 2}) add({0, 0, 1, chunk, behind, 1});
  for (int const prompts : {2, 4, 8})
    for (int const chunk : {16, 64})
      for (int const draws : {1, prompts}) add({0, 0, prompts, chunk, 0, draws});
  return grid;
}

std::vector<measured_step> measure(timed_steps& steps, std::span<grid_point const> grid, int repetitions) {
  std::vector<std::vector<double>> seconds(grid.size());
  std::vector<measured_step>       measured(grid.size());
  for (int r = 0; r < repetitions; ++r)
    for (std::size_t i = 0; i < grid.size(); ++i) {
      add_point(steps, grid[i]);
      measured[i].load = steps.load();
      seconds[i].push_back(steps.run());
    }
  for (std::size_t i = 0; i < grid.size(); ++i) {
    std::sort(seconds[i].begin(), seconds[i].end());
    measured[i].seconds = percentile(seconds[i], .5);
  }
  return measured;
}

}  // namespace tenon::engine
