#pragma once
//  Places in the source as small numbers. A call of arch:: brings its own place; a plain load or store has only a return
//  address, which addr2line turns into a place when a report is made.
#include <tenon/simt/site.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <elf.h>
#include <unistd.h>

extern "C" char const __executable_start[];  // the linker's: where this program's image begins

namespace tenon::simt::checked {

/// Below 2^31: a return address, counted from the image's begin. From there on: an entry of the table.
using site_number = std::uint32_t;

struct source_line {
  std::string file, function;
  unsigned    line = 0;
};

constexpr site_number first_named_site = 0x80000000u;

inline site_number site_of(void const* return_address) {
  auto const o =
      reinterpret_cast<std::uintptr_t>(return_address) - reinterpret_cast<std::uintptr_t>(__executable_start);
  return o < first_named_site ? static_cast<site_number>(o) : 0;
}

class site_table {
 public:
  static constexpr site_number named = first_named_site;

  site_number of(site const& at) {
    auto const key = (reinterpret_cast<std::uintptr_t>(at.file) ^ at.line * 0x9e3779b97f4a7c15u ^ at.column << 7);
    auto&      hit = recent_[(key ^ key >> 17) % std::size(recent_)];
    if (hit.number && hit.at.file == at.file && hit.at.line == at.line && hit.at.column == at.column) return hit.number;
    for (std::size_t i = 0; i < sites_.size(); ++i)
      if (sites_[i].line == at.line && sites_[i].column == at.column && !std::strcmp(sites_[i].file, at.file))
        return remember(hit, at, static_cast<site_number>(i));
    sites_.push_back(at);
    return remember(hit, at, static_cast<site_number>(sites_.size() - 1));
  }

  /// The place that a call brought with it.
  site named_site(site_number s) const { return s >= named ? sites_[s - named] : site{}; }

  /// Looks all the addresses up at once; later calls of line() find them.
  void resolve(std::vector<site_number> wanted) {
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    std::erase_if(wanted, [&](site_number s) { return s >= named || s == 0 || lines_.count(s); });
    if (wanted.empty()) return;
    auto const&          image      = *reinterpret_cast<Elf64_Ehdr const*>(__executable_start);
    std::uintptr_t const base       = image.e_type == ET_DYN ? 0 : reinterpret_cast<std::uintptr_t>(__executable_start);
    char                 self[4096] = {};
    if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0) return;
    std::string command = "addr2line -a -i -f -C -e '" + std::string(self) + "' 2>/dev/null";
    for (auto const s : wanted) {
      char text[32];
      std::snprintf(text, sizeof text, " 0x%lx", static_cast<unsigned long>(base + s - 1));
      command += text;
    }
    for (auto const s : wanted) lines_[s] = {};
    std::FILE* const pipe = popen(command.c_str(), "r");
    if (!pipe) return;
    // Per address: the address, then a function and a place for every inlined frame, innermost first.
    std::string text, function;
    std::size_t index        = 0;
    bool        expect_place = false, settled = false;
    char        line[4096];
    while (std::fgets(line, sizeof line, pipe)) {
      text = line;
      while (!text.empty() && text.back() == '\n') text.pop_back();
      if (text.rfind("0x", 0) == 0 && text.find_first_not_of("0123456789abcdef", 2) == std::string::npos) {
        auto const address = static_cast<std::uintptr_t>(std::strtoull(text.c_str(), nullptr, 16));
        auto const found   = std::find(wanted.begin(), wanted.end(), static_cast<site_number>(address - base + 1));
        index              = static_cast<std::size_t>(found - wanted.begin());
        settled            = found == wanted.end();
        expect_place       = false;
      } else if (!expect_place) {
        function = text, expect_place = true;
      } else {
        expect_place = false;
        if (settled) continue;
        auto const colon = text.rfind(':');
        if (colon == std::string::npos || text[0] == '?') continue;
        auto& to = lines_[wanted[index]];
        to       = {relative(text.substr(0, colon)), function,
                    static_cast<unsigned>(std::strtoul(text.c_str() + colon + 1, nullptr, 10))};
        // An access inside the machine's or the standard library's own header stands for the line that called it.
        settled = !inside_library(to.file);
      }
    }
    pclose(pipe);
  }

  source_line line(site_number s) const {
    if (s >= named) return {relative(sites_[s - named].file), "", sites_[s - named].line};
    auto const found = lines_.find(s);
    return found == lines_.end() ? source_line{} : found->second;
  }

  /// The line itself, without its indentation; empty where the file cannot be read.
  std::string text(source_line const& at) {
    constexpr std::size_t most_files = 64, most_lines = 100000;
    if (at.file.empty() || at.line == 0) return {};
    auto found = files_.find(at.file);
    if (found == files_.end()) {
      if (files_.size() >= most_files) files_.clear();
      found = files_.try_emplace(at.file).first;
      std::ifstream file(at.file);
      for (std::string line; found->second.size() < most_lines && std::getline(file, line);)
        found->second.push_back(std::move(line));
    }
    if (at.line > found->second.size()) return {};
    std::string const& line  = found->second[at.line - 1];
    std::size_t const  first = line.find_first_not_of(" \t"), last = line.find_last_not_of(" \t\r");
    return first == std::string::npos ? std::string() : line.substr(first, last - first + 1);
  }

 private:
  struct entry {
    site        at;
    site_number number = 0;
  };
  site_number remember(entry& hit, site const& at, site_number index) {
    hit = {at, named + index};
    return named + index;
  }
  /// As seen from where the program runs, where it lies below.
  static std::string relative(std::string file) {
    static std::string const here = [] {
      char folder[4096];
      return getcwd(folder, sizeof folder) ? std::string(folder) + "/" : std::string();
    }();
    if (!here.empty() && file.starts_with(here)) file.erase(0, here.size());
    while (file.starts_with("./")) file.erase(0, 2);
    return file;
  }
  static bool inside_library(std::string const& file) {
    for (auto const* part : {"/tenon/simt/", "/tenon/arch/", "/tenon/core/", "/include/c++/"})
      if (file.find(part) != std::string::npos) return true;
    return false;
  }

  entry                              recent_[1024];
  std::vector<site>                  sites_;
  std::map<site_number, source_line> lines_;

  std::map<std::string, std::vector<std::string>> files_;  // their lines, as far as reports have asked
};

inline site_table& sites() {
  static auto* const table = new site_table;
  return *table;
}

}  // namespace tenon::simt::checked
