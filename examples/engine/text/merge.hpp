#pragma once
//  Byte-pair merging: while any adjacent pair has a merge, the best one is applied, the leftmost of equals first.
//
//  Short words by repeated scans; long ones with a heap over a linked list, so that n symbols cost O(n log n) whatever
//  the text is. The heap is google/sentencepiece's (bpe_model.cc) and huggingface/tokenizers' (word.rs) method.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace tenon::engine {

struct symbol {
  std::int32_t id;      // vocabulary entry; negative: none
  std::size_t  length;  // bytes of the text
};

struct merge_result {
  std::uint32_t rank;  // the smallest is applied first
  std::int32_t  id;    // negative: the pair has no merge
};

namespace detail {

template <class Lookup>
void merge_by_scans(std::vector<symbol>& s, Lookup const& lookup) {
  while (s.size() > 1) {
    merge_result best{0, -1};
    std::size_t  at = 0;
    for (std::size_t i = 0; i + 1 < s.size(); ++i) {
      merge_result const m = lookup(s[i].id, s[i + 1].id);
      if (m.id >= 0 && (best.id < 0 || m.rank < best.rank)) best = m, at = i;
    }
    if (best.id < 0) return;
    s[at] = {best.id, s[at].length + s[at + 1].length};
    s.erase(s.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

/// The heap holds numbers only, the rank above the place; what a pair is when it comes up decides whether it still
/// counts. `considered(left_id, right_id, merge)` is told of each pair when it comes into being. At most 2^32 symbols.
template <class Lookup, class Considered>
void merge_by_heap(std::vector<symbol>& s, Lookup const& lookup, Considered const& considered) {
  constexpr std::uint32_t    none = 0xFFFFFFFFu;
  auto const                 size = static_cast<std::uint32_t>(s.size());
  std::vector<std::uint32_t> next(size), before(size);  // a symbol that is gone is next to itself
  for (std::uint32_t i = 0; i < size; ++i) next[i] = i + 1 < size ? i + 1 : none, before[i] = i ? i - 1 : none;

  std::vector<std::uint64_t> heap;
  auto const                 consider = [&](std::uint32_t left) {
    std::uint32_t const right = next[left];
    if (right == none) return false;
    merge_result const m = lookup(s[left].id, s[right].id);
    if (m.id < 0) return false;
    considered(s[left].id, s[right].id, m);
    heap.push_back(std::uint64_t{m.rank} << 32 | left);
    return true;
  };
  auto const push = [&](std::uint32_t left) {
    if (consider(left)) std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  for (std::uint32_t i = 0; i < size; ++i) consider(i);
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  while (!heap.empty()) {
    std::uint64_t const best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    auto const          left  = static_cast<std::uint32_t>(best);
    std::uint32_t const right = next[left];
    if (right == left || right == none) continue;
    merge_result const m = lookup(s[left].id, s[right].id);
    if (m.id < 0 || m.rank != best >> 32) continue;
    s[left]     = {m.id, s[left].length + s[right].length};
    next[left]  = next[right];
    next[right] = right;
    if (next[left] != none) before[next[left]] = left;
    if (before[left] != none) push(before[left]);
    push(left);
  }
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i < size; ++i)
    if (next[i] != i) s[kept++] = s[i];
  s.resize(kept);
}

template <class Lookup>
void merge_by_heap(std::vector<symbol>& s, Lookup const& lookup) {
  merge_by_heap(s, lookup, [](std::int32_t, std::int32_t, merge_result) {});
}

}  // namespace detail

/// `lookup(left_id, right_id)` is the merge of a pair.
template <class Lookup>
void merge_symbols(std::vector<symbol>& s, Lookup const& lookup) {
  if (s.size() <= 16) detail::merge_by_scans(s, lookup);
  else detail::merge_by_heap(s, lookup);
}

}  // namespace tenon::engine
