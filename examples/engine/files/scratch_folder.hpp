#pragma once
//  A temporary folder of one's own.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include "engine/error.hpp"

namespace tenon::engine {

/// Empty at first, and gone with this, whatever it holds then. Throws `error` where none can be made.
class scratch_folder {
 public:
  scratch_folder() {
    std::error_code             failed;
    std::filesystem::path const parent = std::filesystem::temp_directory_path(failed);
    if (failed) throw wrong("the temporary folder", "cannot be used", failed.message(), "TMPDIR as a folder");
    std::string name = (parent / "tenon-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw wrong(parent.string(), "no folder can be made there", std::strerror(errno), "a writable folder");
    path_ = name;
  }
  scratch_folder(scratch_folder const&)            = delete;
  scratch_folder& operator=(scratch_folder const&) = delete;
  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::filesystem::path const& path() const { return path_; }
  [[nodiscard]] std::filesystem::path        operator/(std::string const& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace tenon::engine
