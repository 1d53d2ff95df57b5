#pragma once
//  The command line of `tenon` as a value.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/program/bench_options.hpp"
#include "engine/program/chat_options.hpp"
#include "engine/program/kv_flags.hpp"
#include "engine/program/quantize_options.hpp"
#include "engine/program/run_options.hpp"
#include "engine/program/schedule_flags.hpp"
#include "engine/program/simulate_options.hpp"

namespace tenon::engine {

enum class command {
  help,
  generate,
  chat,
  run,
  bench,
  simulate,
  perplexity,
  align,
  compress,
  tour,
  info,
  tokenize,
  detokenize,
  train_tokenizer
};
enum class device_choice { automatic, cuda, host };
enum class dtype_choice { automatic, f32, bf16, f16 };
enum class kv_dtype_choice { automatic, f32, bf16, f16, fp8, int8, int4 };
enum class load_format { automatic, dummy };
enum class output_format { text, json };
enum class token_output { ids, count, offsets, json };

/// What one request may set for itself.
struct sampling_options {
  std::int64_t                                max_tokens         = 128;
  double                                      temperature        = 0.8;  // 0: greedy
  std::int64_t                                top_k              = 0;    // 0: all
  double                                      top_p              = 1;
  double                                      min_p              = 0;
  double                                      repetition_penalty = 1;
  double                                      presence_penalty   = 0;
  double                                      frequency_penalty  = 0;
  std::vector<std::pair<std::int32_t, float>> logit_bias;  // token id, added to its logit
  std::optional<std::uint64_t>                seed;        // none: a fresh one
  std::vector<std::string>                    stop;        // texts, none of them empty
  bool                                        ignore_eos = false;
  std::int64_t                                logprobs   = 0;  // K best per step; 0: none
};

/// `tenon align`: what the model is compared with, and what it may differ by; none: as its formats allow.
struct align_options {
  std::string           against;  // a model directory; empty: the model itself
  std::optional<double> budget, max_kl, min_top1;
};

/// Where scales of codes come from: `unsaid` is `found`, but not for a checkpoint that has some of its own.
enum class scale_source : std::uint8_t { unsaid, found, learned };

/// `tenon compress`.
struct compress_options {
  std::string      out, eval_text, eval_ids;
  std::string      lora;  // an adapter's folder; empty: none
  bool             fold_norms  = false;
  std::int64_t     drop_layers = 0, drop_attention = 0, drop_mlp = 0;
  std::int64_t     cut_heads = 0, cut_kv_heads = 0;  // of every layer
  bool             random_units = false;             // heads and neurons that go are drawn, not scored
  double           mlp_width    = 0;                 // share of every MLP's neurons that goes
  quantize_options quantizing;
  scale_source     scales = scale_source::unsaid;  // of codes
  bool             heal   = true;
  int              texts  = 64;   // that the model samples for its calibration, where no file is given
  std::int64_t     length = 256;  // tokens of each text
};

/// `tenon tour`.
struct tour_options {
  std::vector<std::string> stops;  // by name; none: all
  bool                     list = false;
};

struct train_options {
  std::string              out;
  std::int64_t             vocabulary = 0, least = 1;
  std::vector<std::string> special;
};

struct options {
  command     what = command::help;
  std::string help;  // for command::help: what to print on stdout

  // Common.
  std::string                 model, tokenizer, pattern, config, quantize;
  device_choice               device         = device_choice::automatic;
  dtype_choice                dtype          = dtype_choice::automatic;
  kv_dtype_choice             kv_cache_dtype = kv_dtype_choice::automatic;
  load_format                 load           = load_format::automatic;
  bool                        allow_tf32     = false;
  std::int64_t                block_size     = 16;  // tokens per KV page
  std::optional<std::int64_t> max_model_len, max_num_seqs, max_num_batched_tokens, threads;
  std::optional<bool>         batch_invariant;  // none: on for the host, off for CUDA
  output_format               output = output_format::text;
  bool                        quiet  = false;

  // generate. `sampling.seed` also seeds dummy weights.
  std::vector<std::string> prompts;       // --prompt, in order
  std::string              prompts_file;  // --prompts: a file or "-"
  sampling_options         sampling;

  schedule_flags   schedule;  // run, simulate
  run_options      run;
  bench_options    bench;
  chat_options     chat;
  simulate_options simulate;
  align_options    align;
  compress_options compress;
  tour_options     tour;

  // perplexity; align and compress have the first two.
  std::string text_file, ids_file, reference, dump_logits;
  kv_flags    kv;  // generate, perplexity

  // tokenize, detokenize.
  std::optional<std::string> text, file;  // neither: standard input
  bool                       no_special    = false;
  token_output               tokens_output = token_output::ids;
  train_options              train;  // train-tokenizer, which has `file`, too
};

/// Throws usage_error (exit status 2) for anything that `tenon SUBCOMMAND --help` does not allow. Files are not touched.
[[nodiscard]] options parse(int argc, char const* const* argv);

}  // namespace tenon::engine
