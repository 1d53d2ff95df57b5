#include "engine/schedule/cost_model_file.hpp"

#include <filesystem>
#include <vector>

namespace tenon::engine {

namespace {

struct term {
  char const* name;
  double cost_model::*value;
};
constexpr term   terms[]      = {{"step", &cost_model::step},   {"weights", &cost_model::weights},
                                 {"token", &cost_model::token}, {"sequence", &cost_model::sequence},
                                 {"row", &cost_model::row},     {"key", &cost_model::key},
                                 {"pair", &cost_model::pair}};
constexpr double most_seconds = 1e6;

cost_model terms_of(json_fields const& fields) {
  cost_model model;
  bool       any = false;
  for (term const& t : terms) {
    any |= fields.has(t.name);
    model.*t.value = fields.number_or(t.name, 0, most_seconds, 0);
  }
  if (!any)
    throw wrong(fields.file(), "no model of costs", "none of its terms",
                "\"cost_model\", \"steps\" or the terms step, weights, token, sequence, row, key, pair");
  return model;
}

cost_model fit_of(json_value const& list, std::string const& file) {
  if (!list.is_array() || list.empty())
    throw wrong(file + ": steps", "not a list of steps", describe(list), "a list of objects");
  std::vector<measured_step> steps;
  for (std::size_t i = 0; i < list.size(); ++i) {
    json_fields const fields(list[i], file, "steps[" + std::to_string(i) + "]");
    auto const        count = [&](char const* key) { return fields.integer(key, 0, std::int64_t{1} << 50); };
    step_load const   load{count("tokens"), count("sequences"), count("rows"), count("keys"), count("pairs")};
    steps.push_back({load, fields.number("seconds", 1e-12, most_seconds)});
  }
  return fit_cost_model(steps);
}

}  // namespace

cost_model cost_model_of(json_value const& json, std::string const& file) {
  json_fields const fields(json, file);
  if (fields.has("cost_model")) return terms_of(fields.fields("cost_model"));
  if (json_value const* const steps = fields.find("steps")) return fit_of(*steps, file);
  return terms_of(fields);
}

cost_model load_cost_model(std::string const& file_or_name) {
  std::error_code ignored;
  if (std::filesystem::exists(file_or_name, ignored)) return cost_model_of(read_json(file_or_name), file_or_name);
  return named_cost_model(file_or_name);
}

nlohmann::ordered_json to_json(cost_model const& model) {
  nlohmann::ordered_json j;
  for (term const& t : terms) j[t.name] = model.*t.value;
  return j;
}

}  // namespace tenon::engine
