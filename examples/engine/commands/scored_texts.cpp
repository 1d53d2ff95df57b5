#include "engine/commands/scored_texts.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/files/mapped_file.hpp"

namespace tenon::engine {

std::vector<std::vector<std::int32_t>> texts_of(options const& from, model_files const& files) {
  if (!from.text_file.empty()) {
    mapped_file const text(from.text_file);
    return {files.text->encode(text.text())};
  }
  auto const        root    = read_json(from.ids_file);
  json_fields const fields  = json_fields(root, from.ids_file);
  auto const&       entries = fields.at("per_text", "an array of objects with ids");
  if (!entries.is_array())
    throw fields.wrong("per_text", "is no array", describe(entries), "an array of objects with ids");
  std::vector<std::vector<std::int32_t>> texts;
  for (auto const& entry : entries) {
    std::string const name = "per_text[" + std::to_string(texts.size()) + "]";
    json_fields const text(entry, from.ids_file, name);
    auto const&       list = text.at("ids", "an array of token ids");
    if (!list.is_array()) throw text.wrong("ids", "is no array", describe(list), "an array of token ids");
    auto& ids = texts.emplace_back();
    for (auto const& id : list)
      ids.push_back(static_cast<std::int32_t>(
          to_integer(id, from.ids_file + ": " + name + ".ids", 0, files.config.vocab_size - 1)));
  }
  return texts;
}

}  // namespace tenon::engine
