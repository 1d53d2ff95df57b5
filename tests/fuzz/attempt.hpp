#pragma once
//  What every reader of files promises: what it was asked for, or an `error` that says what it expected, and nothing else.
#include <engine/error.hpp>

#include <cstdlib>
#include <string>

namespace fuzz {

void attempt(auto const& read) {
  try {
    read();
  } catch (tenon::engine::error const& e) {
    std::string const message = e.what();
    if (message.find("expected") == std::string::npos || message.size() > 4096) std::abort();
  }
}

}  // namespace fuzz
