#pragma once
//  The tokens of several sequences, one after the other, as a step of the decoder.
#include <tenon/kv/block_pool.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/decoder.hpp"

namespace tenon::engine {

class step_layout {
 public:
  explicit step_layout(int block_size) : block_size_(block_size) {}

  void clear();

  /// `ids` are the tokens of a sequence from its token `first` on, `table` its pages from the first. The logits of the last
  /// one are wanted `rows` times. `table` is read by step().
  void add(std::span<std::int32_t const> ids, std::int32_t first, std::span<block_id const> table, int rows);

  /// The step of everything that was added.
  [[nodiscard]] step_batch const& step();

 private:
  int                                    block_size_;
  step_batch                             step_;
  std::vector<std::span<block_id const>> tables_;
};

}  // namespace tenon::engine
