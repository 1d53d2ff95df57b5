// Reports as values: their text, one finding per cause, JSON, SARIF, baselines; and the files that a checked program leaves.
#include <tenon/simt/baseline.hpp>
#include <tenon/simt/check.hpp>
#include <tenon/simt/expect.hpp>
#include <tenon/simt/report_json.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

using namespace tenon::simt;

place at(unsigned line, std::string what, std::string thread, std::string text = {}) {
  return {std::move(what), "src/scan.cu", line, std::move(thread), std::move(text)};
}
/// A race between a write of line `w` and a read of line `r`, seen by the one or the other.
finding race(kind k, unsigned w, unsigned r, std::string memory = "shared memory", std::string missing = "sync_block") {
  finding f;
  f.what  = k;
  f.here  = k == kind::write_after_read ? at(w, "write of 4 bytes", "thread 64") : at(r, "read of 4 bytes", "thread 0");
  f.there = k == kind::write_after_read ? at(r, "read before it", "thread 0") : at(w, "write before it", "thread 64");
  f.memory = std::move(memory), f.missing = std::move(missing);
  return f;
}
finding alone(kind k, unsigned line, std::string memory = "shared memory") {
  finding f;
  f.what = k, f.here = at(line, "read of 4 bytes", "thread 0"), f.memory = std::move(memory);
  return f;
}
template <class T>
std::string text_of(T const& v) {
  std::ostringstream out;
  out << v;
  return out.str();
}

TEST(report, reads_like_a_compilers_message) {
  report r;
  r.seed      = 7;
  auto f      = race(kind::read_after_write, 38, 41);
  f.here.text = "y[t] = s[63 - t];", f.there.text = "s[t] = x[t];";
  f.bytes = "shared.stage[1][63] (float): shared memory, bytes [508, 512) of 512";
  f.times = 64;
  add_findings(r, {f, race(kind::write_after_read, 38, 41), alone(kind::uninitialised_read, 41)});
  EXPECT_EQ(text_of(r),
            R"(1 finding (schedule in_order, delivery late, seed 7)
src/scan.cu:41: error: race: read after write, 64 times
    41 | y[t] = s[63 - t];
       | read of 4 bytes by thread 0
src/scan.cu:38: write before it
    38 | s[t] = x[t];
       | by thread 64
  shared.stage[1][63] (float): shared memory, bytes [508, 512) of 512
  Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block,
  __syncthreads) after line 38 and before line 41.
  Also: race: write after read; uninitialised read.
)");
  EXPECT_EQ(text_of(report{}), "clean (schedule in_order, delivery late, seed 0)");
  finding bare;
  bare.what = kind::not_checked, bare.severity = level::incomplete, bare.message = "Nothing was looked at.";
  EXPECT_EQ(text_of(bare), "incomplete: not checked\n  Nothing was looked at.");
}

TEST(report, long_words_are_wrapped_and_tables_cut) {
  finding f = alone(kind::deadlock, 3);
  f.message = std::string(50, 'a') + " " + std::string(70, 'b') + "\n";
  for (int i = 0; i < 40; ++i) f.message += "    row\n";
  std::istringstream lines(text_of(f));
  std::size_t        count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_LE(line.size(), 110u);
  EXPECT_LE(count, 16u);
}

TEST(report, a_missing_barrier_is_one_finding_whoever_came_first) {
  for (auto const& order : {std::vector{0, 1, 2}, std::vector{2, 1, 0}, std::vector{1, 2, 0}}) {
    finding const        signs[] = {race(kind::read_after_write, 8, 9), race(kind::write_after_read, 8, 9),
                                    alone(kind::uninitialised_read, 9)};
    std::vector<finding> seen;
    for (int const i : order) seen.push_back(signs[i]);
    report r;
    add_findings(r, seen);
    add_findings(r, seen);  // a second launch
    ASSERT_EQ(r.findings.size(), 1u);
    EXPECT_EQ(r.findings[0].what, kind::read_after_write);
    EXPECT_EQ(r.findings[0].times, 2u);
    for (auto const k : {kind::read_after_write, kind::write_after_read, kind::uninitialised_read})
      EXPECT_TRUE(r.has(k));
    EXPECT_TRUE(reports(r, kind::write_after_read, 9, 8));
    EXPECT_TRUE(reports(r, kind::uninitialised_read, 9));
    EXPECT_FALSE(reports(r, kind::uninitialised_read, 8));
    EXPECT_FALSE(r.has(kind::write_after_write));
  }
}

