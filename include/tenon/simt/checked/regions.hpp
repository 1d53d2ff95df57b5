#pragma once
//  Bytes of the arena in the words of the program: `shared.a[1][37]`, `tile[3][17]`, element 17 of a buffer. What is kept
//  while a kernel runs is small; the words are made when there is something to report.
#include <tenon/simt/checked/arena.hpp>
#include <tenon/simt/checked/debug_info.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <cxxabi.h>
#include <elf.h>

extern "C" char const __executable_start[];  // the linker's: where this program's image begins

namespace tenon::simt::checked {

/// How a kernel sees dynamic shared memory: as one object of a type, or as an array of them.
struct shared_view {
  void const* anchor = nullptr;
  bool        array  = false;
};

/// The views that the launch's kernel has asked for.
struct shared_views {
  shared_view all[3];

  void clear() { *this = {}; }
  void add(void const* anchor, bool array) {
    if (!anchor) return;
    for (auto& v : all) {
      if (v.anchor == anchor) return;
      if (v.anchor) continue;
      v = {anchor, array};
      return;
    }
  }
};
inline constinit shared_views views_of_shared{};

/// Where an anchor leads.
inline debug_info::type type_behind(void const* anchor) {
  auto const& image = *reinterpret_cast<Elf64_Ehdr const*>(__executable_start);
  auto&       info  = debug_info::of_this_program();
  auto const  begin = image.e_type == ET_DYN ? reinterpret_cast<std::uintptr_t>(__executable_start) : 0;
  return anchor ? info.target(info.at_address(reinterpret_cast<std::uintptr_t>(anchor) - begin).of) : 0;
}

struct words {
  std::string text;    // "shared.a[1][37] (float): shared memory, bytes [128, 132) of 4096"
  std::string path;    // "shared.a[1][37]"; empty where debug information does not tell
  std::string memory;  // "shared memory"
};

/// Some bytes of the arena, or words of the caller's.
class region {
 public:
  region() = default;
  region(std::string text) : text_(std::move(text)) {}
  region(char const* text) : text_(text) {}
  region(std::size_t offset, std::size_t bytes, std::size_t shared_bytes)
      : offset_(offset), bytes_(bytes), shared_bytes_(shared_bytes), views_(views_of_shared) {}

  words in_words() const {
    if (offset_ == arena::nowhere) return {text_, "", ""};
    if (offset_ < arena::static_span) return of_static();
    if (offset_ >= arena::program_begin) return of_program();
    return offset_ < arena::heap_begin ? of_shared() : of_buffer();
  }
  operator std::string() const { return in_words().text; }

 private:
  static std::string range(std::size_t from, std::size_t n) {
    return "[" + std::to_string(from) + ", " + std::to_string(from + n) + ")";
  }
  static std::string count(std::size_t n) { return std::to_string(n) + (n == 1 ? " byte" : " bytes"); }
  static std::string with_type(std::string const& path, std::string const& type) {
    return path + (type.empty() ? "" : " (" + type + ")");
  }
  words of_shared() const {
    words w;
    w.memory = "shared memory";
    if (offset_ < arena::shared_begin) {
      w.text = "shared memory, " + count(arena::shared_begin - offset_) + " before its begin";
      return w;
    }
    std::size_t const o    = offset_ - arena::shared_begin;
    std::string const tail = "shared memory, bytes " + range(o, bytes_) + " of " + std::to_string(shared_bytes_);
    std::string       named;
    auto&             info = debug_info::of_this_program();
    for (auto const& v : views_.all) {
      debug_info::type const t    = type_behind(v.anchor);
      std::size_t const      size = t ? info.size_of(t) : 0;
      if (size == 0 || (!v.array && o >= size)) continue;
      std::string       path  = "shared";
      std::size_t const first = o / size, last = (o + bytes_ - 1) / size;
      if (v.array)
        path += "[" + std::to_string(first) + (last > first ? ".." + std::to_string(last) : std::string()) + "]";
      auto const inner = !v.array || (first == last && bytes_ < size)
                             ? info.name(t, v.array ? o % size : o, bytes_, path)
                             : debug_info::named{path, info.name_of(t)};
      named += (named.empty() ? "" : " | ") + with_type(inner.path, inner.type);
      w.path += (w.path.empty() ? "" : " | ") + inner.path;
    }
    w.text = named.empty() ? tail : named + ": " + tail;
    return w;
  }

