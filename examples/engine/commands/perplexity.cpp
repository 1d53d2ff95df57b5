#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/commands/requests.hpp"
#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/files/mapped_file.hpp"
#include "engine/files/npy.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

namespace {

/// The texts to score, as ids: one from --text, or each of --ids' per_text[].ids.
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

}  // namespace

int run_perplexity(options const& from) {
  if (from.text_file.empty() == from.ids_file.empty())
    throw usage_error("perplexity: wants one text: found " + std::string(from.text_file.empty() ? "none" : "two") +
                      ", expected --text FILE or --ids FILE");
  model_files const files  = open_model(from, from.text_file.empty() ? text_use::none : text_use::needed);
  auto const        texts  = texts_of(from, files);
  run_limits        limits = limits_of(from, files.config, 1);
  limits.max_rows          = limits.max_batched_tokens;
  auto const model         = open_decoder(from, files, limits);
  auto const reference     = from.reference.empty() ? nullptr : open_decoder(from, files, limits, run_as::reference);

  std::unique_ptr<npy_writer> dump;
  if (!from.dump_logits.empty()) dump = std::make_unique<npy_writer>(from.dump_logits, files.config.vocab_size);
  scorer_options o;
  o.max_length         = limits.max_length;
  o.max_batched_tokens = limits.max_batched_tokens;
  o.max_rows           = limits.max_rows;
  o.block_size         = static_cast<int>(from.block_size);

  score total;
  for (auto const& ids : texts)
    score_text(*model, reference.get(), ids, o, total, [&](std::span<float const> logits) {
      if (dump) dump->append(logits);
    });
  if (dump) dump->close();
  if (total.tokens == 0)
    throw wrong(from.text_file + from.ids_file, "holds nothing to score", "fewer than 2 tokens", "at least 2");

  result_writer out;
  if (from.output == output_format::json) {
    nlohmann::ordered_json j;
    j["tokens"] = total.tokens, j["nll"] = total.mean_nll(), j["perplexity"] = total.perplexity();
    if (total.compared)
      j["kl"] = total.mean_kl(), j["kl_stderr"] = total.kl_standard_error(),
      j["top1_agreement"] = total.top1_agreement();
    out.write(to_line(j));
  } else {
    char line[256];
    std::snprintf(line, sizeof line, "tokens %lld  nll %.6f  perplexity %.6f\n", static_cast<long long>(total.tokens),
                  total.mean_nll(), total.perplexity());
    out.write(line);
    if (total.compared) {
      std::snprintf(line, sizeof line, "against f32: kl %.3e +- %.1e nats per token, top-1 agreement %.4f\n",
                    total.mean_kl(), total.kl_standard_error(), total.top1_agreement());
      out.write(line);
    }
  }
  out.flush();
  return 0;
}

}  // namespace tenon::engine
