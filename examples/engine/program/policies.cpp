#include "engine/program/policies.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

constexpr int most_number = 1 << 24;

/// The number where `given` has the form of `name`, 0 for a name without one.
std::optional<int> matches(std::string_view name, std::string_view given) {
  std::size_t const at = name.find('N');
  if (at == name.npos) return name == given ? std::optional<int>(0) : std::nullopt;
  std::string_view const before = name.substr(0, at), after = name.substr(at + 1);
  if (given.size() <= before.size() + after.size() || !given.starts_with(before) || !given.ends_with(after)) return {};
  std::string_view const digits = given.substr(before.size(), given.size() - before.size() - after.size());
  int                    number = 0;
  auto const             r      = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (r.ec != std::errc{} || r.ptr != digits.data() + digits.size() || number < 1 || number > most_number) return {};
  return number;
}

void change(policy& to, std::string_view given) {
  for (policy_change const& c : policy_changes())
    if (auto const number = matches(c.name, given)) return c.apply(to, *number);
  std::string known;
  for (policy_change const& c : policy_changes()) known += (known.empty() ? "" : ", ") + std::string(c.name);
  throw usage_error(wrong("--policies", "unknown policy", in_quotes(given), known + ", or several joined by +").what());
}

}  // namespace

std::vector<policy_change> const& policy_changes() {
  static std::vector<policy_change> const changes = {
      {"continuous", "requests join and leave at every step",
       [](policy& p, int) { p.limits.mode = batching::continuous; }},
      {"target-Nms", "steps with decodes take N ms at most",
       [](policy& p, int n) { p.limits.itl_target = n * 1e-3, p.limits.decode_first = true; }},
      {"mixed-N", "N tokens a step, decodes among them, and no target",
       [](policy& p, int n) { p.limits.itl_target = 0, p.limits.max_batched_tokens = n; }},
      {"prefill-first", "whole prompts before decodes and never with them, first come, first served",
       [](policy& p, int) {
         p.limits.decode_first = false, p.limits.chunked_prefill = false, p.limits.itl_target = 0;
         p.limits.order = prompt_order::arrival;
       }},
      {"fcfs", "prompts in the order of arrival", [](policy& p, int) { p.limits.order = prompt_order::arrival; }},
      {"shortest", "the shortest prompt first, ageing while it waits",
       [](policy& p, int) { p.limits.order = prompt_order::shortest; }},
      {"static", "a batch starts when the last one has ended", [](policy& p, int) { p.limits.mode = batching::fixed; }},
      {"dynamic", "as static, but a batch waits a little for more requests",
       [](policy& p, int) { p.limits.mode = batching::dynamic; }},
      {"no-chunked", "a prompt is fed in one step", [](policy& p, int) { p.limits.chunked_prefill = false; }},
      {"no-prefix-cache", "no pages are shared", [](policy& p, int) { p.prefix_cache = false; }}};
  return changes;
}

policy policy_of(std::string const& names, policy const& base) {
  policy           p    = base;
  std::string_view rest = p.name = names;
  while (true) {
    std::size_t const at = rest.find('+');
    change(p, rest.substr(0, at));
    if (at == rest.npos) return p;
    rest.remove_prefix(at + 1);
  }
}

std::vector<policy> policies_of(std::string_view list, policy const& base) {
  std::vector<policy> all;
  while (true) {
    std::size_t const at = list.find(',');
    all.push_back(policy_of(std::string(list.substr(0, at)), base));
    if (at == list.npos) return all;
    list.remove_prefix(at + 1);
  }
}

}  // namespace tenon::engine
