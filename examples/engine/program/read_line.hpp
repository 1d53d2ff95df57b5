#pragma once
//  Lines of a stream that may never end.
#include <cstddef>
#include <iosfwd>
#include <string>

namespace tenon::engine {

/// One line without its end; false at the end of the text. Throws where it is longer than `most` bytes, without reading on.
[[nodiscard]] bool read_line(std::istream& in, std::string& line, std::string const& source, std::size_t most);

}  // namespace tenon::engine
