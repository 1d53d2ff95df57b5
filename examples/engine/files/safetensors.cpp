#include "engine/files/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "engine/error.hpp"
#include "engine/files/json.hpp"

namespace tenon::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t header_limit = 100'000'000;  // bytes, as the format's own reader has it
constexpr std::size_t   rank_limit   = 16;

struct dtype_entry {
  dtype            type;
  std::string_view name;
  std::size_t      bytes;
};
constexpr std::array<dtype_entry, 16> dtypes = {{{dtype::boolean, "BOOL", 1},
                                                 {dtype::u8, "U8", 1},
                                                 {dtype::i8, "I8", 1},
                                                 {dtype::f8_e5m2, "F8_E5M2", 1},
                                                 {dtype::f8_e4m3, "F8_E4M3", 1},
                                                 {dtype::f8_e8m0, "F8_E8M0", 1},
                                                 {dtype::i16, "I16", 2},
                                                 {dtype::u16, "U16", 2},
                                                 {dtype::f16, "F16", 2},
                                                 {dtype::bf16, "BF16", 2},
                                                 {dtype::i32, "I32", 4},
                                                 {dtype::u32, "U32", 4},
                                                 {dtype::f32, "F32", 4},
                                                 {dtype::i64, "I64", 8},
                                                 {dtype::u64, "U64", 8},
                                                 {dtype::f64, "F64", 8}}};

dtype_entry const& entry_of(dtype type) {
  return *std::find_if(dtypes.begin(), dtypes.end(), [type](auto const& e) { return e.type == type; });
}

std::string range_text(std::uint64_t begin, std::uint64_t end) {
  return "bytes " + std::to_string(begin) + " to " + std::to_string(end);
}

struct parsed_tensor {
  tensor_info   info;
  std::uint64_t begin, end;  // within the data
};

parsed_tensor parse_tensor(std::string const& name, json_value const& value, std::string const& file,
                           std::uint64_t data_bytes) {
  std::string const subject = file + ": tensor " + in_quotes(name);
  json_fields const fields(value, file, "tensor " + in_quotes(name));
  parsed_tensor     t{};
  t.info.name = name;

  std::string const type = fields.text("dtype");
  auto const        kind = std::find_if(dtypes.begin(), dtypes.end(), [&](auto const& e) { return e.name == type; });
  if (kind == dtypes.end()) {
    std::string known;
    for (auto const& e : dtypes) known.append(known.empty() ? "one of " : ", ").append(e.name);
    throw wrong(subject, "unknown dtype", in_quotes(type), known);
  }
  t.info.type = kind->type;

  json_value const& shape = fields.at("shape", "an array of extents");
  if (!shape.is_array() || shape.size() > rank_limit)
    throw wrong(subject + ": shape", "is not a shape",
                shape.is_array() ? std::to_string(shape.size()) + " extents" : describe(shape),
                "an array of at most " + std::to_string(rank_limit) + " extents");
  std::uint64_t wanted = kind->bytes;
  for (auto const& extent : shape) {
    auto const n = to_integer(extent, subject + ": shape", 0, std::numeric_limits<std::int64_t>::max());
    t.info.shape.push_back(n);
    // An empty tensor may have any other extents, so overflow is judged on the non-zero ones.
    if (n != 0 && __builtin_mul_overflow(wanted, static_cast<std::uint64_t>(n), &wanted))
      throw wrong(subject, "shape is too large", shape.dump(), "fewer than 2^64 bytes");
  }
  if (std::find(t.info.shape.begin(), t.info.shape.end(), 0) != t.info.shape.end()) wanted = 0;

  json_value const& offsets = fields.at("data_offsets", "an array [begin, end]");
  if (!offsets.is_array() || offsets.size() != 2)
    throw wrong(subject + ": data_offsets", "is not a range",
                offsets.is_array() ? std::to_string(offsets.size()) + " numbers" : describe(offsets),
                "an array [begin, end]");
  constexpr auto largest = std::numeric_limits<std::int64_t>::max();
  t.begin                = static_cast<std::uint64_t>(to_integer(offsets[0], subject + ": data_offsets", 0, largest));
  t.end                  = static_cast<std::uint64_t>(to_integer(offsets[1], subject + ": data_offsets", 0, largest));
  if (t.begin > t.end || t.end > data_bytes)
    throw wrong(subject, "lies outside the file's data", range_text(t.begin, t.end),
                "a range within " + std::to_string(data_bytes) + " bytes");
  if (t.end - t.begin != wanted)
    throw wrong(subject, "has the wrong number of bytes", std::to_string(t.end - t.begin),
                std::to_string(wanted) + " for " + type + " of shape " + shape.dump());
  return t;
}

