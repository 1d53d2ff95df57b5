#include "engine/generation/step_layout.hpp"

#include <algorithm>

namespace tenon::engine {

void step_layout::clear() {
  step_.clear();
  tables_.clear();
  step_.query_start.push_back(0);
}

void step_layout::add(std::span<std::int32_t const> ids, std::int32_t first, std::span<block_id const> table,
                      int rows) {
  std::int32_t position = first;
  for (std::int32_t const id : ids) {
    step_.ids.push_back(id);
    step_.positions.push_back(position);
    step_.slots.push_back(std::int64_t{table[static_cast<std::size_t>(position / block_size_)]} * block_size_ +
                          position % block_size_);
    ++position;
  }
  auto const end = static_cast<std::int32_t>(step_.ids.size());
  step_.logit_rows.insert(step_.logit_rows.end(), static_cast<std::size_t>(rows), end - 1);
  step_.query_start.push_back(end);
  step_.kv_length.push_back(position);
  std::int32_t const pages = (position + block_size_ - 1) / block_size_;
  step_.max_pages          = std::max(step_.max_pages, pages);
  tables_.push_back(table.first(static_cast<std::size_t>(pages)));
}

step_batch const& step_layout::step() {
  auto const width = static_cast<std::size_t>(step_.max_pages);
  step_.block_table.assign(tables_.size() * width, no_block);
  for (std::size_t r = 0; r < tables_.size(); ++r)
    std::copy(tables_[r].begin(), tables_[r].end(), step_.block_table.begin() + static_cast<std::ptrdiff_t>(r * width));
  return step_;
}

}  // namespace tenon::engine
