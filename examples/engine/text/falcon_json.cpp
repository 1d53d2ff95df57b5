#include "engine/text/falcon_json.hpp"

#include "engine/error.hpp"

namespace tenon::engine {

bool has_falcon_words(json_value const& tree) {
  if (!tree.is_object() || !tree.contains("pre_tokenizer")) return false;
  json_value const& sequence = tree["pre_tokenizer"];
  auto const        has      = [](json_value const& step, char const* key, json_value const& value) {
    auto const at = step.find(key);
    return at != step.end() && *at == value;
  };
  if (!sequence.is_object() || !has(sequence, "type", "Sequence") || !sequence.contains("pretokenizers")) return false;
  json_value const& steps = sequence["pretokenizers"];
  if (!steps.is_array() || steps.size() != 4) return false;
  for (json_value const& step : steps)
    if (!step.is_object()) return false;
  return has(steps[0], "type", "Punctuation") && has(steps[0], "behavior", "Contiguous") &&
         has(steps[1], "type", "ByteLevel") && has(steps[1], "add_prefix_space", false) &&
         !has(steps[1], "use_regex", false) && has(steps[2], "type", "Digits") &&
         has(steps[2], "individual_digits", false) && has(steps[3], "type", "Split") &&
         has(steps[3], "pattern", {{"Regex", "[0-9][0-9][0-9]"}}) && has(steps[3], "behavior", "Isolated") &&
         !has(steps[3], "invert", true);
}

void check_falcon_merges(bpe_definition const& d) {
  auto const is_number = [](char c) {
    auto const b = static_cast<unsigned char>(c);
    return (b >= '0' && b <= '9') || b == 0xB2 || b == 0xB3 || b == 0xB9 || b == 0xBC || b == 0xBD || b == 0xBE;
  };
  for (std::size_t i = 0; i < d.merges.size(); ++i) {
    std::string const& left  = d.entries[static_cast<std::size_t>(d.merges[i].left)].bytes;
    std::string const& right = d.entries[static_cast<std::size_t>(d.merges[i].right)].bytes;
    if (!left.empty() && !right.empty() && is_number(left.back()) != is_number(right.front()))
      throw wrong(d.file + ": model.merges[" + std::to_string(i) + "]", "joins what Digits keeps apart",
                  in_quotes(left) + " and " + in_quotes(right), "numbers, or none, on both sides");
  }
}

}  // namespace tenon::engine
