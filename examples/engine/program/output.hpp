#pragma once
//  stdout, where a write that fails is an error.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/error.hpp"

namespace tenon::engine {

class result_writer {
 public:
  void write(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail();
  }
  void flush() {
    if (std::fflush(stdout) != 0) fail();
  }

 private:
  [[noreturn]] static void fail() {
    throw wrong("stdout", "cannot be written", std::strerror(errno), "a writable output");
  }
};

}  // namespace tenon::engine
