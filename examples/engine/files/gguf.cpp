#include "engine/files/gguf.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <unordered_set>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in the file");

enum value_type : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64, types_end };

constexpr char const* type_names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                      "bool", "string", "array", "u64", "i64", "f64"};
constexpr std::size_t type_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};  // 0: of no fixed size

std::string name_of(std::uint32_t type) { return type < types_end ? type_names[type] : "type " + std::to_string(type); }

/// How ggml lays out a tensor type: blocks along the first extent.
struct tensor_type {
  std::uint32_t id;
  std::uint64_t elements, bytes;  // of a block
};
constexpr tensor_type tensor_types[] = {
    {0, 1, 4},      {1, 1, 2},     {2, 32, 18},    {3, 32, 20},    {6, 32, 22},    {7, 32, 24},    {8, 32, 34},
    {9, 32, 36},    {10, 256, 84}, {11, 256, 110}, {12, 256, 144}, {13, 256, 176}, {14, 256, 210}, {15, 256, 292},
    {16, 256, 66},  {17, 256, 74}, {18, 256, 98},  {19, 256, 50},  {20, 32, 18},   {21, 256, 110}, {22, 256, 82},
    {23, 256, 136}, {24, 1, 1},    {25, 1, 2},     {26, 1, 4},     {27, 1, 8},     {28, 1, 8},     {29, 256, 56},
    {30, 1, 2},     {34, 256, 54}, {35, 256, 66},  {39, 32, 17}};

constexpr std::size_t   tensor_name_limit = 63, rank_limit = 4;
constexpr std::uint64_t default_alignment = 32, alignment_limit = std::uint64_t{1} << 30;

}  // namespace

/// Walks over the bytes; `left` never wraps around.
class gguf_file::reader {
 public:
  reader(std::string_view bytes, gguf_limits const& limits) : bytes_(bytes), limits_(limits) {}

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }

  template <class T>
  T number(std::string const& subject) {
    need(sizeof(T), subject);
    T v;
    std::memcpy(&v, bytes_.data() + at_, sizeof v);
    at_ += sizeof v;
    return v;
  }

  std::string_view text(std::string const& subject, std::size_t limit) {
    auto const length = number<std::uint64_t>(subject);
    if (length > limit)
      throw wrong(subject, "is too long", std::to_string(length) + " bytes", "at most " + std::to_string(limit));
    need(length, subject);
    std::string_view const v = bytes_.substr(at_, static_cast<std::size_t>(length));
    at_ += v.size();
    return v;
  }

  /// Reads over a value, which begins here.
  value over(std::uint32_t type, std::string const& subject, std::size_t depth = 0) {
    if (type >= types_end) throw wrong(subject, "unknown type", std::to_string(type), "a type of GGUF, 0 to 12");
    value v{type, 0, 0, at_};
    if (type == string) (void)text(subject, limits_.string);
    else if (type == array) return array_over(subject, depth);
    else if (type == boolean) {
      if (auto const b = number<std::uint8_t>(subject); b > 1)
        throw wrong(subject, "is no bool", std::to_string(b), "0 or 1");
    } else skip(type_bytes[type], subject);
    return v;
  }

 private:
  void need(std::uint64_t n, std::string const& subject) const {
    if (n > left())
      throw wrong(subject, "reaches past the end of the file", std::to_string(n) + " bytes at " + std::to_string(at_),
                  "at most " + std::to_string(left()));
  }
  void skip(std::uint64_t n, std::string const& subject) {
    need(n, subject);
    at_ += static_cast<std::size_t>(n);
  }

  value array_over(std::string const& subject, std::size_t depth) {
    if (depth >= limits_.depth)
      throw wrong(subject, "is nested too deeply",
                  "more than " + std::to_string(limits_.depth) + " arrays in each other", "at most that");
    auto const element = number<std::uint32_t>(subject);
    auto const count   = number<std::uint64_t>(subject);
    value      v{array, element, count, at_};
    if (element >= types_end) throw wrong(subject, "unknown type", std::to_string(element), "a type of GGUF, 0 to 12");
    if (count > limits_.array)
      throw wrong(subject, "is too long", std::to_string(count) + " elements",
                  "at most " + std::to_string(limits_.array));
    if (std::size_t const each = type_bytes[element]; each != 0 && element != boolean) {
      skip(each * count, subject);  // count is at most 2^24
    } else {
      for (std::uint64_t i = 0; i < count; ++i) (void)over(element, subject, depth + 1);
    }
    return v;
  }

  std::string_view   bytes_;
  gguf_limits const& limits_;
  std::size_t        at_ = 0;
};

bool looks_like_gguf(std::string_view bytes) { return bytes.starts_with("GGUF"); }