/// The ranges must cover the data from its first byte to its last, each byte once.
void check_coverage(std::vector<parsed_tensor> const& tensors, std::uint64_t data_bytes, std::string const& file) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(tensors[a].begin, tensors[a].end) < std::pair(tensors[b].begin, tensors[b].end);
  });
  std::uint64_t        covered = 0;
  parsed_tensor const* before  = nullptr;
  for (std::size_t const i : order) {
    auto const&       t       = tensors[i];
    std::string const subject = file + ": tensor " + in_quotes(t.info.name);
    if (t.begin < covered)
      throw wrong(subject, "overlaps tensor " + in_quotes(before->info.name), range_text(t.begin, t.end),
                  "to begin at byte " + std::to_string(covered));
    if (t.begin > covered)
      throw wrong(subject, "leaves a hole before it", "begin at byte " + std::to_string(t.begin),
                  "byte " + std::to_string(covered));
    covered = t.end;
    before  = &t;
  }
  if (covered != data_bytes)
    throw wrong(file, "holds bytes that belong to no tensor", std::to_string(data_bytes - covered) + " at the end",
                "none");
}

}  // namespace

std::size_t      bytes_of(dtype type) { return entry_of(type).bytes; }
std::string_view name_of(dtype type) { return entry_of(type).name; }

std::int64_t tensor_info::elements() const { return static_cast<std::int64_t>(bytes.size() / bytes_of(type)); }

safetensors_file::safetensors_file(fs::path const& path) : file_(path) {
  auto const         all  = file_.bytes();
  std::string const& name = file_.name();
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t header_bytes = 0;
  if (all.size() < sizeof header_bytes)
    throw wrong(name, "is truncated", std::to_string(all.size()) + " bytes", "a safetensors header of at least 8");
  std::memcpy(&header_bytes, all.data(), sizeof header_bytes);
  if (header_bytes > header_limit)
    throw wrong(name, "header length is too large", std::to_string(header_bytes) + " bytes",
                "at most " + std::to_string(header_limit) + " (is this a safetensors file?)");
  std::uint64_t const rest = all.size() - sizeof header_bytes;
  if (header_bytes > rest)
    throw wrong(name, "is truncated in its header", std::to_string(rest) + " bytes after the length",
                std::to_string(header_bytes) + " bytes of header");
  auto const data   = all.subspan(sizeof header_bytes + header_bytes);
  auto const header = file_.text().substr(sizeof header_bytes, header_bytes);
  if (!header.starts_with('{'))
    throw wrong(name, "header is not a JSON object", in_quotes(header.substr(0, 1)), "\"{\"");

  json_value const           tree = parse_json(header, name, {.depth = 8, .bytes = header_limit});
  std::vector<parsed_tensor> tensors;
  tensors.reserve(tree.size());
  for (auto const& [key, value] : tree.items()) {
    if (key == "__metadata__") {
      for (auto const& [k, v] : json_fields(value, name, key).object().items()) {
        if (!v.is_string()) throw wrong(name + ": __metadata__." + one_line(k), "wrong type", describe(v), "a string");
        metadata_.emplace(k, v.get<std::string>());
      }
      continue;
    }
    tensors.push_back(parse_tensor(key, value, name, data.size()));
  }
  // A truncated file is the likeliest fault, and its first symptom is a tensor past the end: parse_tensor names it.
  check_coverage(tensors, data.size(), name);
  tensors_.reserve(tensors.size());
  for (auto& t : tensors) {  // the tree's keys are sorted
    t.info.bytes = data.subspan(t.begin, t.end - t.begin);
    tensors_.push_back(std::move(t.info));
  }
}

