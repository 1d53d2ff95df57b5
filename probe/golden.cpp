#include "golden.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "primitives.hpp"
#if !TENON_CUDA
#  include <tenon/simt/session.hpp>
#endif

namespace probe {

namespace {

std::string hex(std::uint64_t v, int digits) {
  char text[17];
  std::snprintf(text, sizeof text, "%0*" PRIx64, digits, v);
  return text;
}

/// One lane's inputs and outputs.
std::string line_of(entry const& e, std::uint32_t item, std::uint32_t lane, std::uint32_t const* out) {
  std::vector<std::uint32_t> in(static_cast<std::size_t>(e.inputs));
  e.draw(item, lane, in.data());
  std::string text = "item " + std::to_string(item) + " lane " + std::to_string(lane) + " in";
  for (auto const v : in) text += " " + hex(v, 8);
  text += " out";
  for (int o = 0; o < e.outputs; ++o) text += " " + hex(out[o], 8);
  return text;
}

bool is_named(std::string const& words, std::string const& word) {
  return (" " + words + " ").find(" " + word + " ") != std::string::npos;
}

}  // namespace

std::vector<entry> const& table() {
  static auto const all = [] {
    std::vector<entry> joined;
    for (auto const& part :
         {warp_cases(), memory_cases(), barrier_cases(), math_cases(), matrix_cases(), convert_cases()})
      joined.insert(joined.end(), part.begin(), part.end());
    return joined;
  }();
  return all;
}

tenon::context machine::context() const {
  tenon::context where;
  where.arch = arch;
#if !TENON_CUDA
  // Tensor cores sum as those of the architecture do, bit for bit.
  using tenon::simt::numerics;
  static tenon::simt::session ampere({.numerics = numerics::ampere}), ada({.numerics = numerics::ada}),
      hopper({.numerics = numerics::hopper});
  where.session = arch < 89 ? &ampere : arch < 90 ? &ada : &hopper;
#endif
  return where;
}

golden record(entry const& e, machine const& m) {
  answers a = e.ask(m.context(), 0, chunks);
  a.raw.resize(std::min<std::size_t>(a.raw.size(), std::size_t{kept} * 32 * static_cast<std::size_t>(e.outputs)));
  return {e.name, m.device, m.arch, e.inputs, e.outputs, e.items, a.hash, a.raw};
}

void write(golden const& g, std::filesystem::path const& folder) {
  std::filesystem::create_directories(folder);
  std::ofstream file(folder / (g.name + ".txt"));
  file << "tenon golden 1\ncase " << g.name << "\ndevice " << g.device << "\narch " << g.arch << "\nshape " << g.inputs
       << ' ' << g.outputs << ' ' << g.items << '\n';
  for (auto const h : g.hash) file << "hash " << hex(h, 16) << '\n';
  for (std::size_t i = 0; i < g.raw.size(); ++i)
    file << (i % static_cast<std::size_t>(g.outputs) ? " " : i ? "\nraw " : "raw ") << hex(g.raw[i], 8);
  file << '\n';
}

std::optional<golden> read(std::filesystem::path const& path) {
  std::ifstream file(path);
  golden        g;
  std::string   line, word;
  if (!std::getline(file, line) || line != "tenon golden 1") return std::nullopt;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    words >> word;
    if (word == "case") words >> g.name;
    else if (word == "device") std::getline(words >> std::ws, g.device);
    else if (word == "arch") words >> g.arch;
    else if (word == "shape") words >> g.inputs >> g.outputs >> g.items;
    else if (word == "hash" && words >> word) g.hash.push_back(std::stoull(word, nullptr, 16));
    else if (word == "raw")
      while (words >> word) g.raw.push_back(static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
  }
  return g;
}

std::string compare(entry const& e, golden const& g, machine const& m, int first_chunks) {
  std::ostringstream text;
  auto const         lanes = 32 * static_cast<std::size_t>(e.outputs);
  if (g.inputs != e.inputs || g.outputs != e.outputs || g.items != e.items || g.hash.size() != chunks ||
      g.raw.size() != kept * lanes) {
    text << e.name << ": the golden data is of another form of this case; record it again\n";
    return text.str();
  }
  answers const a         = e.ask(m.context(), 0, first_chunks);
  auto const    per_chunk = static_cast<std::uint32_t>(e.items / chunks);
  if (a.hash.size() != static_cast<std::size_t>(first_chunks)) return e.name + ": the machine did not answer\n";
  if (e.approximate) {
    for (std::size_t c = 0; c < a.hash.size(); ++c) {
      auto const ours = a.hash[c] >> 32, theirs = g.hash[c] >> 32;
      if (ours > std::max<std::uint64_t>(theirs, 1))
        text << e.name << ": an error of " << ours << " ulp for input " << hex(a.hash[c] & 0xffffffffu, 8) << ", where "
             << g.device << " has at most " << theirs << " (input " << hex(g.hash[c] & 0xffffffffu, 8) << ")\n";
    }
    return text.str();
  }
  int shown = 0, chunks_apart = 0;
  for (std::size_t c = 0; c < std::min<std::size_t>(a.hash.size(), kept); ++c)
    for (std::uint32_t lane = 0; lane < 32; ++lane) {
      auto const at = (c * 32 + lane) * static_cast<std::size_t>(e.outputs);
      if (std::equal(&a.raw[at], &a.raw[at] + e.outputs, &g.raw[at])) continue;
      if (++shown > 4) continue;
      text << e.name << ": " << line_of(e, static_cast<std::uint32_t>(c) * per_chunk, lane, &a.raw[at]) << "\n  "
           << g.device << " gave";
      for (int o = 0; o < e.outputs; ++o) text << ' ' << hex(g.raw[at + static_cast<std::size_t>(o)], 8);
      text << '\n';
    }
  for (std::size_t c = 0; c < a.hash.size(); ++c) {
    if (a.hash[c] == g.hash[c] || ++chunks_apart > 4) continue;
    text << e.name << ": chunk " << c << " differs; `--show " << e.name << ' ' << c * per_chunk << ' ' << per_chunk
         << "` on both machines says where\n";
  }
  if (shown > 4) text << e.name << ": " << shown << " lanes of the kept items differ\n";
  if (chunks_apart > 4) text << e.name << ": " << chunks_apart << " of " << a.hash.size() << " chunks differ\n";
  return text.str();
}

std::string show(entry const& e, machine const& m, std::uint32_t item, int count) {
  answers const a = e.ask_items(m.context(), item, count);
  std::string   text;
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(count) && !a.raw.empty(); ++i)
    for (std::uint32_t lane = 0; lane < 32; ++lane)
      text += line_of(e, item + i, lane, &a.raw[(i * 32 + lane) * static_cast<std::size_t>(e.outputs)]) + "\n";
  return text;
}

