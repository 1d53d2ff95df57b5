#pragma once
//  tenon compress as tests run it, and what is in the folder that it wrote.
#include <engine/files/safetensors.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "program.hpp"

namespace test {

/// The report of a run that works. Calibrated by six short texts of the model's own.
inline nlohmann::json compress(std::string const& from, std::string const& out, std::vector<std::string> const& more) {
  auto const r = run_program({"compress", "--model", from, "--out", out, "--output", "json", "--calibration-texts", "6",
                              "--calibration-length", "40"},
                             more);
  EXPECT_EQ(r.status, 0) << r.err;
  auto const lines = r.lines();
  return lines.size() == 1 ? lines[0] : nlohmann::json();
}

/// Eight tokens behind a prompt, the likeliest each time.
inline nlohmann::json generated(std::string const& from) {
  auto const r = run_program({"generate", "--model", from, "--prompts", "-", "--temperature", "0", "--max-tokens", "8",
                              "--ignore-eos", "--output", "json"},
                             "{\"prompt_ids\":[3,5,7]}\n");
  EXPECT_EQ(r.status, 0) << r.err;
  return r.status == 0 ? r.lines().at(0).at("ids") : nlohmann::json();
}

/// The elements of a tensor, whose type is as wide as T.
template <class T>
std::vector<T> elements(tenon::engine::checkpoint const& files, std::string const& name) {
  auto const& t = files.at(name);
  EXPECT_EQ(tenon::engine::bytes_of(t.type), sizeof(T)) << name;
  std::vector<T> values(t.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), t.bytes.data(), values.size() * sizeof(T));
  return values;
}

/// Those of a tensor of f32 in a folder.
inline std::vector<float> numbers(fs::path const& folder, std::string const& name) {
  return elements<float>(tenon::engine::checkpoint(folder), name);
}

}  // namespace test