tensor_info const* safetensors_file::find(std::string_view name) const {
  auto const at = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                   [](tensor_info const& t, std::string_view wanted) { return t.name < wanted; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

checkpoint::checkpoint(fs::path const& directory) : name_(directory.string()) {
  fs::path const  single = directory / "model.safetensors", index = directory / "model.safetensors.index.json";
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored))
    throw wrong(name_, "is not a model directory",
                fs::exists(directory, ignored) ? "a file" : "no such file or directory", "a directory");

  if (fs::exists(single, ignored)) {
    files_.push_back(std::make_unique<safetensors_file>(single));
  } else if (fs::exists(index, ignored)) {
    std::string const                              file = index.string();
    json_value const                               tree = read_json(file);
    json_fields const                              map  = json_fields(tree, file).fields("weight_map");
    std::map<std::string, safetensors_file const*> shards;
    for (auto const& [tensor, value] : map.object().items()) {
      std::string const subject = file + ": weight_map." + one_line(tensor);
      if (!value.is_string()) throw wrong(subject, "wrong type", describe(value), "a file name");
      std::string const shard = value.get<std::string>();
      auto              at    = shards.find(shard);
      if (at == shards.end()) {
        if (shard.empty() || shard == "." || shard == ".." ||
            shard.find_first_of(std::string_view("/\\\0", 3)) != shard.npos)
          throw wrong(subject, "names a shard outside the directory", in_quotes(shard), "a file name");
        if (!fs::exists(directory / shard, ignored))
          throw wrong(subject, "names a shard that is missing", "no file " + in_quotes(shard), "it beside the index");
        files_.push_back(std::make_unique<safetensors_file>(directory / shard));
        at = shards.emplace(shard, files_.back().get()).first;
      }
      tensor_info const* info = at->second->find(tensor);
      if (info == nullptr)
        throw wrong(subject, "names a tensor that its shard lacks", "no such tensor in " + in_quotes(shard), "one");
      add(info);
    }
    return;
  } else {
    std::vector<fs::path> paths;
    for (auto at = fs::directory_iterator(directory, ignored); at != fs::directory_iterator(); at.increment(ignored))
      if (at->path().extension() == ".safetensors") paths.push_back(at->path());
    std::sort(paths.begin(), paths.end());
    if (paths.empty())
      throw wrong(name_, "holds no weights", "no *.safetensors file",
                  "model.safetensors or model.safetensors.index.json");
    for (auto const& path : paths) files_.push_back(std::make_unique<safetensors_file>(path));
  }
  for (auto const& file : files_)
    for (auto const& t : file->tensors()) {
      if (tensors_.contains(t.name))
        throw wrong(file->name(), "tensor is in two files", in_quotes(t.name) + " again", "it in one of them");
      add(&t);
    }
}

checkpoint::checkpoint(std::string name, std::vector<tensor_info> tensors)
    : name_(std::move(name)), own_(std::move(tensors)) {
  for (tensor_info const& t : own_) add(&t);
}

void checkpoint::add(tensor_info const* tensor) { tensors_.emplace(tensor->name, tensor); }

tensor_info const* checkpoint::find(std::string_view name) const {
  auto const at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : at->second;
}

tensor_info const& checkpoint::at(std::string_view name) const {
  if (auto const* t = find(name)) return *t;
  throw wrong(name_, "a tensor is missing", "no " + in_quotes(name), "it among the weights");
}

std::vector<std::string> checkpoint::names() const {
  std::vector<std::string> all;
  for (auto const& [name, tensor] : tensors_) all.emplace_back(name);
  return all;
}

std::map<dtype, std::uint64_t> checkpoint::bytes_by_dtype() const {
  std::map<dtype, std::uint64_t> bytes;
  for (auto const& [name, tensor] : tensors_) bytes[tensor->type] += tensor->bytes.size();
  return bytes;
}

std::uint64_t checkpoint::parameters() const {
  std::uint64_t count = 0;
  for (auto const& [name, tensor] : tensors_) count += static_cast<std::uint64_t>(tensor->elements());
  return count;
}

void write_safetensors(fs::path const& path, std::span<tensor_info const> tensors,
                       std::map<std::string, std::string> const& metadata) {
  std::string const               name = path.string();
  std::vector<tensor_info const*> order;
  for (auto const& t : tensors) order.push_back(&t);
  std::stable_sort(order.begin(), order.end(),
                   [](auto const* a, auto const* b) { return bytes_of(a->type) > bytes_of(b->type); });

  json_value header = json_value::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t end = 0;
  for (auto const* t : order) {
    if (header.contains(t->name)) throw wrong(name, "tensor is written twice", in_quotes(t->name), "each name once");
    std::uint64_t bytes = bytes_of(t->type);
    for (auto const extent : t->shape)
      if (extent < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes))
        throw wrong(name + ": tensor " + in_quotes(t->name), "shape is too large", json_value(t->shape).dump(),
                    "fewer than 2^64 bytes");
    if (bytes != t->bytes.size())
      throw wrong(name + ": tensor " + in_quotes(t->name), "has the wrong number of bytes",
                  std::to_string(t->bytes.size()), std::to_string(bytes));
    header[t->name] = {{"dtype", name_of(t->type)}, {"shape", t->shape}, {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');

  std::ofstream       out(path, std::ios::binary | std::ios::trunc);
  std::uint64_t const header_bytes = text.size();
  out.write(reinterpret_cast<char const*>(&header_bytes), sizeof header_bytes);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  for (auto const* t : order)
    out.write(reinterpret_cast<char const*>(t->bytes.data()), static_cast<std::streamsize>(t->bytes.size()));
  out.close();
  if (!out) throw wrong(name, "cannot be written", "an output error", "a writable file");
}

}  // namespace tenon::engine
