#include "engine/compress/model_saver.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

namespace {

namespace fs = std::filesystem;

/// What a shard is called while it is not known how many there will be.
fs::path unfinished(fs::path const& directory, std::size_t shard) {
  return directory / ("model-" + std::to_string(shard + 1) + ".part");
}

std::string shard_name(std::size_t shard, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, count);
  return name;
}

}  // namespace

void shard_writer::add(tensor_info tensor, std::vector<std::byte> given) {
  if (!given.empty()) tensor.bytes = owned_.emplace_back(std::move(given));
  waiting_bytes_ += tensor.bytes.size();
  waiting_.push_back(std::move(tensor));
  if (waiting_bytes_ >= shard_bytes_) write_shard();
}

void shard_writer::write_shard() {
  std::sort(waiting_.begin(), waiting_.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
  write_safetensors(unfinished(directory_, shards_.size()), waiting_, {{"format", "pt"}});
  auto& names = shards_.emplace_back();
  for (tensor_info const& t : waiting_) names.push_back(t.name);
  all_bytes_ += waiting_bytes_, waiting_bytes_ = 0;
  waiting_.clear(), owned_.clear();
}

std::uint64_t shard_writer::finish() {
  if (!waiting_.empty() || shards_.empty()) write_shard();
  if (shards_.size() == 1) {
    fs::rename(unfinished(directory_, 0), directory_ / "model.safetensors");
    return all_bytes_;
  }
  json_value index;
  index["metadata"]["total_size"] = all_bytes_;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    std::string const name = shard_name(i, shards_.size());
    fs::rename(unfinished(directory_, i), directory_ / name);
    for (std::string const& tensor : shards_[i]) index["weight_map"][tensor] = name;
  }
  result_file((directory_ / "model.safetensors.index.json").string()).write(index.dump(2) + "\n");
  return all_bytes_;
}

model_saver::model_saver(fs::path directory) : directory_(std::move(directory)), tensors_(directory_) {
  if (fs::exists(directory_ / "config.json"))
    throw wrong((directory_ / "config.json").string(), "is there already", "a model", "an empty folder, or none");
}

editable_model::tensor_sink model_saver::sink() {
  std::error_code e;
  fs::create_directories(directory_, e);
  if (e) throw wrong(directory_.string(), "cannot be made", e.message(), "a writable folder");
  return [this](tensor_info const& t, std::vector<std::byte> given) { tensors_.add(t, std::move(given)); };
}

void model_saver::layer(editable_model const& model) { model.write_layer(layers_++, sink()); }

std::uint64_t model_saver::finish(editable_model const& model) {
  while (layers_ < model.layers()) layer(model);
  model.write_rest(sink());
  std::uint64_t const bytes = tensors_.finish();
  model.write_description(directory_);
  return bytes;
}

}  // namespace tenon::engine
