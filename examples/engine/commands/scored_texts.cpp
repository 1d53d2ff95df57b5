#include "engine/commands/scored_texts.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/files/mapped_file.hpp"

namespace tenon::engine {

std::vector<std::vector<std::int32_t>> texts_of(std::string const& text, std::string const& ids,
                                                model_files const& files) {
  if (!text.empty()) {
    mapped_file const file(text);
    return {files.text->encode(file.text())};
  }
  auto const        root    = read_json(ids);
  json_fields const fields  = json_fields(root, ids);
  auto const&       entries = fields.at("per_text", "an array of objects with ids");
  if (!entries.is_array())
    throw fields.wrong("per_text", "is no array", describe(entries), "an array of objects with ids");
  std::vector<std::vector<std::int32_t>> texts;
  for (auto const& entry : entries) {
    std::string const name = "per_text[" + std::to_string(texts.size()) + "]";
    json_fields const one(entry, ids, name);
    auto const&       list = one.at("ids", "an array of token ids");
    if (!list.is_array()) throw one.wrong("ids", "is no array", describe(list), "an array of token ids");
    auto& list_of = texts.emplace_back();
    for (auto const& id : list)
      list_of.push_back(
          static_cast<std::int32_t>(to_integer(id, ids + ": " + name + ".ids", 0, files.config.vocab_size - 1)));
  }
  return texts;
}

}  // namespace tenon::engine
