#pragma once
//  The course of a benchmark that measures groups of cells against each other: what it may be asked, one group after the other
//  until time is over, a file of results from time to time, an end where a kernel has none.
#include <tenon/config.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "arena.hpp"
#include "facts.hpp"
#include "measure.hpp"
#include "text.hpp"
#include "timing.hpp"
#include "watch.hpp"

namespace bench {

struct study_options {
  double      seconds = 1e30;  // of the whole program
  double      cell    = 0.04;  // for the rounds of one cell
  double      memory  = 1;     // for operands, 1e9 bytes
  bool        list    = false;
  std::string json;
};

/// Reads one of the options with a value that every study has.
inline bool read_option(study_options& o, std::string const& word, char const* value) {
  if (word == "--seconds") o.seconds = std::atof(value);
  else if (word == "--cell") o.cell = std::atof(value);
  else if (word == "--memory") o.memory = std::atof(value);
  else if (word == "--json") o.json = value;
  else return false;
  return true;
}

/// Measures groups in their order. A study has
///   begin(on, memory)                        what is measured once, and the head of the table
///   measure(group, on, memory, watching)     and prints its lines
///   write(path, complete)                    everything so far as JSON; false: it could not be written
///   summary()                                what it comes to
/// Exit status: 0; 1: no device, or no file; 3: the device stopped answering.
template <class Study, class Groups>
int run_study(char const* program, std::string const& command, study_options const& o, Groups const& groups,
              Study& study) {
#if TENON_CUDA
  if (int devices = 0; cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "%s_cuda: no CUDA device\n", program);
    return 1;
  }
#endif
  double const begin = seconds_now();
  std::printf("%s%s%s, %s, commit %s\n%s\n", device().c_str(), TENON_CUDA ? ", " : "", driver().c_str(), date().c_str(),
              commit().c_str(), command.c_str());
  track on;
  arena memory(static_cast<std::size_t>(o.memory * 1e9));
  study.begin(on, memory);

  auto const  write = [&](bool complete) { return o.json.empty() || study.write(o.json, complete); };
  watch       watching([&] { write(false); });
  double      written = seconds_now();
  bool        alive   = true;
  std::size_t done    = 0;
  for (; done < groups.size() && alive && seconds_now() - begin < o.seconds; ++done) {
    study.measure(groups[done], on, memory, watching);
    std::fflush(stdout);
    alive = on.alive();
    if (seconds_now() - written > 10) {
      write(false);
      written = seconds_now();
    }
  }
  study.summary();
  std::printf("\n%zu of %zu groups measured in %.0f s%s\n", done, groups.size(), seconds_now() - begin,
              alive ? "" : "; the device stopped answering");
  if (!write(done == groups.size() && alive)) {
    std::fprintf(stderr, "%s: cannot write %s\n", program, o.json.c_str());
    return 1;
  }
  if (!alive) std::printf("fault: %s\n", watching.last().c_str());
  return alive ? 0 : 3;
}

}  // namespace bench
