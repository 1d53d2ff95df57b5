#pragma once
//  Byte-pair merging: while any adjacent pair has a merge, the best one is applied, the leftmost of equals first.
//
//  Short words by repeated scans; long ones with a heap over a linked list, so that n symbols cost O(n log n) whatever
//  the text is. The heap is google/sentencepiece's (bpe_model.cc) and huggingface/tokenizers' (word.rs) method.
#include <cstddef>
#include <cstdint>
#include <queue>
#include <vector>

namespace tenon::engine {

struct symbol {
  std::int32_t id;      // vocabulary entry; negative: none
  std::size_t  length;  // bytes of the text
};

struct merge_result {
  double       priority;  // the smallest is applied first
  std::int32_t id;        // negative: the pair has no merge
};

namespace detail {

template <class Lookup>
void merge_by_scans(std::vector<symbol>& s, Lookup const& lookup) {
  while (s.size() > 1) {
    merge_result best{0, -1};
    std::size_t  at = 0;
    for (std::size_t i = 0; i + 1 < s.size(); ++i) {
      merge_result const m = lookup(s[i].id, s[i + 1].id);
      if (m.id >= 0 && (best.id < 0 || m.priority < best.priority)) best = m, at = i;
    }
    if (best.id < 0) return;
    s[at] = {best.id, s[at].length + s[at + 1].length};
    s.erase(s.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

template <class Lookup>
void merge_by_heap(std::vector<symbol>& s, Lookup const& lookup) {
  constexpr std::size_t none = static_cast<std::size_t>(-1);
  struct candidate {
    double       priority;
    std::size_t  left, right;        // places in s
    std::int32_t left_id, right_id;  // what stood there when the candidate was made
    std::int32_t id;
    bool         operator<(candidate const& o) const {  // the best is the heap's greatest
      return priority != o.priority ? priority > o.priority : left > o.left;
    }
  };
  std::vector<std::size_t> next(s.size()), before(s.size());
  for (std::size_t i = 0; i < s.size(); ++i) next[i] = i + 1 < s.size() ? i + 1 : none, before[i] = i ? i - 1 : none;

  std::vector<candidate> first;
  auto const             consider = [&](auto&& add, std::size_t left) {
    std::size_t const right = next[left];
    if (right == none) return;
    merge_result const m = lookup(s[left].id, s[right].id);
    if (m.id >= 0) add(candidate{m.priority, left, right, s[left].id, s[right].id, m.id});
  };
  for (std::size_t i = 0; i < s.size(); ++i) consider([&](candidate const& c) { first.push_back(c); }, i);
  std::priority_queue<candidate> heap(std::less<candidate>{}, std::move(first));
  auto const                     push = [&](candidate const& c) { heap.push(c); };

  std::vector<char> gone(s.size(), 0);
  while (!heap.empty()) {
    candidate const c = heap.top();
    heap.pop();
    if (gone[c.left] || gone[c.right] || next[c.left] != c.right || s[c.left].id != c.left_id ||
        s[c.right].id != c.right_id)
      continue;
    s[c.left]     = {c.id, s[c.left].length + s[c.right].length};
    gone[c.right] = 1;
    next[c.left]  = next[c.right];
    if (next[c.left] != none) before[next[c.left]] = c.left;
    if (before[c.left] != none) consider(push, before[c.left]);
    consider(push, c.left);
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < s.size(); ++i)
    if (!gone[i]) s[kept++] = s[i];
  s.resize(kept);
}

}  // namespace detail

/// `lookup(left_id, right_id)` is the merge of a pair.
template <class Lookup>
void merge_symbols(std::vector<symbol>& s, Lookup const& lookup) {
  if (s.size() <= 16) detail::merge_by_scans(s, lookup);
  else detail::merge_by_heap(s, lookup);
}

}  // namespace tenon::engine
