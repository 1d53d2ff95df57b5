//  tenon tour: what its stops show, and that docs/tour.md says the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "program.hpp"

namespace {

using nlohmann::json;

std::string const model = TENON_SOURCE_DIR "/examples/models/tenon-demo";

/// Those that take next to no time, and show no text of a model.
std::vector<std::string> const quick_stops = {"fusion", "folds", "batching", "attention"};

struct table {
  bool                                  timed = false;
  std::vector<std::vector<std::string>> rows;  // the first one is the heading
};

std::vector<std::string> cells_of(std::string const& line) {
  std::vector<std::string> cells;
  for (std::size_t at = 1, end; (end = line.find('|', at)) != std::string::npos; at = end + 1) {
    std::string cell = line.substr(at, end - at);
    cell.erase(0, std::min(cell.find_first_not_of(' '), cell.size()));
    cell.erase(cell.find_last_not_of(' ') + 1);
    cells.push_back(cell);
  }
  return cells;
}

/// The tables of a page below each heading "## N. Title".
std::map<std::string, std::vector<table>> tables_of(std::string const& page) {
  std::map<std::string, std::vector<table>> all;
  std::string                               title, before;
  bool                                      timed = false, fenced = false;
  std::istringstream                        lines(page);
  for (std::string line; std::getline(lines, line); before = line) {
    if (line.starts_with("```")) fenced = !fenced;
    if (fenced) continue;
    if (line.starts_with("## ")) title = line.substr(line.find(' ', 3) + 1);
    if (line == "Timed:") timed = true;
    if (!line.starts_with("| ")) continue;
    if (!before.starts_with("|")) all[title].push_back({timed, {}}), timed = false;
    all[title].back().rows.push_back(cells_of(line));
  }
  return all;
}

/// Words and numbers in turn.
std::vector<std::string> parts_of(std::string const& cell) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < cell.size();) {
    double      v = 0;
    auto const  r = std::from_chars(cell.data() + at, cell.data() + cell.size(), v);
    std::size_t n = r.ec == std::errc{} && (at == 0 || cell[at - 1] == ' ')
                        ? static_cast<std::size_t>(r.ptr - cell.data()) - at
                        : 1;
    if (n > 1 || std::isdigit(static_cast<unsigned char>(cell[at]))) parts.push_back(cell.substr(at, n));
    else if (!parts.empty() && !std::isdigit(static_cast<unsigned char>(parts.back()[0])) && parts.back()[0] != '-')
      parts.back() += cell.substr(at, n);
    else parts.push_back(cell.substr(at, n));
    at += n;
  }
  return parts;
}

/// Equal but for the last digits of numbers: another compiler or processor rounds elsewhere. What is written with an
/// exponent is an error of a few roundings, and comes out alike in size only.
void expect_alike(std::string const& expected, std::string const& got) {
  auto const a = parts_of(expected), b = parts_of(got);
  ASSERT_EQ(a.size(), b.size()) << expected << " and " << got;
  for (std::size_t i = 0; i < a.size(); ++i) {
    char *       end_a = nullptr, *end_b = nullptr;
    double const x = std::strtod(a[i].c_str(), &end_a), y = std::strtod(b[i].c_str(), &end_b);
    if (*end_a || *end_b || end_a == a[i].c_str()) {
      EXPECT_EQ(a[i], b[i]);
    } else if (a[i].find('e') != std::string::npos) {
      EXPECT_LE(y, 4 * x) << expected << " and " << got;
      EXPECT_GE(y, x / 4) << expected << " and " << got;
    } else {
      auto const   point = a[i].find('.');
      double const unit = point == std::string::npos ? 1 : std::pow(10., -static_cast<double>(a[i].size() - point - 1));
      EXPECT_NEAR(x, y, std::max(1.5 * unit, .03 * std::fabs(x))) << expected << " and " << got;
    }
  }
}

