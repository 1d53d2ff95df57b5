#include "engine/program/kv_flags.hpp"

#include <string>

#include "engine/program/option_set.hpp"

namespace tenon::engine {

namespace {

constexpr choice<kv_score> scores[] = {
    {"snapkv", kv_score::snapkv}, {"h2o", kv_score::h2o},           {"mean", kv_score::mean},
    {"tova", kv_score::tova},     {"expected", kv_score::expected}, {"keydiff", kv_score::keydiff},
    {"knorm", kv_score::knorm},   {"window", kv_score::window},     {"random", kv_score::random}};
constexpr choice<kv_budget> budgets[] = {
    {"uniform", kv_budget::uniform}, {"pyramid", kv_budget::pyramid}, {"ada", kv_budget::ada}};
constexpr choice<kv_estimate> estimates[] = {
    {"mean", kv_estimate::mean}, {"guess", kv_estimate::guess}, {"bound", kv_estimate::bound}};

void refuse_kv(option_set const& set, std::string const& lacking) {
  set.refuse({"--kv-score", "--kv-budget", "--kv-sinks", "--kv-recent", "--kv-floor", "--kv-rebuild", "--kv-rebuild-by",
              "--kv-span"},
             "no " + lacking, "it beside " + lacking);
}

}  // namespace

void add_kv(option_set& set, kv_flags& kv) {
  kv_compression& how = kv.how;
  set.number("--kv-keep", "share of a prompt's tokens that stay in the KV cache", how.keep, 0, 1, "1", true);
  set.one_of("--kv-score", "which tokens stay", how.score, scores);
  set.one_of("--kv-budget", "how layers and heads share what stays", how.budget, budgets);
  set.integer("--kv-sinks", "first tokens that every head keeps", how.sinks, 0, 1 << 24, "4");
  set.integer("--kv-recent", "last tokens that every head keeps", how.recent, 1, 1 << 24, "32");
  set.number("--kv-floor", "ada: share of an even budget that each head has for itself", how.floor, 0, 1, "0.2");
  set.number("--kv-rebuild", "dropped tokens come back where a query would give their span this share of its attention",
             how.rebuild, 0, 1);
  set.one_of("--kv-rebuild-by", "how that share is estimated", how.rebuild_by, estimates);
  set.integer("--kv-span", "tokens that come back together", how.span, 1, 1 << 24, "16");
}

void add_kv_prefix(option_set& set, kv_flags& kv) {
  set.integer("--kv-prefix", "compress the KV cache behind this many tokens of each text, and score what follows",
              kv.prefix, 1, 1 << 24);
}

void check_kv(option_set const& set, kv_flags const& kv) {
  if (kv.how.keep == 1) refuse_kv(set, "--kv-keep below 1");
}

void check_kv_prefix(option_set const& set, kv_flags const& kv) {
  if (kv.prefix) return set.refuse({"--dump-logits"}, "--kv-prefix", "no --kv-prefix");
  set.refuse({"--kv-keep"}, "no --kv-prefix", "it beside --kv-prefix");
  refuse_kv(set, "--kv-prefix");
}

}  // namespace tenon::engine
