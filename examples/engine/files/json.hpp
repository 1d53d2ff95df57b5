#pragma once
//  JSON from files that nobody vouches for: limits before allocation, and errors that name the file and the key.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/error.hpp"

namespace tenon::engine {

using json_value = nlohmann::json;

struct json_limits {
  std::size_t depth  = 64;                     // nested arrays and objects
  std::size_t bytes  = std::size_t{64} << 20;  // of text
  std::size_t values = std::size_t{16} << 20;  // of any kind, keys included
};

/// Is told of the parts of an array or object as they are parsed, in place of a tree of them: one of a million values takes
/// long to make. Keys that come twice are its own affair.
class json_listener {
 public:
  virtual ~json_listener() = default;

  virtual void open(bool object)            = 0;  ///< itself first, then what is nested in it
  virtual void close()                      = 0;
  virtual void key(std::string_view name)   = 0;
  virtual void text(std::string_view value) = 0;
  virtual void value(json_value&& value)    = 0;  ///< a number, true, false or null
};

/// Listens to the member `member` of the root's member `object`, or to the root where both are empty, if it is an array or object;
/// the tree has an empty one there.
struct json_route {
  std::string_view object, member;
  json_listener*   to;
};

/// Strict JSON (RFC 8259) in UTF-8. Refuses what exceeds a limit, a key that an object repeats, and anything after the
/// value. `name` is the file (or file:line) for messages.
[[nodiscard]] json_value parse_json(std::string_view text, std::string const& name, json_limits limits = {},
                                    std::span<json_route const> routes = {});

/// Maps and parses a whole file.
[[nodiscard]] json_value read_json(std::string const& path, json_limits limits = {});

/// A value for a message: its kind, and its text where that is short.
[[nodiscard]] std::string describe(json_value const& value);

/// Typed and range-checked members of one JSON object. Absent and null are the same thing.
/// Errors read `FILE: PATH.KEY: what is wrong: found X, expected Y`.
class json_fields {
 public:
  /// `path` names the object inside the file ("" at the root). Throws when `object` is not an object.
  json_fields(json_value const& object, std::string file, std::string path = {});

  [[nodiscard]] bool               has(char const* key) const { return find(key) != nullptr; }
  [[nodiscard]] json_value const*  find(char const* key) const;  ///< nullptr when absent or null
  [[nodiscard]] json_value const&  at(char const* key, char const* expected) const;
  [[nodiscard]] std::string const& file() const { return file_; }
  [[nodiscard]] json_value const&  object() const { return *object_; }

  [[nodiscard]] std::int64_t integer(char const* key, std::int64_t low, std::int64_t high) const;
  [[nodiscard]] std::int64_t integer_or(char const* key, std::int64_t low, std::int64_t high,
                                        std::int64_t fallback) const;
  [[nodiscard]] double       number(char const* key, double low, double high) const;
  [[nodiscard]] double       number_or(char const* key, double low, double high, double fallback) const;
  [[nodiscard]] bool         flag_or(char const* key, bool fallback) const;
  [[nodiscard]] std::string  text(char const* key) const;
  [[nodiscard]] std::string  text_or(char const* key, std::string fallback) const;
  [[nodiscard]] json_fields  fields(char const* key) const;  ///< a member that is an object

  /// The error for this member.
  [[nodiscard]] error wrong(char const* key, std::string_view what, std::string_view found,
                            std::string_view expected) const;

 private:
  json_value const* object_;
  std::string       file_, path_;
};

/// `value` as an integer within [low, high]; nothing where it is none.
[[nodiscard]] std::optional<std::int64_t> integer_within(json_value const& value, std::int64_t low, std::int64_t high);
/// `value` as an integer within [low, high]; `subject` names it in the error.
[[nodiscard]] std::int64_t to_integer(json_value const& value, std::string_view subject, std::int64_t low,
                                      std::int64_t high);
/// `value` as a number within [low, high].
[[nodiscard]] double to_number(json_value const& value, std::string_view subject, double low, double high);

}  // namespace tenon::engine
