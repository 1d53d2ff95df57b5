#pragma once
//  What a call answers: a code, and which argument was wrong, what was found and what was expected.
#include <tenon/config.hpp>

#include <cstdint>

namespace tenon {

enum class errc : std::int32_t {
  ok,
  shape_mismatch,
  bad_stride,
  misaligned,
  out_of_range,
  unsupported,
  workspace_too_small,
  out_of_memory,
  launch_failed,
};

/// Outcome of a call. Trivially copyable; every string has static storage, so making one never allocates.
struct [[nodiscard]] status {
  errc         code      = errc::ok;
  char const*  primitive = "";  // "rms_norm"
  char const*  subject   = "";  // the argument or named extent at fault: "hidden"
  std::int64_t got       = 0;
  std::int64_t want      = 0;

  constexpr bool ok() const { return code == errc::ok; }
};

constexpr char const* to_string(errc code) {
  switch (code) {
    case errc::ok: return "ok";
    case errc::shape_mismatch: return "shape mismatch";
    case errc::bad_stride: return "bad stride";
    case errc::misaligned: return "misaligned";
    case errc::out_of_range: return "out of range";
    case errc::unsupported: return "unsupported";
    case errc::workspace_too_small: return "workspace too small";
    case errc::out_of_memory: return "out of memory";
    case errc::launch_failed: return "launch failed";
  }
  return "unknown";
}

}  // namespace tenon
