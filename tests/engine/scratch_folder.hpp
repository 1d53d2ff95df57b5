#pragma once
//  A temporary folder, and whole files.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "engine/files/scratch_folder.hpp"

namespace test {

namespace fs = std::filesystem;

using tenon::engine::scratch_folder;

inline std::string read_text(fs::path const& file) {
  std::ifstream      in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_text(fs::path const& file, std::string_view text) {
  std::ofstream(file, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

}  // namespace test