std::string fidelity(std::filesystem::path const& folder) {
  // Where golden data of a case is: the folders' names.
  auto const recorded = [&](std::string const& name) {
    std::string found;
    if (std::filesystem::is_directory(folder))
      for (auto const& arch : std::filesystem::directory_iterator(folder))
        if (std::filesystem::exists(arch.path() / (name + ".txt")))
          found += (found.empty() ? "" : ", ") + arch.path().filename().string();
    return found;
  };
  std::ostringstream text;
  text << "| `arch::` | PTX | probe | status | remarks |\n|---|---|---|---|---|\n";
  for (auto const& p : primitives) {
    std::string cases, where, missing;
    for (auto const& e : table()) {
      if (!is_named(e.primitives, p.name)) continue;
      cases += (cases.empty() ? "`" : ", `") + e.name + "`";
      auto const found = recorded(e.name);
      if (found.empty()) missing += (missing.empty() ? "`" : ", `") + e.name + "`";
      else where = found;
    }
    text << "| `" << p.name << "` | " << p.ptx << " | " << (cases.empty() ? "-" : cases) << " | "
         << (where.empty() ? "spec-only" : "golden-verified (" + where + ")")
         << (where.empty() || missing.empty() ? "" : " but for " + missing) << " | " << p.remark << " |\n";
  }
  return text.str();
}

}  // namespace probe
