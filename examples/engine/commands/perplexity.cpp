#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/commands/requests.hpp"
#include "engine/commands/scored_texts.hpp"
#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/files/npy.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

int run_perplexity(options const& from) {
  if (from.text_file.empty() == from.ids_file.empty())
    throw usage_error("perplexity: wants one text: found " + std::string(from.text_file.empty() ? "none" : "two") +
                      ", expected --text FILE or --ids FILE");
  if (from.kv.prefix) return run_kv_perplexity(from);
  model_files const files  = open_model(from, from.text_file.empty() ? text_use::none : text_use::needed);
  auto const        texts  = texts_of(from.text_file, from.ids_file, files);
  run_limits        limits = limits_of(from, files.config, 1);
  limits.max_rows          = limits.max_batched_tokens;
  auto const model         = open_decoder(from, files, limits);
  auto const reference     = from.reference.empty() ? nullptr : open_decoder(from, files, limits, run_as::reference);

  std::unique_ptr<npy_writer> dump;
  if (!from.dump_logits.empty()) dump = std::make_unique<npy_writer>(from.dump_logits, files.config.vocab_size);
  scorer_options const o = scorer_options_of(from, limits);

  score total;
  for (auto const& ids : texts)
    score_text(*model, reference.get(), ids, o, total, [&](std::span<float const> logits) {
      if (dump) dump->append(logits);
    });
  if (dump) dump->close();
  if (total.tokens == 0)
    throw wrong(from.text_file + from.ids_file, "holds nothing to score", "fewer than 2 tokens", "at least 2");
  if (total.against.broken() > 0)
    throw wrong(from.model, "has logits that are not finite", std::to_string(total.against.broken()) + " positions",
                "none");

  result_writer out;
  if (from.output == output_format::json) {
    nlohmann::ordered_json j;
    j["tokens"] = total.tokens, j["nll"] = total.mean_nll(), j["perplexity"] = total.perplexity();
    if (total.compared)
      j["kl"] = total.against.mean_kl(), j["kl_stderr"] = total.against.kl_standard_error(),
      j["top1_agreement"] = total.against.top1_agreement();
    out.write(to_line(j));
  } else {
    char line[256];
    std::snprintf(line, sizeof line, "tokens %lld  nll %.6f  perplexity %.6f\n", static_cast<long long>(total.tokens),
                  total.mean_nll(), total.perplexity());
    out.write(line);
    if (total.compared) {
      std::snprintf(line, sizeof line, "against f32: kl %.3e +- %.1e nats per token, top-1 agreement %.4f\n",
                    total.against.mean_kl(), total.against.kl_standard_error(), total.against.top1_agreement());
      out.write(line);
    }
  }
  out.flush();
  return 0;
}

}  // namespace tenon::engine
