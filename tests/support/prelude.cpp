//  Owns the precompiled header that the tests share. Linked into every plain test, it also writes which shapes were launched,
//  one line `primitive arch threads shared_bytes` each, into the file that TENON_LAUNCHES names.
#include <tenon/arch/arch.cuh>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>

namespace {

struct launch_log {
  std::mutex            mutex;
  std::set<std::string> lines;

  launch_log() {
    if (std::getenv("TENON_LAUNCHES")) tenon::arch::launch_observer = note;
  }
  ~launch_log() {
    tenon::arch::launch_observer = nullptr;
    char const* const path       = std::getenv("TENON_LAUNCHES");
    if (FILE* const file = path ? std::fopen(path, "w") : nullptr) {
      for (auto const& line : lines) std::fprintf(file, "%s\n", line.c_str());
      std::fclose(file);
    }
  }
  static void note(char const* primitive, int arch, tenon::arch::launch_shape const& shape);
} launches;

void launch_log::note(char const* primitive, int arch, tenon::arch::launch_shape const& shape) {
  std::lock_guard const lock(launches.mutex);
  launches.lines.insert(std::string(primitive) + ' ' + std::to_string(arch) + ' ' +
                        std::to_string(shape.block.count()) + ' ' + std::to_string(shape.shared_bytes));
}

}  // namespace