gguf_file::gguf_file(std::string_view bytes, std::string name, gguf_limits const& limits)
    : bytes_(bytes), name_(std::move(name)) {
  if (!looks_like_gguf(bytes))
    throw wrong(name_, "is no GGUF file", in_quotes(bytes.substr(0, 4)), "\"GGUF\" at the beginning");
  reader            in(bytes, limits);
  std::string const header = name_ + ": header";
  (void)in.number<std::uint32_t>(header);
  auto const version = in.number<std::uint32_t>(header);
  if (version != 2 && version != 3)
    throw wrong(name_, "unsupported GGUF version",
                version != 0 && (version & 0xFFFFu) == 0 ? "a big-endian file" : std::to_string(version),
                "2 or 3, little-endian");
  auto const tensors = in.number<std::uint64_t>(header), keys = in.number<std::uint64_t>(header);
  auto const count = [&](std::uint64_t n, char const* what, std::size_t limit, std::size_t least) {
    if (n > limit || n > in.left() / least)
      throw wrong(header, std::string("counts too many ") + what, std::to_string(n),
                  "at most " + std::to_string(std::min(limit, in.left() / least)) + ", as the file is that long");
  };
  count(keys, "keys", limits.keys, 8 + 1 + 4 + 1);           // length, key, type, value
  count(tensors, "tensors", limits.tensors, 8 + 4 + 4 + 8);  // length of the name, extents, type, offset

  for (std::uint64_t i = 0; i < keys; ++i) {
    std::string_view const key     = in.text(name_ + ": key " + std::to_string(i), limits.key);
    std::string const      subject = name_ + ": " + in_quotes(key);
    if (key.empty()) throw wrong(name_ + ": key " + std::to_string(i), "has no name", "\"\"", "a name");
    auto const type = in.number<std::uint32_t>(subject);
    if (!values_.emplace(key, in.over(type, subject)).second)
      throw wrong(subject, "is there twice", "the key again", "every key once");
  }

  std::uint64_t alignment = default_alignment;
  if (has("general.alignment")) {
    alignment = static_cast<std::uint64_t>(integer("general.alignment", 0, std::numeric_limits<std::uint32_t>::max()));
    if (!std::has_single_bit(alignment) || alignment > alignment_limit)
      throw wrong(name_ + ": \"general.alignment\"", "is no alignment", std::to_string(alignment),
                  "a power of two, at most " + std::to_string(alignment_limit));
  }

  std::unordered_set<std::string_view> names;
  tensors_.reserve(static_cast<std::size_t>(tensors));
  for (std::uint64_t i = 0; i < tensors; ++i) {
    gguf_tensor t{};
    t.name                    = in.text(name_ + ": tensor " + std::to_string(i), tensor_name_limit);
    std::string const subject = name_ + ": tensor " + in_quotes(t.name);
    if (!names.insert(t.name).second) throw wrong(subject, "is there twice", "the name again", "every name once");
    auto const rank = in.number<std::uint32_t>(subject);
    if (rank > rank_limit)
      throw wrong(subject, "has too many extents", std::to_string(rank), "at most " + std::to_string(rank_limit));
    for (std::uint32_t k = 0; k < rank; ++k) t.shape.push_back(in.number<std::uint64_t>(subject));
    t.type          = in.number<std::uint32_t>(subject);
    t.begin         = in.number<std::uint64_t>(subject);  // after the padding; absolute below
    auto const kind = std::find_if(std::begin(tensor_types), std::end(tensor_types),
                                   [&](tensor_type const& k) { return k.id == t.type; });
    if (kind == std::end(tensor_types)) throw wrong(subject, "unknown type", std::to_string(t.type), "one of ggml's");
    std::uint64_t const first = t.shape.empty() ? 1 : t.shape[0];
    if (first % kind->elements != 0)
      throw wrong(subject, "does not divide into blocks", std::to_string(first) + " in the first extent",
                  "a multiple of " + std::to_string(kind->elements));
    std::uint64_t elements = 1;
    for (std::uint64_t const n : t.shape)
      if (n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
          __builtin_mul_overflow(elements, n, &elements))
        throw wrong(subject, "is too large", "extents whose product exceeds 64 bits",
                    "as many elements as the file has");
    if (__builtin_mul_overflow(elements / kind->elements, kind->bytes, &t.bytes))
      throw wrong(subject, "is too large", std::to_string(elements) + " elements", "as many bytes as the file has");
    tensors_.push_back(std::move(t));
  }

  // The data begins at the next multiple of the alignment; each tensor where the one before ends, aligned.
  std::uint64_t const data = (in.at() + alignment - 1) / alignment * alignment;
  std::uint64_t       next = 0;  // at most the file's size and an alignment
  for (gguf_tensor& t : tensors_) {
    std::string const subject = name_ + ": tensor " + in_quotes(t.name);
    if (t.begin != next)
      throw wrong(subject, "does not follow the one before it", "offset " + std::to_string(t.begin),
                  std::to_string(next));
    std::uint64_t const room = data <= bytes.size() && next <= bytes.size() - data ? bytes.size() - data - next : 0;
    if (t.bytes > room)
      throw wrong(subject, "reaches past the end of the file", std::to_string(t.bytes) + " bytes",
                  "at most " + std::to_string(room));
    t.begin += data;
    next = (next + t.bytes + alignment - 1) / alignment * alignment;
  }
}

