//  Two requests with the same prompt: the second one computes only what the first did not, then splits in two.
//  $ ./06_share_a_prompt          prints:
//    first:  40 tokens to compute, blocks 0 1 2
//    second: 6 tokens to compute, blocks 0 1 3; copy 2 tokens of block 2 to block 3
//    fork:   blocks 0 1 3; writing copies 8 tokens of block 3 to block 4
//    6 table entries are 4 blocks, 16 % of their slots are empty
#include <tenon/kv/kv_blocks.hpp>

#include <cstdint>
#include <cstdio>
#include <numeric>
#include <vector>

using blocks = tenon::kv_blocks<>;

namespace {

void print_blocks(blocks const& kv, tenon::sequence_id s) {
  std::printf("blocks");
  for (tenon::block_id const b : kv.block_table(s)) std::printf(" %d", b);
}

/// Here a real engine runs copy_pages over the memory of every layer, then the pass that writes keys and values.
bool run_pass(blocks& kv, tenon::sequence_id s, std::vector<std::int32_t> const& tokens) {
  kv.clear_copies();
  return kv.commit(s, tokens).ok();
}

}  // namespace

int main() {
  blocks kv({.blocks = 8, .block_size = 16, .max_sequences = 4, .max_blocks_per_sequence = 4});

  std::vector<std::int32_t> prompt(40);
  std::iota(prompt.begin(), prompt.end(), 100);

  tenon::sequence_id const first = kv.open();
  std::int64_t             known = kv.attach(first, prompt);
  if (!kv.reserve(first, 48).ok()) return 1;
  std::printf("first:  %d tokens to compute, ", static_cast<int>(40 - known));
  print_blocks(kv, first);
  if (!run_pass(kv, first, prompt)) return 1;
  for (std::int32_t t = 0; t < 8; ++t) prompt.push_back(t);  // eight tokens of an answer: block 2 is full now
  if (!run_pass(kv, first, prompt)) return 1;
  kv.close(first);

  prompt.resize(34), prompt.insert(prompt.end(), {7, 7, 7, 7, 7, 7});  // the same but for the last six
  tenon::sequence_id const second = kv.open();
  known                           = kv.attach(second, prompt);
  if (!kv.reserve(second, 40).ok()) return 1;
  std::printf("\nsecond: %d tokens to compute, ", static_cast<int>(40 - known));
  print_blocks(kv, second);
  tenon::block_copy c = kv.copies().front();
  std::printf("; copy %d tokens of block %d to block %d\n", c.tokens, c.from, c.to);
  if (!run_pass(kv, second, prompt)) return 1;

  tenon::sequence_id const other = kv.fork(second);
  std::printf("fork:   ");
  print_blocks(kv, other);
  if (!kv.reserve(other, 41).ok()) return 1;
  c = kv.copies().front();
  std::printf("; writing copies %d tokens of block %d to block %d\n", c.tokens, c.from, c.to);
  prompt.push_back(8);
  if (!run_pass(kv, other, prompt)) return 1;

  tenon::kv_metrics const m = kv.metrics();
  std::printf("%d table entries are %d blocks, %.0f %% of their slots are empty\n", static_cast<int>(m.table_blocks),
              static_cast<int>(m.owned_blocks), 100 * m.internal_fragmentation());
}
