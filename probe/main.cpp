//  probe --record FOLDER              asks this machine and writes FOLDER/sm_<arch>/<case>.txt
//  probe --compare FOLDER             asks it again and says what differs from every file under FOLDER
//  probe --show CASE ITEM COUNT       inputs and outputs of some items, a line per lane
//  probe --list                       the cases
//  probe --fidelity FOLDER            the table of docs/fidelity.md
//    --case TEXT   only cases whose name contains TEXT
//    --chunks N    compare the first N of 64 chunks of each case
//    --act-as N    the host target acts as sm_80, 89 or 90 (default 90; --compare: as the golden data's)
//  The status is 0 where nothing differs.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "golden.hpp"

namespace {

probe::machine this_machine([[maybe_unused]] int act_as) {
#if TENON_CUDA
  cudaDeviceProp p{};
  if (cudaGetDeviceProperties(&p, 0) != cudaSuccess) return {};
  return {p.name, tenon::arch::built_for()};
#else
  return {"host target, which is not golden", act_as ? act_as : 90};
#endif
}

int usage() {
  std::fprintf(stderr,
               "probe --record|--compare|--fidelity FOLDER | --show CASE ITEM COUNT | --list  [--case TEXT] [--chunks "
               "N] [--act-as N]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::string              what, folder, only;
  std::vector<std::string> rest;
  int                      chunks = probe::chunks, act_as = 0;
  for (int i = 1; i < argc; ++i) {
    std::string const word = argv[i];
    bool const        more = i + 1 < argc;
    if ((word == "--record" || word == "--compare" || word == "--fidelity") && more) what = word, folder = argv[++i];
    else if (word == "--show" || word == "--list") what = word;
    else if (word == "--case" && more) only = argv[++i];
    else if (word == "--chunks" && more) chunks = std::atoi(argv[++i]);
    else if (word == "--act-as" && more) act_as = std::atoi(argv[++i]);
    else if (what == "--show") rest.push_back(word);
    else return usage();
  }
  if (what == "--fidelity") return std::fputs(probe::fidelity(folder).c_str(), stdout), 0;
  auto const machine = this_machine(act_as);
  if (machine.arch == 0 && what != "--list") return std::fprintf(stderr, "probe: no CUDA device\n"), 1;

  bool same  = true;
  int  asked = 0;
  for (auto const& e : probe::table()) {
    if (e.name.find(only) == std::string::npos) continue;
    if (what == "--list") {
      std::printf("%-28s sm_%d  %d -> %d words, %d items: %s\n", e.name.c_str(), e.needs, e.inputs, e.outputs, e.items,
                  e.primitives.c_str());
    } else if (what == "--show") {
      if (rest.size() != 3) return usage();
      if (e.name == rest[0])
        std::fputs(probe::show(e, machine, static_cast<std::uint32_t>(std::stoul(rest[1])), std::stoi(rest[2])).c_str(),
                   stdout);
    } else if (what == "--record") {
      if (machine.arch < e.needs) continue;
      auto const g = probe::record(e, machine);
      if (g.hash.empty()) return std::fprintf(stderr, "probe: %s: the machine did not answer\n", e.name.c_str()), 1;
      probe::write(g, folder + "/sm_" + std::to_string(machine.arch));
      std::printf("recorded %s\n", e.name.c_str()), ++asked;
    } else if (what == "--compare") {
      if (!std::filesystem::is_directory(folder)) continue;
      for (auto const& arch : std::filesystem::directory_iterator(folder)) {
        auto const g = probe::read(arch.path() / (e.name + ".txt"));
        if (!g) continue;
        auto as = machine;
#if TENON_CUDA
        if (as.arch != g->arch) continue;
#else
        if (!act_as) as.arch = g->arch;
#endif
        auto const text = probe::compare(e, *g, as, chunks);
        std::fputs(text.c_str(), stdout);
        std::printf("%-28s sm_%d  %s\n", e.name.c_str(), g->arch, text.empty() ? "same" : "differs");
        same = same && text.empty(), ++asked;
      }
    } else {
      return usage();
    }
  }
  if (what == "--compare" && asked == 0) std::printf("no goldens recorded yet in %s\n", folder.c_str());
  return same ? 0 : 1;
}