gguf_file::value const& gguf_file::at(std::string_view key) const {
  auto const found = values_.find(key);
  if (found == values_.end())
    throw wrong(name_, "lacks a key", "no " + in_quotes(key), "a GGUF file with a vocabulary");
  return found->second;
}

std::int64_t gguf_file::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  value const&      v       = at(key);
  std::string const subject = name_ + ": " + in_quotes(key);
  auto const        read    = [&]<class T>(T) {
    T n;
    std::memcpy(&n, bytes_.data() + v.at, sizeof n);
    if (std::cmp_less(n, low) || std::cmp_greater(n, high))
      throw wrong(subject, "is out of range", std::to_string(n),
                            "an integer from " + std::to_string(low) + " to " + std::to_string(high));
    return static_cast<std::int64_t>(n);
  };
  switch (v.type) {
    case u8: return read(std::uint8_t{});
    case i8: return read(std::int8_t{});
    case u16: return read(std::uint16_t{});
    case i16: return read(std::int16_t{});
    case u32: return read(std::uint32_t{});
    case i32: return read(std::int32_t{});
    case u64: return read(std::uint64_t{});
    case i64: return read(std::int64_t{});
    default: throw wrong(subject, "wrong type", name_of(v.type), "an integer");
  }
}

std::string_view gguf_file::text(std::string_view key) const {
  value const& v = at(key);
  if (v.type != string) throw wrong(name_ + ": " + in_quotes(key), "wrong type", name_of(v.type), "a string");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes_.data() + v.at, sizeof length);
  return bytes_.substr(v.at + sizeof length, static_cast<std::size_t>(length));
}

bool gguf_file::flag(std::string_view key) const {
  value const& v = at(key);
  if (v.type != boolean) throw wrong(name_ + ": " + in_quotes(key), "wrong type", name_of(v.type), "a bool");
  return bytes_[v.at] != 0;
}

gguf_file::value const& gguf_file::array_at(std::string_view key, std::uint32_t element, char const* expected) const {
  value const& v = at(key);
  if (v.type != array || v.element != element)
    throw wrong(name_ + ": " + in_quotes(key), "wrong type",
                v.type == array ? "an array of " + name_of(v.element) : name_of(v.type), expected);
  return v;
}

std::vector<std::string_view> gguf_file::texts(std::string_view key) const {
  value const&                  v = array_at(key, string, "an array of strings");
  std::vector<std::string_view> all;
  all.reserve(static_cast<std::size_t>(v.count));
  std::size_t at = v.at;
  for (std::uint64_t i = 0; i < v.count; ++i) {  // lengths were checked when the file was read
    std::uint64_t length = 0;
    std::memcpy(&length, bytes_.data() + at, sizeof length);
    all.push_back(bytes_.substr(at + sizeof length, static_cast<std::size_t>(length)));
    at += sizeof length + static_cast<std::size_t>(length);
  }
  return all;
}

std::vector<float> gguf_file::floats(std::string_view key) const {
  value const&       v = array_at(key, f32, "an array of f32");
  std::vector<float> all(static_cast<std::size_t>(v.count));
  if (!all.empty()) std::memcpy(all.data(), bytes_.data() + v.at, all.size() * sizeof(float));
  return all;
}

std::vector<std::int64_t> gguf_file::integers(std::string_view key) const {
  bool const                is_unsigned = at(key).type == array && at(key).element == u32;
  value const&              v           = array_at(key, is_unsigned ? u32 : i32, "an array of i32 or u32");
  std::vector<std::int64_t> all;
  all.reserve(static_cast<std::size_t>(v.count));
  for (std::size_t i = 0; i < v.count; ++i) {
    std::uint32_t n = 0;
    std::memcpy(&n, bytes_.data() + v.at + 4 * i, sizeof n);
    all.push_back(is_unsigned ? std::int64_t{n} : static_cast<std::int32_t>(n));
  }
  return all;
}

}  // namespace tenon::engine