TEST(report, a_reader_that_came_first_still_names_the_edge_from_the_write) {
  auto const early = by_cause({race(kind::write_after_read, 8, 9), alone(kind::uninitialised_read, 9)});
  ASSERT_EQ(early.size(), 1u);
  EXPECT_NE(early[0].message.find("after line 8 and before line 9."), std::string::npos) << early[0].message;
  auto const reuse = by_cause({race(kind::write_after_read, 9, 8)});
  EXPECT_NE(reuse[0].message.find("after the read of line 8 and before line 9 writes again."), std::string::npos);
}

TEST(report, one_barrier_serves_all_writes_before_a_read) {
  EXPECT_EQ(by_cause({race(kind::read_after_write, 17, 20), race(kind::read_after_write, 18, 20),
                      race(kind::read_after_write, 18, 21)})
                .size(),
            1u + 1u);  // lines 18 and 21 share neither end with the first
  EXPECT_EQ(by_cause({race(kind::read_after_write, 17, 20), race(kind::read_after_write, 18, 20)}).size(), 1u);
  EXPECT_EQ(by_cause({race(kind::read_after_write, 17, 20), race(kind::read_after_write, 17, 22)}).size(), 1u);
}

TEST(report, different_causes_stay_apart) {
  // A barrier before the read and one behind it.
  EXPECT_EQ(by_cause({race(kind::read_after_write, 8, 9), race(kind::write_after_read, 12, 9)}).size(), 2u);
  // Unset bytes of something else than what is raced for, and at another line.
  EXPECT_EQ(by_cause({race(kind::read_after_write, 8, 9), alone(kind::uninitialised_read, 9, "buffer 1")}).size(), 2u);
  EXPECT_EQ(by_cause({race(kind::read_after_write, 8, 9), alone(kind::uninitialised_read, 10)}).size(), 2u);
  EXPECT_EQ(by_cause({alone(kind::out_of_bounds, 9), alone(kind::misaligned, 9)}).size(), 2u);
  // Two mistakes with one barrier.
  auto one = alone(kind::barrier_misuse, 5), other = one;
  one.message = "count", other.message = "not initialised";
  EXPECT_EQ(by_cause({one, other}).size(), 2u);
}

TEST(report, a_copy_that_is_never_waited_for_is_one_finding) {
  finding used = race(kind::unwaited_copy, 8, 9), left = alone(kind::unwaited_copy, 8);
  EXPECT_EQ(by_cause({used, left}).size(), 1u);
  EXPECT_EQ(by_cause({left, used})[0].here.line, 9u);
  EXPECT_EQ(by_cause({used, alone(kind::unwaited_copy, 7)}).size(), 2u);
}

TEST(report, storage_that_the_launch_cuts_short_explains_what_lies_beyond) {
  finding storage = alone(kind::out_of_bounds, 4, "");
  storage.missing = "shared_bytes";
  EXPECT_EQ(by_cause({storage, alone(kind::out_of_bounds, 6), alone(kind::out_of_bounds, 7)}).size(), 1u);
  EXPECT_EQ(by_cause({storage, alone(kind::out_of_bounds, 6, "buffer 1")}).size(), 2u);
}

TEST(report, exit_status) {
  report r;
  EXPECT_EQ(exit_status(r), 0);
  r.findings.push_back(alone(kind::not_checked, 0));
  r.findings[0].severity = level::incomplete;
  EXPECT_EQ(exit_status(r), 2);
  r.findings.push_back(alone(kind::misaligned, 1));
  EXPECT_EQ(exit_status(r), 1);
}

