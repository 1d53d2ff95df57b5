#pragma once
//  Who did something when: agents, epochs, and what a thread knows of the others.
//
//  An agent is one CUDA thread of one block of the launch, or one of the block's barriers and copying engines, whose clock
//  counts phases. A thread's clock counts its releases. A thread knows another's clock
//  c when everything that the other did before its c-th release happens before what the thread does now
//  (Flanagan and Freund, "FastTrack: efficient and precise dynamic race detection", 2009). Barriers of the whole block
//  are so frequent that what they teach is stored once, in the block's `base`; a thread keeps only what it knows beyond.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace tenon::simt::checked {

/// (agent << 32) | clock; 0 is "never".
using epoch = std::uint64_t;

constexpr std::uint32_t many      = 0xffffffffu;  // agent: `clock` is the index of a reader_set
constexpr std::uint32_t in_flight = 0xfffffffeu;  // agent: `clock` is the number of a copy

constexpr epoch make_epoch(std::uint32_t agent, std::uint32_t clock) { return std::uint64_t{agent} << 32 | clock; }
constexpr std::uint32_t agent_of(epoch e) { return static_cast<std::uint32_t>(e >> 32); }
constexpr std::uint32_t clock_of(epoch e) { return static_cast<std::uint32_t>(e); }

/// One clock per agent of a block.
using clocks = std::vector<std::uint32_t>;

/// What is known of other blocks of the launch; entry b is block b's agents, null where nothing is known. Shared
/// between threads and never changed.
using known_blocks = std::vector<std::shared_ptr<clocks const>>;

inline std::shared_ptr<clocks const> join(std::shared_ptr<clocks const> const& a,
                                          std::shared_ptr<clocks const> const& b) {
  if (!a || a == b) return b;
  if (!b) return a;
  auto both = std::make_shared<clocks>(*a);
  for (std::size_t i = 0; i < both->size(); ++i) (*both)[i] = std::max((*both)[i], (*b)[i]);
  return both;
}

inline std::shared_ptr<known_blocks const> join(std::shared_ptr<known_blocks const> const& a,
                                                std::shared_ptr<known_blocks const> const& b) {
  if (!a || a == b) return b;
  if (!b) return a;
  auto both = std::make_shared<known_blocks>(*a);
  if (both->size() < b->size()) both->resize(b->size());
  for (std::size_t i = 0; i < b->size(); ++i) (*both)[i] = join((*both)[i], (*b)[i]);
  return both;
}

/// What a release hands over: the releasing thread's knowledge of its own block and of others.
struct knowledge {
  std::uint32_t                       block = 0;
  std::shared_ptr<clocks const>       own;     // of `block`, also what is visible in that block only
  std::shared_ptr<clocks const>       device;  // of `block`, visible to every block
  std::shared_ptr<known_blocks const> others;
  std::shared_ptr<clocks const>       proxied;  // of `block`, what has passed a proxy fence

  bool empty() const { return !own && !others && !device && !proxied; }
};

}  // namespace tenon::simt::checked
