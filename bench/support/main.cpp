//  Runs the benches; the output's context says on what, from which commit and by which command.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "facts.hpp"

int main(int count, char** arguments) {
  std::string const command = bench::command(count, arguments), driver = bench::driver();
  benchmark::AddCustomContext("command", command);
  benchmark::AddCustomContext("device", bench::device() + (driver.empty() ? "" : ", " + driver));
  benchmark::AddCustomContext("commit", bench::commit());
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
