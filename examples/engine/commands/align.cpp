#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/commands/align_budgets.hpp"
#include "engine/commands/requests.hpp"
#include "engine/commands/scored_texts.hpp"
#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/generation/alignment.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

namespace {

nlohmann::ordered_json to_json(tensor_error const& e) {
  nlohmann::ordered_json j;
  j["n"] = e.count(), j["rel_l2"] = e.rel_l2(), j["one_minus_cosine"] = e.one_minus_cosine();
  j["sqnr_db"] = e.sqnr(), j["max_abs"] = e.max_abs(), j["mean_abs"] = e.mean_abs();
  j["p99_ulp"] = e.ulp_quantile(.99), j["max_ulp"] = e.max_ulp(), j["max_ulp_near_zero"] = e.max_ulp_near_zero();
  j["ulp_histogram"] = e.ulp_histogram(), j["not_finite"] = e.broken();
  if (e.worst().index >= 0)
    j["worst"] = {{"index", e.worst().index}, {"reference", e.worst().reference}, {"tested", e.worst().tested}};
  return j;
}

nlohmann::ordered_json to_json(logits_error const& e) {
  nlohmann::ordered_json j;
  j["kl"] = e.mean_kl(), j["kl_stderr"] = e.kl_standard_error(), j["kl_p99"] = e.kl_quantile(.99);
  j["kl_max"] = e.kl_quantile(1), j["top1_agreement"] = e.top1_agreement(), j["near_ties"] = e.near_ties();
  j["nll_difference"] = e.nll_difference(), j["nll_difference_stderr"] = e.nll_standard_error();
  j["rms_delta_p"] = e.rms_delta_p(), j["not_finite"] = e.broken();
  return j;
}

std::string text_of(alignment const& all, budgets const& may) {
  std::string text;
  auto const  line = [&](auto const&... values) {
    char buffer[256];
    std::snprintf(buffer, sizeof buffer, values...);
    text += buffer;
  };
  std::size_t name = 8;
  for (stage_error const& s : all.stages) name = std::max(name, s.name.size());
  int const width = static_cast<int>(name);
  line("%*s           ---------------- isolated ----------------   ----------- propagated -----------\n", width, "");
  line("%-*s  width    rel_L2    1-cos  SQNR dB   max_abs p99 ulp max   rel_L2    1-cos  SQNR dB p99 ulp\n", width,
       "stage");
  for (stage_error const& s : all.stages) {
    tensor_error const &i = s.isolated, &p = s.propagated;
    line("%-*s %6zu  %.2e  %.1e  %7.1f  %.2e %5lld %5lld  %.2e  %.1e  %7.1f %7lld", width, s.name.c_str(), s.width,
         i.rel_l2(), i.one_minus_cosine(), i.sqnr(), i.max_abs(), static_cast<long long>(i.ulp_quantile(.99)),
         static_cast<long long>(i.max_ulp()), p.rel_l2(), p.one_minus_cosine(), p.sqnr(),
         static_cast<long long>(p.ulp_quantile(.99)));
    if (i.broken() + p.broken() > 0)
      line("  %lld not finite", static_cast<long long>(std::max(i.broken(), p.broken())));
    text += may.passes(i) ? "\n" : "  FAIL\n";
  }
  logits_error const& l = all.logits;
  line(
      "\n%lld tokens: kl %.3e +- %.1e nats (p99 %.1e, max %.1e), top-1 agreement %.4f (%lld near ties),\n"
      "loss %+.2e +- %.1e, probability of the next token off by %.2e (rms)\n",
      static_cast<long long>(all.tokens), l.mean_kl(), l.kl_standard_error(), l.kl_quantile(.99), l.kl_quantile(1),
      l.top1_agreement(), static_cast<long long>(l.near_ties()), l.nll_difference(), l.nll_standard_error(),
      l.rms_delta_p());
  stage_error const* const first = first_divergent(all, may);
  line("budgets: %.1e of a stage, kl %.1e, top-1 %.3f near ties apart: ", may.stage, may.kl, may.top1);
  if (first != nullptr) text += "FAIL, first at " + first->name + "\n";
  else text += may.passes(l) ? "PASS\n" : "FAIL of the logits alone: every stage is within its budget\n";
  return text;
}

}  // namespace

int run_align(options const& from) {
  options other = from;
  if (!from.align.against.empty()) other.model = from.align.against;
  bool const        needs_text = !from.text_file.empty();
  model_files const files      = open_model(from, needs_text ? text_use::needed : text_use::none);
  other.quantize.clear();
  model_files const expected = open_model(other, text_use::none);
  if (expected.config.vocab_size != files.config.vocab_size)
    throw wrong("--against", "has another vocabulary", std::to_string(expected.config.vocab_size) + " ids",
                std::to_string(files.config.vocab_size));
  auto const texts  = texts_of(from.text_file, from.ids_file, files);
  run_limits limits = limits_of(from, files.config, 1);
  limits.max_length = std::min(limits.max_length, limits_of(other, expected.config, 1).max_length);
  limits.max_rows   = limits.max_batched_tokens;

  scorer_options const o = scorer_options_of(from, limits);
  limits.pages           = 2 * pages_for(static_cast<std::size_t>(limits.max_length), o);

  number_format const stored    = format_of(from, files.config, device_of(from));
  budgets const       may       = budgets_of(from, stored, kv_format_of(from, stored));
  auto const          reference = open_decoder(other, expected, limits, run_as::reference);
  auto const          tested    = open_decoder(from, files, limits);
  alignment           all;
  for (auto const& ids : texts) align_text(*tested, *reference, ids, o, stored, all);
  if (all.tokens == 0)
    throw wrong(from.text_file + from.ids_file, "holds nothing to feed", "fewer than 2 tokens", "at least 2");

  stage_error const* const first = first_divergent(all, may);
  bool const               good  = first == nullptr && may.passes(all.logits);
  result_writer            out;
  if (from.output == output_format::json) {
    nlohmann::ordered_json j;
    j["tokens"] = all.tokens, j["pass"] = good;
    j["first_divergent"] = first ? nlohmann::ordered_json(first->name) : nlohmann::ordered_json(nullptr);
    j["budgets"]         = {{"stage", may.stage}, {"kl", may.kl}, {"top1", may.top1}};
    for (stage_error const& s : all.stages)
      j["stages"].push_back({{"name", s.name},
                             {"width", s.width},
                             {"pass", may.passes(s.isolated)},
                             {"isolated", to_json(s.isolated)},
                             {"propagated", to_json(s.propagated)}});
    j["logits"] = to_json(all.logits);
    out.write(to_line(j));
  } else {
    out.write(text_of(all, may));
  }
  out.flush();
  return good ? 0 : 1;
}

}  // namespace tenon::engine