json visited(std::vector<std::string> const& stops, int status = 0) {
  std::vector<std::string> arguments = {"tour", "--output", "json", "--model", model};
  for (std::string const& s : stops) arguments.insert(arguments.end(), {"--stop", s});
  auto const r = test::run_program(arguments);
  EXPECT_EQ(r.status, status) << r.err;
  return json::parse(r.out);
}

TEST(tour, lists_its_stops) {
  auto const text = test::run_program({"tour", "--list"}),
             twin = test::run_program({"tour", "--list", "--output", "json"});
  ASSERT_EQ(text.status, 0) << text.err;
  json const            all = json::parse(twin.out);
  std::set<std::string> names;
  for (json const& s : all) {
    names.insert(s["name"]);
    EXPECT_NE(text.out.find(s["name"].get<std::string>() + " "), std::string::npos);
    EXPECT_NE(text.out.find(s["title"].get<std::string>() + "\n"), std::string::npos);
  }
  EXPECT_EQ(names.size(), all.size());
  EXPECT_GE(names.size(), 12u);
  auto const unknown = test::run_program({"tour", "--stop", "nowhere"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_NE(unknown.err.find("--stop: unknown choice: found \"nowhere\", expected stream|race|"), std::string::npos)
      << unknown.err;
}

TEST(tour, is_what_the_page_says) {
  auto const page = tables_of(test::read_text(TENON_SOURCE_DIR "/docs/tour.md"));
  json const list = json::parse(test::run_program({"tour", "--list", "--output", "json"}).out);
  EXPECT_EQ(page.size(), list.size()) << "a stop without a place on the page, or the other way round";
  for (json const& s : list) EXPECT_TRUE(page.contains(s["title"])) << s["title"];

  json const run = visited(quick_stops);
  ASSERT_EQ(run["stops"].size(), quick_stops.size());
  for (json const& s : run["stops"]) {
    std::string const title = s["title"];
    SCOPED_TRACE(title);
    EXPECT_TRUE(s["error"].is_null());
    ASSERT_TRUE(page.contains(title));
    auto const& tables = page.at(title);
    ASSERT_EQ(tables.size(), s["tables"].size());
    for (std::size_t i = 0; i < tables.size(); ++i) {
      json const& t = s["tables"][i];
      EXPECT_EQ(tables[i].timed, t["timed"].get<bool>());
      ASSERT_EQ(tables[i].rows.size(), 1 + t["rows"].size());
      EXPECT_EQ(tables[i].rows[0], t["columns"].get<std::vector<std::string>>());
      if (tables[i].timed) continue;
      for (std::size_t r = 0; r < t["rows"].size(); ++r) {
        ASSERT_EQ(tables[i].rows[1 + r].size(), t["rows"][r].size());
        for (std::size_t c = 0; c < t["rows"][r].size(); ++c)
          expect_alike(tables[i].rows[1 + r][c], t["rows"][r][c].get<std::string>());
      }
    }
  }
}

TEST(tour, text_and_json_say_the_same) {
  auto const text = test::run_program({"tour", "--model", model, "--stop", "batching", "--stop", "stream"});
  ASSERT_EQ(text.status, 0) << text.err;
  EXPECT_TRUE(text.out.starts_with("# A tour of the techniques\n"));
  auto const shown = tables_of(text.out);
  json const run   = visited({"stream", "batching"});
  ASSERT_EQ(shown.size(), 2u);
  for (json const& s : run["stops"]) {
    auto const& tables = shown.at(s["title"]);
    ASSERT_EQ(tables.size(), s["tables"].size());
    for (std::size_t i = 0; i < tables.size(); ++i) {
      EXPECT_EQ(tables[i].timed, s["tables"][i]["timed"].get<bool>());
      for (std::size_t r = 0; r < s["tables"][i]["rows"].size() && !tables[i].timed; ++r)
        EXPECT_EQ(tables[i].rows[1 + r], s["tables"][i]["rows"][r].get<std::vector<std::string>>());
    }
  }
  // The text that streamed, but for where lines end.
  std::string const streamed = run["stops"][0]["streamed"];
  EXPECT_TRUE(streamed.starts_with("Once upon a time"));
  auto const begin = text.out.find("```\n") + 4, end = text.out.find("\n```", begin);
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(test::words(text.out.substr(begin, end - begin)), test::words(streamed));
}

// The commands can be pasted into a shell, wherever the model is.
TEST(tour, commands_quote_the_folder_of_the_model) {
  namespace fs = std::filesystem;
  test::scratch_folder folder;
  std::string const    odd = (folder / "a model's $HOME").string();
  fs::create_directory_symlink(model, odd);
  for (std::string const& where : {model, odd}) {
    auto const r = test::run_program({"tour", "--output", "json", "--model", where, "--stop", "tokenizer"});
    ASSERT_EQ(r.status, 0) << r.err;
    std::string const command = json::parse(r.out)["stops"][0]["command"], begin = "build/tenon ";
    ASSERT_TRUE(command.starts_with(begin)) << command;
    EXPECT_EQ(command.find(" --model " + where + " ") != std::string::npos, where == model) << command;
    // A shell passes the folder on as one word.
    std::string const out = (folder / "words").string();
    ASSERT_EQ(std::system(("printf '%s\\n' " + command.substr(begin.size()) + " >" + test::shell_quoted(out)).c_str()),
              0)
        << command;
    EXPECT_NE(test::read_text(out).find("\n--model\n" + where + "\n"), std::string::npos) << command;
  }
}

TEST(tour, catches_the_race_and_clears_the_barrier) {
  if (!std::filesystem::exists(TENON_BINARY_DIR "/tour_race")) GTEST_SKIP() << "no checked programs in this build";
  json const s = visited({"race"})["stops"][0];
  ASSERT_TRUE(s["error"].is_null()) << s["error"];
  // The two lines are those of the source.
  std::ifstream            source(TENON_SOURCE_DIR "/examples/engine/tour/race_program.cpp");
  std::vector<std::string> lines;
  for (std::string l; std::getline(source, l);) lines.push_back(l);
  auto const line = [&](std::string const& place) {
    EXPECT_TRUE(place.starts_with("race_program.cpp:")) << place;
    auto const number = std::strtoul(place.c_str() + place.find(':') + 1, nullptr, 10);
    return number > 0 && number <= lines.size() ? lines[number - 1] : "";
  };
  int caught = 0, clean = 0;
  for (json const& row : s["tables"][0]["rows"]) {
    if (row[2] == "nothing") {
      EXPECT_EQ(row[0], "with __syncthreads()");
      ++clean;
      continue;
    }
    std::string const both = line(row[3]) + line(row[4]);
    EXPECT_NE(both.find("squares[t / 32] = sum"), std::string::npos) << both;
    EXPECT_NE(both.find("squares[0] + squares[1]"), std::string::npos) << both;
    ++caught;
  }
  EXPECT_EQ(caught, 3);
  EXPECT_EQ(clean, 3);
}

// The program alone in a folder has nothing to check the kernel with.
TEST(tour, goes_on_behind_a_stop_that_fails) {
  namespace fs = std::filesystem;
  test::scratch_folder folder;
  fs::copy_file(TENON_PROGRAM, folder / "tenon");
  std::string const command = test::shell_quoted((folder / "tenon").string()) +
                              " tour --stop race --stop batching --output json --model " + test::shell_quoted(model) +
                              " >" + test::shell_quoted((folder / "out").string()) + " 2>" +
                              test::shell_quoted((folder / "err").string());
  int const raw = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(raw));
  EXPECT_EQ(WEXITSTATUS(raw), 1);
  json const run = json::parse(test::read_text(folder / "out"));
  EXPECT_NE(run["stops"][0]["error"].get<std::string>().find("tour_race: is not beside the program"),
            std::string::npos);
  EXPECT_TRUE(run["stops"][1]["error"].is_null());
  EXPECT_FALSE(run["stops"][1]["tables"].empty());
  EXPECT_NE(test::read_text(folder / "err").find("not every stop went well: found race"), std::string::npos);
}

}  // namespace