  words of_static() const {
    words       w;
    auto&       info = debug_info::of_this_program();
    auto const* v    = memory.static_variable(offset_);
    w.memory         = "shared memory";
    w.text           = "static shared memory (a __shared__ variable)";
    if (!v) return w;
    auto        known = info.thread_local_at(v->offset);
    std::string name = known ? known.name : demangled(v->name), function = known.function;
    if (auto const colons = name.rfind("::"); colons != std::string::npos) {
      function = name.substr(0, colons);
      name.erase(0, colons + 2);
    }
    std::string const of = function.empty() ? "" : " of " + function;
    w.memory += " " + name + of;
    std::size_t const o = offset_ - v->offset;
    if (o >= v->bytes) {
      w.text = (o == v->bytes ? "right" : count(o - v->bytes)) + " after " +
               with_type(name, known ? info.name_of(known.of) : "") + ": static shared memory" + of + ", " +
               count(v->bytes);
      w.path = name;
      return w;
    }
    auto const inner = known ? info.name(known.of, o, bytes_, name) : debug_info::named{};
    w.path           = inner.path;
    w.text           = with_type(known ? w.path : name, inner.type) + ": static shared memory" + of + ", bytes " +
             range(o, bytes_) + " of " + std::to_string(v->bytes);
    return w;
  }

  words of_program() const {
    auto&       info  = debug_info::of_this_program();
    auto const& image = *reinterpret_cast<Elf64_Ehdr const*>(__executable_start);
    auto const  base  = image.e_type == ET_DYN ? reinterpret_cast<std::uintptr_t>(__executable_start) : 0;
    auto const  at    = memory.program + (offset_ - arena::program_begin) - base;
    words       w;
    w.memory = "global variable";
    w.text   = w.memory;
    for (auto const& v : info.globals()) {
      if (at < v.offset || at >= v.offset + v.bytes) continue;
      auto const known = info.at_address(v.offset);
      auto const name  = known ? known.name : demangled(v.name);
      auto const inner = known ? info.name(known.of, at - v.offset, bytes_, name) : debug_info::named{};
      w.path           = inner.path.empty() ? name : inner.path;
      w.memory += " " + name;
      w.text = with_type(w.path, inner.type) + ": global variable, bytes " + range(at - v.offset, bytes_) + " of " +
               std::to_string(v.bytes);
      break;
    }
    return w;
  }

  words of_buffer() const {
    auto const found = memory.nearest(offset_), end = memory.allocations().end();
    auto const next     = memory.allocations().upper_bound(offset_);
    auto const title_of = [](allocation const& a) {
      return "buffer " + std::to_string(a.number) + (a.name.empty() ? "" : " (" + a.name + ")");
    };
    if (next != end && (found == end || offset_ - found->first >= found->second.bytes + arena::red_zone / 2))
      return {count(next->first - offset_) + " before " + title_of(next->second) + " of " + count(next->second.bytes),
              "", title_of(next->second)};
    if (found == end) return {"device memory outside every buffer", "", "device memory"};
    auto const&       a = found->second;
    std::size_t const o = offset_ - found->first, each = a.element_bytes ? a.element_bytes : 1;
    std::size_t const first = o / each, last = (o + bytes_ - 1) / each;
    words             w;
    w.memory = title_of(a);
    w.text   = w.memory + (a.live ? "" : ", freed");
    if (each > 1) {
      auto&             info   = debug_info::of_this_program();
      auto              t      = type_behind(a.type);
      bool const        within = t && first == last && bytes_ < each;
      std::string const index  = std::to_string(first) + (last > first ? ".." + std::to_string(last) : std::string());
      std::string const whole  = (a.name.empty() ? "buffer_" + std::to_string(a.number) : a.name) + "[" + index + "]";
      auto const        in = within ? info.name(t, o % each, bytes_) : debug_info::named{"", t ? info.name_of(t) : ""};
      if (t) w.path = within ? info.name(t, o % each, bytes_, whole).path : whole;
      w.text += std::string(", element") + (last > first ? "s " : " ") + index;
      if (!in.path.empty()) w.text += " " + in.path;
      w.text += (in.type.empty() ? "" : " (" + in.type + ")") + " of " + std::to_string(a.bytes / each);
    }
    w.text += ", bytes " + range(o, bytes_) + " of " + std::to_string(a.bytes);
    return w;
  }

  static std::string demangled(std::string const& symbol) {
    int         failed = 0;
    char* const text   = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &failed);
    std::string name   = text && !failed ? text : symbol;
    std::free(text);
    return name;
  }

  std::size_t  offset_ = arena::nowhere, bytes_ = 0, shared_bytes_ = 0;
  shared_views views_;
  std::string  text_;
};

}  // namespace tenon::simt::checked
