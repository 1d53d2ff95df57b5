#include "engine/program/read_line.hpp"

#include <istream>

#include "engine/error.hpp"

namespace tenon::engine {

bool read_line(std::istream& in, std::string& line, std::string const& source, std::size_t most) {
  line.clear();
  auto* const buffer = in.rdbuf();
  for (;;) {
    int const c = buffer->sbumpc();
    if (c == std::char_traits<char>::eof()) return !line.empty();
    if (c == '\n') return true;
    if (line.size() == most)
      throw wrong(source, "line is too long", "more than " + std::to_string(most) + " bytes", "at most that");
    line += static_cast<char>(c);
  }
}

}  // namespace tenon::engine
