#pragma once
//  On what a bench ran, from which commit and by which command.
#include <tenon/config.hpp>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <thread>
#if TENON_CUDA
#  include <cuda_runtime_api.h>
#endif

namespace bench {

/// The first line that a command of the shell prints.
inline std::string output_of(char const* command) {
  std::string text;
  if (FILE* const pipe = popen(command, "r")) {
    for (int c; (c = std::fgetc(pipe)) != EOF && c != '\n';) text += static_cast<char>(c);
    pclose(pipe);
  }
  return text;
}

inline std::string device() {
#if TENON_CUDA
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) return "none";
  return properties.name;
#else
  std::ifstream cpu("/proc/cpuinfo");
  for (std::string line; std::getline(cpu, line);)
    if (line.starts_with("model name")) {
      return line.substr(line.find(':') + 2) + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores";
    }
  return "unknown";
#endif
}

/// "driver API 13000, runtime 13000"; empty on the host.
inline std::string driver() {
#if TENON_CUDA
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver), cudaRuntimeGetVersion(&runtime);
  return "driver API " + std::to_string(driver) + ", runtime " + std::to_string(runtime);
#else
  return "";
#endif
}

/// That of the source tree; TENON_COMMIT where the program was carried to a machine without it.
inline std::string commit() {
  std::string const found = output_of("git -C \"" TENON_SOURCE_DIR "\" describe --always --dirty 2>/dev/null");
  char const* const given = std::getenv("TENON_COMMIT");
  return given ? given : found.empty() ? "unknown" : found;
}

inline std::string command(int count, char const* const* arguments) {
  std::string words;
  for (int i = 0; i < count; ++i) {
    if (i) words += ' ';
    words += arguments[i];
  }
  return words;
}

/// "2026-11-22"
inline std::string date() {
  std::time_t const now = std::time(nullptr);
  char              text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

}  // namespace bench
