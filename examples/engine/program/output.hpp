#pragma once
//  Where results go: stdout, or a file that was named for them. A write that fails is an error.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

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

/// A file that is written at the end of long work, and opened before it so that the work is not in vain. What it held stays
/// until then. Without a name it is none.
class result_file {
 public:
  explicit result_file(std::string name) : name_(std::move(name)) {
    if (name_.empty()) return;
    file_.reset(std::fopen(name_.c_str(), "ab"));
    if (!file_) fail();
  }

  explicit operator bool() const { return file_ != nullptr; }

  /// Its text from now on.
  void write(std::string_view text) {
    static_cast<void>(::ftruncate(::fileno(file_.get()), 0));  // a pipe or a device has nothing to cut
    if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0) fail();
  }

 private:
  [[noreturn]] void fail() const { throw wrong(name_, "cannot be written", std::strerror(errno), "a writable file"); }

  struct closer {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  std::string                        name_;
  std::unique_ptr<std::FILE, closer> file_;
};

}  // namespace tenon::engine
