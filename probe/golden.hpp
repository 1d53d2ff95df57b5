#pragma once
//  Golden data of a case: a text file, one per case, NAME.txt in a folder per architecture.
//
//    tenon golden 1
//    case mma_m16n8k16_f16
//    device NVIDIA H200
//    arch 90
//    shape 6 4 8192            inputs and outputs of a lane in words, items
//    hash 0123456789abcdef     one line per chunk: of all its output words (an approximate case: its largest error)
//    raw 00000000 ...          the first item of the first chunks, a line per lane
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "probe.hpp"

namespace probe {

struct golden {
  std::string                name, device;
  int                        arch   = 0;
  int                        inputs = 0, outputs = 0, items = 0;
  std::vector<std::uint64_t> hash;  // (chunks)
  std::vector<std::uint32_t> raw;   // (kept, 32, outputs)
};

/// The machine that this program asks.
struct machine {
  std::string    device;  // its name; the host target's ends in "is not golden"
  int            arch = 0;
  tenon::context context() const;
};

golden                record(entry const& e, machine const& m);
void                  write(golden const& g, std::filesystem::path const& folder);
std::optional<golden> read(std::filesystem::path const& file);

/// What differs between the first `chunks` chunks of the golden data and the machine's answers, in words; empty: nothing.
std::string compare(entry const& e, golden const& g, machine const& m, int chunks = probe::chunks);

/// Inputs and outputs of some items, a line per lane: to be compared line by line between two machines.
std::string show(entry const& e, machine const& m, std::uint32_t item, int count);

/// The table of docs/fidelity.md: every primitive, the golden data under `folder` (tests/golden) considered.
std::string fidelity(std::filesystem::path const& folder);

}  // namespace probe
