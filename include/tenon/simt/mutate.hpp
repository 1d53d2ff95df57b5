#pragma once
//  Mutation of a kernel's synchronisation: are the tests strong enough, and is each operation needed?
//
//  The kernel runs once as it is, which lists its barriers, waits, fences and atomics; then once for each of them with that
//  one left out. A mutant that nobody noticed, neither the checker nor the comparison of results, is either an operation
//  that the kernel does not need or one that its tests do not need.
//
//    auto const result = tenon::simt::mutate({{.seed = 1}}, [&](tenon::simt::session& session) {
//      tenon::simt::buffer<float> y(n);
//      tenon::simt::launch(session, kernel, grid, block, shared_bytes, y.data(), x.data());
//      return y.values() == expected;
//    });
//    EXPECT_TRUE(result.all_noticed()) << result;
#include <tenon/simt/launch.hpp>
#include <tenon/simt/report.hpp>
#include <tenon/simt/session.hpp>

#include <concepts>
#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace tenon::simt {

/// One operation left out.
struct mutant {
  operation   what;
  bool        noticed = false;
  std::string how;  // what noticed it: a kind of finding, or "wrong results"
};

struct mutation_result {
  std::vector<mutant> mutants;
  std::string         failed;  // why the kernel as it is was not fit for mutation; empty where it was

  std::size_t noticed() const {
    std::size_t n = 0;
    for (auto const& m : mutants) n += m.noticed;
    return n;
  }
  bool all_noticed() const { return failed.empty() && noticed() == mutants.size(); }
};

inline std::ostream& operator<<(std::ostream& out, mutation_result const& r) {
  if (!r.failed.empty()) return out << "no mutation: " << r.failed;
  out << r.noticed() << " of " << r.mutants.size() << " mutants noticed";
  for (auto const& m : r.mutants)
    out << "\n  " << (m.noticed ? "noticed  " : "UNNOTICED") << "  " << m.what.name << " at " << m.what.at.file << ':'
        << m.what.at.line
        << (m.noticed ? " (" + m.how + ")" : " (" + std::to_string(m.what.times) + " times in the whole run)");
  return out;
}

/// run(session&) executes the kernels under test and says whether their results are right. Each mutant runs under every
/// one of `runs`, until one notices it.
template <class Run>
requires std::predicate<Run const&, session&> mutation_result mutate(std::vector<check_options> const& runs,
                                                                     Run const&                        run) {
  mutation_result result;
  report          whole;
  for (check_options options : runs) {
    options.list_operations = true;
    session    as_it_is(options);
    bool const right = run(as_it_is);
    if (!as_it_is.found().clean() || !right) {
      result.failed =
          !right ? "its results are wrong as it is"
                 : "it is not clean as it is: " + std::string(to_string(as_it_is.found().findings.front().what));
      return result;
    }
    for (auto const& o : as_it_is.found().operations) whole.add_operation(o);
  }
  for (auto const& o : whole.operations) {
    mutant m{o, false, {}};
    for (check_options options : runs) {
      if (m.noticed) break;
      options.without = o.at;
      session    without(options);
      bool const right = run(without);
      m.noticed        = !right || !without.found().clean();
      m.how            = without.found().clean() ? "wrong results" : to_string(without.found().findings.front().what);
    }
    result.mutants.push_back(m);
  }
  return result;
}

}  // namespace tenon::simt
