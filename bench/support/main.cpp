//  Runs the benches; the output's context says on what, from which commit and by which command.
#include <tenon/config.hpp>

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#if TENON_CUDA
#  include <cuda_runtime_api.h>
#endif

namespace {

std::string output_of(char const* command) {
  std::string text;
  if (FILE* const pipe = popen(command, "r")) {
    for (int c; (c = std::fgetc(pipe)) != EOF && c != '\n';) text += static_cast<char>(c);
    pclose(pipe);
  }
  return text;
}

std::string device() {
#if TENON_CUDA
  cudaDeviceProp properties{};
  int            driver = 0;
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) return "none";
  cudaDriverGetVersion(&driver);
  return std::string(properties.name) + ", driver API " + std::to_string(driver);
#else
  std::ifstream cpu("/proc/cpuinfo");
  for (std::string line; std::getline(cpu, line);)
    if (line.starts_with("model name")) {
      return line.substr(line.find(':') + 2) + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores";
    }
  return "unknown";
#endif
}

}  // namespace

int main(int count, char** arguments) {
  std::string command;
  for (int i = 0; i < count; ++i) {
    if (i) command += ' ';
    command += arguments[i];
  }
  benchmark::AddCustomContext("command", command);
  benchmark::AddCustomContext("device", device());
  benchmark::AddCustomContext("commit",
                              output_of("git -C \"" TENON_SOURCE_DIR "\" describe --always --dirty 2>/dev/null"));
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
#if defined(TENON_BENCH_ALSO)
  std::size_t const options = command.find(' ');
  std::string const also    = TENON_BENCH_ALSO + (options == std::string::npos ? "" : command.substr(options));
  std::fflush(stdout);
  return std::system(also.c_str()) == 0 ? 0 : 1;
#endif
}