TEST(report, json) {
  report r;
  r.seed = 3, r.launches = 2;
  auto f      = alone(kind::out_of_bounds, 4);
  f.here.text = "a[\"\\\t\"] = 1;";
  add_findings(r, {f});
  EXPECT_EQ(
      to_json(r),
      R"({"schema":1,"clean":false,"seed":3,"schedule":"in_order","delivery":"late","counters":{"launches":2,)"
      R"("accesses":0,"wavefronts":0,"ideal_wavefronts":0,"bank_conflicts":0,"requests":0,"sectors":0,)"
      R"("ideal_sectors":0},"findings":[{"kind":"out_of_bounds","level":"error","title":"out of bounds","times":1,)"
      R"("here":{"what":"read of 4 bytes","file":"src/scan.cu","line":4,"text":"a[\"\\\u0009\"] = 1;",)"
      R"("thread":"thread 0"},"memory":"shared memory"}],"accepted":[]})");
  EXPECT_EQ(detail::quoted("\n\x01\x7f"), R"("\n\u0001\u007f")");
  EXPECT_EQ(detail::quoted("\u00e9\u4e2d\U0001f600"), "\"\u00e9\u4e2d\U0001f600\"");
  EXPECT_EQ(detail::quoted("\xc3"), "\"\ufffd\"");                      // cut short
  EXPECT_EQ(detail::quoted("\xc0\xaf"), "\"\ufffd\ufffd\"");            // longer than needed
  EXPECT_EQ(detail::quoted("\xed\xa0\x80"), "\"\ufffd\ufffd\ufffd\"");  // a surrogate
  EXPECT_EQ(detail::quoted(std::string("\0", 1)), R"("\u0000")");
}

