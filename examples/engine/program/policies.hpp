#pragma once
//  Ways of scheduling by name, to be compared with each other: each is a few changes to what is given.
#include <string>
#include <string_view>
#include <vector>

#include "engine/schedule/schedule_options.hpp"

namespace tenon::engine {

struct policy {
  std::string      name = "continuous";
  schedule_options limits;
  bool             prefix_cache = true;
};

struct policy_change {
  char const* name;  // "N" at its end or within stands for a number: "mixed-N"
  char const* help;
  void (*apply)(policy& to, int number);
};

/// All there are, in the order of --help.
[[nodiscard]] std::vector<policy_change> const& policy_changes();

/// `base` after the changes that `names` lists, joined by "+": "fcfs+mixed-2048". Throws usage_error for others.
[[nodiscard]] policy policy_of(std::string const& names, policy const& base);

/// One policy for each of `list`, which commas separate.
[[nodiscard]] std::vector<policy> policies_of(std::string_view list, policy const& base);

}  // namespace tenon::engine
