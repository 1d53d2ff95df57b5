#include "engine/commands/workbench.hpp"

#include <algorithm>

namespace tenon::engine {

workbench::workbench(options const& from, model_config const& config, int texts, std::int64_t length) {
  constexpr int tokens = 256;  // in a step
  o_.threads = o_.load.threads = static_cast<int>(from.threads.value_or(0));
  o_.block_size                = static_cast<int>(from.block_size);
  o_.max_length                = static_cast<int>(std::min(length, config.max_position));
  o_.max_batched_tokens = o_.max_rows = std::max(tokens, texts);
  o_.max_sequences                    = texts;
}

std::unique_ptr<decoder> workbench::open(model_config const& config, checkpoint const& weights,
                                         decoder_formats const& as) const {
  decoder_options o = o_;
  o.dtype = as.numbers, o.kv_format = as.kv, o.load.quantize = as.quantize;
  return make_decoder(config, &weights, 0, o);
}

std::unique_ptr<decoder> workbench::open(editable_model const& m) const { return open(m.config(), m.as_checkpoint()); }

scorer_options workbench::scoring() const {
  return {.max_length         = o_.max_length,
          .max_batched_tokens = o_.max_batched_tokens,
          .max_rows           = o_.max_rows,
          .block_size         = o_.block_size};
}

std::int32_t first_token(model_files const& files) {
  if (files.text)
    if (auto const ids = files.text->encode(""); !ids.empty()) return ids.front();
  return files.config.bos_id.value_or(0);
}

}  // namespace tenon::engine
