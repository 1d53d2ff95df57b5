#pragma once
//  For callers who prefer exceptions: throws what a status says.
#include <tenon/core/status.hpp>

#include <stdexcept>
#include <string>

namespace tenon {

/// "rms_norm: shape mismatch: hidden: found 63, expected 64"
inline std::string describe(status const& s) {
  if (s.ok()) return "ok";
  return std::string(s.primitive) + ": " + to_string(s.code) + ": " + s.subject + ": found " + std::to_string(s.got) +
         ", expected " + std::to_string(s.want);
}

/// Throws std::runtime_error with `describe(s)` unless `s` is ok.
inline void throw_if(status const& s) {
  if (!s.ok()) throw std::runtime_error(describe(s));
}

}  // namespace tenon
