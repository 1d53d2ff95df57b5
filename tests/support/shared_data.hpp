#pragma once
//  Models, texts and expected outputs that other programs made, beside the project where they are present.
#include <cstdlib>
#include <filesystem>

// The folder that CMake was given; a test compiled by hand looks beside its working directory.
#ifndef TENON_SHARED_DATA
#  define TENON_SHARED_DATA "../shared/data"
#endif

namespace test {

inline constexpr char no_shared_data[] = "the shared data is not here: set TENON_SHARED_DATA to its folder";

/// $TENON_SHARED_DATA, else the folder that CMake was given; empty where it is absent.
inline std::filesystem::path shared_data() {
  char const* const           named  = std::getenv("TENON_SHARED_DATA");
  std::filesystem::path const folder = named ? named : TENON_SHARED_DATA;
  return std::filesystem::is_directory(folder) ? folder : std::filesystem::path{};
}

}  // namespace test
