#pragma once
//  From the command line to a model that is ready to run.
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "engine/files/hf_config.hpp"
#include "engine/files/safetensors.hpp"
#include "engine/generation/generator.hpp"
#include "engine/generation/scorer.hpp"
#include "engine/model/decoder.hpp"
#include "engine/program/command_line.hpp"
#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

/// What a model directory holds, before a decoder is made of it.
struct model_files {
  model_config               config;
  std::optional<checkpoint>  weights;  // none: --load-format dummy
  std::unique_ptr<tokenizer> text;     // null where there is none and the command can do without
};

enum class text_use { none, wanted, needed };  // wanted: a model without a tokenizer will do

[[nodiscard]] model_files open_model(options const& from, text_use use);

/// Sizes of a run, from the options and the model.
struct run_limits {
  int          max_length         = 0;  // tokens that one request may feed
  int          max_sequences      = 0;
  int          max_batched_tokens = 0;
  int          max_rows           = 0;
  int          padding_sequences  = 0;  // beside them, in fixed batches
  std::int64_t pages              = 0;  // of the KV cache; 0: as memory allows
};
[[nodiscard]] run_limits limits_of(options const& from, model_config const& config, int default_sequences);

[[nodiscard]] device_kind     device_of(options const& from);
[[nodiscard]] number_format   format_of(options const& from, model_config const& config, device_kind device);
[[nodiscard]] kv_cache_format kv_format_of(options const& from, number_format decoder);
[[nodiscard]] quantize_choice quantize_of(options const& from);

/// The model as the options say, or what it is compared with: in f32 with a cache of f32, its weights not quantised, or
/// multiplied out.
enum class run_as { asked, reference };
[[nodiscard]] std::unique_ptr<decoder> open_decoder(options const& from, model_files const& files,
                                                    run_limits const& limits, run_as as = run_as::asked);

/// Every token's logits of texts that are fed, one text at a time.
[[nodiscard]] scorer_options scorer_options_of(options const& from, run_limits const& limits);

/// A generator for them; the model of costs is read where --cost-model names one.
[[nodiscard]] generator_options generator_options_of(options const& from, run_limits const& limits,
                                                     model_files const& files);

/// Room in `limits` for what the generator feeds; `pages` of the KV cache for requests, none: as memory allows.
void make_room(run_limits& limits, generator_options const& o, std::optional<std::int64_t> pages);

/// Room in `limits` for one request whose KV cache is compressed as --kv-... say.
void make_room_to_compress(run_limits& limits, options const& from, model_config const& config);

/// Ids that end a completion: those of the model's files and those of the tokenizer.
[[nodiscard]] std::set<std::int32_t> end_ids(model_files const& files);

// One per subcommand; each returns the exit status and throws `error` otherwise.
int run_generate(options const& from);
int run_chat(options const& from);
int run_requests(options const& from);
int run_bench(options const& from);
int run_simulate(options const& from);
int run_perplexity(options const& from);
int run_kv_perplexity(options const& from);  // perplexity --kv-prefix
int run_align(options const& from);
int run_compress(options const& from);
int run_tour(options const& from);
int run_info(options const& from);

}  // namespace tenon::engine