TEST(report, sarif_names_a_cause_once_over_all_sessions) {
  report one, other;
  add_findings(one, {race(kind::read_after_write, 8, 9)});
  add_findings(other, {race(kind::write_after_read, 8, 9)});
  other.accepted   = {alone(kind::misaligned, 3)};
  auto const text  = to_sarif({one, other});
  auto const count = [&](std::string const& part) {
    std::size_t n = 0;
    for (auto i = text.find(part); i != std::string::npos; i = text.find(part, i + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count("\"ruleId\""), 2u);
  EXPECT_EQ(count("\"suppressions\""), 1u);
  EXPECT_EQ(count("{"), count("}"));
  EXPECT_NE(text.find(R"("uri":"src/scan.cu"},"region":{"startLine":9}})"), std::string::npos) << text;
  EXPECT_EQ(detail::uri_of("/a b/c.cu"), "file:///a%20b/c.cu");
}

TEST(baseline, accepts_by_lines_whatever_came_first) {
  std::istringstream in(
      "# accepted\n"
      "\n"
      "read_after_write scan.cu:9 src/scan.cu:8   # on purpose\n"
      "misaligned src/scan.cu:70\n");
  auto known = read_baseline(in, "accepted.txt");
  ASSERT_EQ(known.entries.size(), 2u);
  EXPECT_EQ(known.entries[0].comment, "on purpose");
  report r;
  add_findings(r, {race(kind::write_after_read, 8, 9), alone(kind::uninitialised_read, 9), alone(kind::misaligned, 7)});
  accept(r, known);
  ASSERT_EQ(r.accepted.size(), 1u);
  EXPECT_TRUE(r.accepted[0].has(kind::uninitialised_read));
  ASSERT_EQ(r.findings.size(), 1u);
  EXPECT_EQ(r.findings[0].what, kind::misaligned);
  EXPECT_EQ(known.entries[0].hits, 1u);
  EXPECT_EQ(known.entries[1].hits, 0u);
}

TEST(baseline, does_not_accept_what_is_new_beside_what_is_known) {
  std::istringstream in("read_after_write src/scan.cu:20 src/scan.cu:17\n");
  auto               known = read_baseline(in);
  report             r;
  add_findings(r, {race(kind::read_after_write, 17, 20), race(kind::read_after_write, 18, 20)});
  ASSERT_EQ(r.findings.size(), 1u);
  accept(r, known);
  ASSERT_EQ(r.findings.size(), 1u);
  EXPECT_TRUE(reports(r, kind::read_after_write, 20, 18));
  EXPECT_FALSE(reports(r, kind::read_after_write, 20, 17));
  EXPECT_FALSE(r.clean());
}

TEST(baseline, files_match_at_a_slash) {
  EXPECT_TRUE(detail::same_file("src/scan.cu", "/opt/x/src/scan.cu"));
  EXPECT_TRUE(detail::same_file("/opt/x/src/scan.cu", "scan.cu"));
  EXPECT_FALSE(detail::same_file("an.cu", "scan.cu"));
  EXPECT_FALSE(detail::same_file("", "scan.cu"));
}

TEST(baseline, what_it_writes_it_reads) {
  report r;
  auto   strange    = alone(kind::misaligned, 5);
  strange.here.file = "my kernels/pad.cu";
  add_findings(r, {race(kind::read_after_write, 17, 20), race(kind::write_after_read, 17, 20),
                   race(kind::read_after_write, 18, 20), alone(kind::uninitialised_read, 20), strange});
  std::ostringstream out;
  write_baseline(out, r.findings, "looked at");
  EXPECT_EQ(out.str(),
            "read_after_write src/scan.cu:20 src/scan.cu:17   # looked at\n"
            "read_after_write src/scan.cu:20 src/scan.cu:18   # looked at\n"
            "misaligned my kernels/pad.cu:5   # looked at\n");
  std::istringstream in(out.str());
  auto               known = read_baseline(in);
  EXPECT_TRUE(known.not_understood.empty());
  accept(r, known);
  EXPECT_TRUE(is_clean(r));
  EXPECT_EQ(r.accepted.size(), 2u);
}

TEST(baseline, lines_that_say_nothing_are_named) {
  std::istringstream in("read_after_wrote a.cu:1 a.cu:2\nmisaligned a.cu\nmisaligned a.cu:x\nmisaligned a.cu:1 b\n\n");
  auto const         known = read_baseline(in);
  EXPECT_TRUE(known.entries.empty());
  EXPECT_EQ(known.not_understood, (std::vector<unsigned>{1, 2, 3, 4}));
}

#if TENON_CHECKED

void unordered(int* out) { *out = static_cast<int>(threadIdx.x); }

// Run by the next test in a process of its own.
TEST(report_files, DISABLED_racy) {
  buffer<int> out(1);
  EXPECT_FALSE(check({.seed = 5}, unordered, 1, 64, 0, out.data()).clean());
}
TEST(report_files, DISABLED_accepted) {
  buffer<int> out(1);
  auto const  found = check({}, unordered, 1, 64, 0, out.data());
  EXPECT_TRUE(is_clean(found));
  EXPECT_EQ(found.accepted.size(), 1u);
}

TEST(report_files, are_written_when_the_program_ends) {
  std::string const folder = testing::TempDir() + "tenon_report_files_" + std::to_string(getpid());
  ASSERT_EQ(std::system(("rm -rf " + folder + " && mkdir -p " + folder).c_str()), 0);
  char self[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof self - 1), 0);
  auto const run = [&](std::string const& settings, std::string const& test) {
    return std::system((settings + " GTEST_OUTPUT= " + self + " --gtest_also_run_disabled_tests --gtest_filter=" +
                        test + " > " + folder + "/stdout 2> " + folder + "/stderr")
                           .c_str());
  };
  auto const read = [&](std::string const& name) {
    std::ifstream     file(folder + "/" + name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  };
  std::string const name = std::string(self).substr(std::string(self).rfind('/') + 1);
  EXPECT_EQ(run("TENON_SIMT_REPORT=" + folder + "/%n.json TENON_SIMT_SARIF=" + folder +
                    "/sarif.json TENON_SIMT_WRITE_BASELINE=" + folder + "/accepted.txt",
                "report_files.DISABLED_racy"),
            0);
  std::string const json = read(name + ".json");
  EXPECT_NE(json.find(R"({"schema":1,"program":")" + name + R"(","clean":false,"reports":[)"), std::string::npos)
      << json;
  EXPECT_NE(json.find(R"("seed":5)"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("text":"void unordered(int* out) { *out = static_cast<int>(threadIdx.x); }")"),
            std::string::npos)
      << json;
  EXPECT_NE(read("sarif.json").find(R"("ruleId":"write_after_write")"), std::string::npos);
  EXPECT_EQ(read("accepted.txt").find("# Findings of " + name), 0u);

  // The baseline that was written accepts; an entry of this file that nothing matches is named, one of others is not.
  std::ofstream(folder + "/accepted.txt", std::ios::app) << "misaligned report_test.cpp:1\n"
                                                         << "misaligned elsewhere.cu:1\n"
                                                         << "nonsense\n";
  EXPECT_EQ(run("TENON_SIMT_BASELINE=" + folder + "/accepted.txt", "report_files.DISABLED_accepted"), 0)
      << read("stdout");
  std::string const said = read("stderr");
  EXPECT_NE(said.find("nothing matches misaligned report_test.cpp:1 any more"), std::string::npos) << said;
  EXPECT_EQ(said.find("elsewhere.cu"), std::string::npos) << said;
  EXPECT_NE(said.find("accepted.txt:5 is not understood"), std::string::npos) << said;
  EXPECT_EQ(std::system(("rm -rf " + folder).c_str()), 0);
}

#endif

}  // namespace
