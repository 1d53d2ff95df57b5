#include "engine/program/prompts.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/program/option_set.hpp"
#include "engine/program/read_line.hpp"
#include "engine/program/sampling_fields.hpp"

namespace tenon::engine {
namespace {

constexpr std::size_t line_limit = std::size_t{64} << 20;  // bytes
constexpr std::size_t stop_limit = 256;                    // stop texts of a request
constexpr double      latest     = 1e9;                    // seconds

constexpr std::string_view schedule_fields[] = {"arrival", "deadline", "priority", "tenant", "n"};

std::string known_fields(bool scheduled) {
  std::string known = "prompt or prompt_ids with any of ";
  for (auto const& f : integer_fields) known.append(f.name).append(", ");
  for (auto const& f : number_fields) known.append(f.name).append(", ");
  for (auto const field : schedule_fields)
    if (scheduled) known.append(field).append(", ");
  return known + "logit_bias, seed, stop, ignore_eos";
}

bool is_known(std::string const& key, bool scheduled) {
  constexpr std::string_view others[] = {"prompt", "prompt_ids", "max_new_tokens", "logit_bias",
                                         "seed",   "stop",       "ignore_eos"};
  auto const                 named    = [&](auto const& f) { return key == f.name; };
  return std::find(std::begin(others), std::end(others), key) != std::end(others) ||
         (scheduled &&
          std::find(std::begin(schedule_fields), std::end(schedule_fields), key) != std::end(schedule_fields)) ||
         std::any_of(std::begin(integer_fields), std::end(integer_fields), named) ||
         std::any_of(std::begin(number_fields), std::end(number_fields), named);
}

void read_sampling(json_fields const& f, sampling_options& s) {
  for (auto const& field : integer_fields)
    s.*field.value = f.integer_or(field.name, field.low, field.high, s.*field.value);
  s.max_tokens = f.integer_or("max_new_tokens", 0, largest_int32, s.max_tokens);
  s.top_k      = std::max<std::int64_t>(s.top_k, 0);
  for (auto const& field : number_fields) {
    s.*field.value = f.number_or(field.name, field.low, field.high, s.*field.value);
    if (field.above && s.*field.value == field.low)
      throw f.wrong(field.name, "out of range", describe(*f.find(field.name)),
                    "a number above " + json_value(static_cast<int>(field.low)).dump());
  }
  if (f.has("seed"))
    s.seed = static_cast<std::uint64_t>(f.integer("seed", 0, std::numeric_limits<std::int64_t>::max()));
  s.ignore_eos = f.flag_or("ignore_eos", s.ignore_eos);
  if (auto const* stop = f.find("stop")) {
    s.stop.clear();
    auto const add = [&](json_value const& v) {
      if (!v.is_string() || v.get_ref<std::string const&>().empty())
        throw f.wrong("stop", "is no stop text", describe(v), "a text that is not empty, or an array of them");
      s.stop.push_back(v.get<std::string>());
    };
    if (stop->is_array() && stop->size() > stop_limit)
      throw f.wrong("stop", "too many texts", std::to_string(stop->size()), "at most " + std::to_string(stop_limit));
    if (stop->is_array()) std::for_each(stop->begin(), stop->end(), add);
    else add(*stop);
  }
  if (f.has("logit_bias")) {
    s.logit_bias.clear();
    for (auto const& [key, value] : f.fields("logit_bias").object().items()) {
      std::int32_t id     = -1;
      auto const [end, e] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (e != std::errc{} || end != key.data() + key.size() || id < 0)
        throw f.wrong("logit_bias", "has a key that is no token id", in_quotes(key), "a token id");
      double const bias = to_number(value, f.file() + ": logit_bias." + key, -largest_bias, largest_bias);
      s.logit_bias.emplace_back(id, static_cast<float>(bias));
    }
  }
}

void read_schedule(json_fields const& f, request_schedule& s) {
  s.arrival  = f.number_or("arrival", 0, latest, s.arrival);
  s.priority = static_cast<int>(f.integer_or("priority", -largest_int32, largest_int32, s.priority));
  s.n        = f.integer_or("n", 1, most_completions, s.n);
  if (f.has("deadline")) s.deadline = f.number("deadline", 0, latest);
  if (auto const* tenant = f.find("tenant")) s.tenant = tenant->is_number_integer() ? tenant->dump() : f.text("tenant");
}

}  // namespace

prompt_request parse_prompt_line(std::string_view line, std::string const& source, sampling_options const& defaults,
                                 std::optional<request_schedule> const& schedule) {
  json_value const  tree = parse_json(line, source, {.depth = 8, .bytes = line_limit});
  json_fields const f(tree, source);
  for (auto const& [key, value] : f.object().items())
    if (!is_known(key, schedule.has_value()))
      throw wrong(source, "unknown field", in_quotes(key), known_fields(schedule.has_value()));
  prompt_request r;
  r.source   = source;
  r.sampling = defaults;
  if (f.has("prompt") == f.has("prompt_ids"))
    throw wrong(source, "wants one prompt", f.has("prompt") ? "prompt and prompt_ids" : "neither prompt nor prompt_ids",
                "one of them");
  if (f.has("prompt")) {
    r.prompt = f.text("prompt");
  } else {
    json_value const& ids = f.at("prompt_ids", "an array of token ids");
    if (!ids.is_array() || ids.empty())
      throw f.wrong("prompt_ids", "wrong type", ids.is_array() ? "an empty array" : describe(ids),
                    "an array of token ids");
    r.has_ids = true;
    for (auto const& id : ids)
      r.prompt_ids.push_back(static_cast<std::int32_t>(to_integer(id, source + ": prompt_ids", 0, largest_int32)));
  }
  read_sampling(f, r.sampling);
  if (schedule) r.schedule = *schedule, read_schedule(f, r.schedule);
  return r;
}

prompt_reader::prompt_reader(std::vector<std::string> texts, std::string const& file, sampling_options defaults,
                             std::optional<request_schedule> schedule)
    : texts_(std::move(texts)),
      name_(input_name(file)),
      defaults_(std::move(defaults)),
      schedule_(std::move(schedule)) {
  if (file.empty()) return;
  if (file == "-") {
    lines_ = &std::cin;
    return;
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(name_, ignored))
    throw wrong(name_, "is not a file", "a directory", "a file of JSON lines");
  errno  = 0;
  file_  = std::make_unique<std::ifstream>(name_, std::ios::binary);
  lines_ = file_.get();
  if (!*file_) throw wrong(name_, "cannot be opened", in_quotes(std::strerror(errno)), "a readable file");
}

std::optional<prompt_request> prompt_reader::next() {
  if (taken_ < texts_.size()) {
    prompt_request r;
    r.source   = "--prompt";
    r.prompt   = texts_[taken_++];
    r.sampling = defaults_;
    return r;
  }
  if (lines_ == nullptr) return {};
  std::string line;
  while (read_line(*lines_, line, name_ + ":" + std::to_string(line_ + 1), line_limit)) {
    ++line_;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    return parse_prompt_line(line, name_ + ":" + std::to_string(line_), defaults_, schedule_);
  }
  return {};
}

}  // namespace tenon::engine
