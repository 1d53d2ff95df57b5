#include "engine/text/llama2c_file.hpp"

#include <cmath>
#include <cstring>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {
namespace {

constexpr std::int32_t bos = 1, eos = 2, first_byte = 3;
constexpr std::int32_t token_limit = 1 << 10;  // bytes

}  // namespace

piece_definition read_llama2c(std::string_view bytes, std::string file) {
  piece_definition d;
  d.file          = std::move(file);
  auto const take = [&](auto& value, char const* what) {
    if (bytes.size() < sizeof value)
      throw wrong(d.file, "is truncated in token " + std::to_string(d.entries.size()),
                  std::to_string(bytes.size()) + " bytes", std::to_string(sizeof value) + " bytes of " + what);
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes.remove_prefix(sizeof value);
  };
  std::int32_t stated = 0;
  take(stated, "the longest token's length");
  if (stated < 1 || stated > token_limit)
    throw wrong(d.file, "is not a llama2.c vocabulary", "tokens of up to " + std::to_string(stated) + " bytes",
                "1 to " + std::to_string(token_limit));
  while (!bytes.empty()) {
    std::string const subject = d.file + ": token " + std::to_string(d.entries.size());
    float             score   = 0;
    std::int32_t      length  = 0;
    take(score, "a score");
    take(length, "a length");
    if (!std::isfinite(score))
      throw wrong(subject, "has a score that is no number", std::to_string(score), "a finite number");
    if (length < 0 || length > stated)
      throw wrong(subject, "has a wrong length", std::to_string(length), "0 to " + std::to_string(stated));
    if (static_cast<std::size_t>(length) > bytes.size())
      throw wrong(subject, "is truncated", std::to_string(bytes.size()) + " bytes", std::to_string(length));
    if (d.entries.size() == piece_definition::id_limit)
      throw wrong(d.file, "has too many tokens", "more than " + std::to_string(piece_definition::id_limit),
                  "at most that");
    d.entries.push_back(
        {std::string(bytes.substr(0, static_cast<std::size_t>(length))), piece_kind::text, length > 0, score});
    bytes.remove_prefix(static_cast<std::size_t>(length));
  }
  if (d.entries.size() < 3)
    throw wrong(d.file, "has too few tokens", std::to_string(d.entries.size()), "at least 3: unknown, begin, end");

  bool has_bytes = d.entries.size() >= first_byte + 256;
  for (unsigned b = 0; has_bytes && b < 256; ++b)
    has_bytes = byte_of(d.entries[first_byte + b].bytes) == static_cast<int>(b);
  for (unsigned b = 0; has_bytes && b < 256; ++b)
    d.entries[first_byte + b] = {std::string(1, static_cast<char>(b)), piece_kind::byte, false, 0};
  for (std::size_t id : {0, 1, 2}) {
    d.entries[id].kind    = id == 0 ? piece_kind::unknown : piece_kind::control;
    d.entries[id].matched = false;
  }
  d.description  = std::string("scored pieces ") + (has_bytes ? "with bytes" : "without bytes") + " (llama2.c)";
  d.unknown      = 0;
  d.unknown_text = d.entries[0].bytes;
  d.lead         = {piece_definition::lead_space::first, true, false};
  d.escaped      = false;
  d.strips_first = true;
  d.before       = {bos};
  d.ends         = {bos, eos};
  return d;
}

}  // namespace tenon::engine
