#include "engine/commands/setup.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "engine/error.hpp"
#include "engine/schedule/cost_model_file.hpp"

namespace tenon::engine {

namespace {

void refuse_what_the_decoder_lacks(model_config const& config) {
  if (config.activation == activation_kind::gelu_erf)
    throw wrong(config.file, "hidden_act is not supported yet", "\"gelu\"",
                "one of silu, gelu_pytorch_tanh, quick_gelu");
  if (config.head_dim % 8 != 0 || config.head_dim > 256)
    throw wrong(config.file, "head_dim is not supported yet", std::to_string(config.head_dim),
                "a multiple of 8, at most 256");
}

void refuse_to_quantize_twice(options const& from, model_config const& config) {
  if (!from.quantize.empty() && config.quantization && from.load != load_format::dummy)
    throw wrong("--quantize", "the weights are quantised already", config.quantization->method(),
                "a model of 16 or 32 bits");
}

/// Progress on a terminal, and nowhere else.
void show_progress(std::size_t done, std::size_t all) {
  std::fprintf(stderr, "\r%zu of %zu products loaded", done, all);
  if (done == all) std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
}

int checked_limit(std::int64_t value) { return static_cast<int>(std::min<std::int64_t>(value, 1 << 30)); }

/// The longest window of the layers; 0 where one of them has none.
int window_of(model_config const& c) {
  auto const [least, most] = std::minmax_element(c.windows.begin(), c.windows.end());
  return least == c.windows.end() || *least == 0 ? 0 : checked_limit(*most);
}

}  // namespace

model_files open_model(options const& from, text_use use) {
  model_files files;
  bool const  dummy = from.load == load_format::dummy;
  if (from.model.empty() && (!dummy || from.config.empty()))
    throw wrong("--model", "is missing", "none", dummy ? "--config FILE or --model DIR" : "--model DIR");
  files.config = read_model_config(from.config.empty() ? from.model : from.config);
  refuse_what_the_decoder_lacks(files.config);
  refuse_to_quantize_twice(from, files.config);
  if (!dummy) files.weights.emplace(from.model);
  std::string vocabulary = from.tokenizer;
  if (vocabulary.empty() && use == text_use::needed) vocabulary = find_tokenizer(from.model);
  if (vocabulary.empty() && use == text_use::wanted && !from.model.empty())
    vocabulary = tokenizer_in(from.model).value_or("");
  if (vocabulary.empty()) return files;
  files.text = load_tokenizer(vocabulary, from.pattern);
  if (files.text->vocabulary() > files.config.vocab_size)
    throw wrong(vocabulary, "vocabulary does not fit the model", std::to_string(files.text->vocabulary()) + " ids",
                "at most " + std::to_string(files.config.vocab_size));
  return files;
}

run_limits limits_of(options const& from, model_config const& config, int default_sequences) {
  run_limits   l;
  std::int64_t length = config.max_position;
  if (from.max_model_len) {
    if (*from.max_model_len > length)
      throw wrong("--max-model-len", "is more than the model's length", std::to_string(*from.max_model_len),
                  "at most " + std::to_string(length));
    length = *from.max_model_len;
  }
  l.max_length    = checked_limit(length);
  l.max_sequences = checked_limit(from.max_num_seqs.value_or(default_sequences));
  l.max_batched_tokens =
      checked_limit(from.max_num_batched_tokens.value_or(std::max<std::int64_t>(512, l.max_sequences)));
  if (l.max_batched_tokens < l.max_sequences)
    throw wrong("--max-num-batched-tokens", "is less than --max-num-seqs", std::to_string(l.max_batched_tokens),
                "at least " + std::to_string(l.max_sequences));
  l.max_rows = l.max_sequences;
  return l;
}

device_kind device_of(options const& from) {
  switch (from.device) {
    case device_choice::host: return device_kind::host;
    case device_choice::cuda:
      if (!cuda_device_present())
        throw wrong("--device", "there is no CUDA device, or this program was built without CUDA", "cuda", "host");
      return device_kind::cuda;
    default: return cuda_device_present() ? device_kind::cuda : device_kind::host;
  }
}

number_format format_of(options const& from, model_config const& config, device_kind device) {
  switch (from.dtype) {
    case dtype_choice::f32: return number_format::f32;
    case dtype_choice::bf16: return number_format::bf16;
    case dtype_choice::f16: return number_format::f16;
    default: break;
  }
  if (device == device_kind::host || config.dtype == "float32") return number_format::f32;
  return config.dtype == "float16" ? number_format::f16 : number_format::bf16;
}

kv_cache_format kv_format_of(options const& from, number_format decoder) {
  switch (from.kv_cache_dtype) {
    case kv_dtype_choice::f32: return kv_cache_format::f32;
    case kv_dtype_choice::bf16: return kv_cache_format::bf16;
    case kv_dtype_choice::f16: return kv_cache_format::f16;
    case kv_dtype_choice::fp8: return kv_cache_format::fp8;
    case kv_dtype_choice::int8: return kv_cache_format::int8;
    case kv_dtype_choice::int4: return kv_cache_format::int4;
    default: return unquantised(decoder);
  }
}

quantize_choice quantize_of(options const& from) {
  return from.quantize == "w8a8"        ? quantize_choice::w8a8
         : from.quantize == "w8a16"     ? quantize_choice::w8a16
         : from.quantize == "w4a16"     ? quantize_choice::w4a16
         : from.quantize == "fp8"       ? quantize_choice::fp8
         : from.quantize == "fp8-block" ? quantize_choice::fp8_block
                                        : quantize_choice::none;
}

std::unique_ptr<decoder> open_decoder(options const& from, model_files const& files, run_limits const& limits,
                                      run_as as) {
  decoder_options o;
  bool const      reference = as == run_as::reference;
  o.device                  = device_of(from);
  o.dtype                   = reference ? number_format::f32 : format_of(from, files.config, o.device);
  o.kv_format               = reference ? kv_cache_format::f32 : kv_format_of(from, o.dtype);
  if (!reference) o.load.quantize = quantize_of(from);
  o.load.dequantize = reference;
  o.load.threads    = checked_limit(from.threads.value_or(0));
  if (!from.quiet && isatty(STDERR_FILENO)) o.load.progress = show_progress;
  o.block_size         = checked_limit(from.block_size);
  o.max_batched_tokens = limits.max_batched_tokens;
  o.max_rows           = limits.max_rows;
  o.max_sequences      = limits.max_sequences + limits.padding_sequences;
  o.pages              = limits.pages;
  o.max_length         = limits.max_length;
  o.threads            = checked_limit(from.threads.value_or(0));
  o.batch_invariant    = from.batch_invariant.value_or(o.device == device_kind::host);
  return make_decoder(files.config, files.weights ? &*files.weights : nullptr, from.sampling.seed.value_or(0), o);
}

scorer_options scorer_options_of(options const& from, run_limits const& limits) {
  return {.max_length         = limits.max_length,
          .max_batched_tokens = limits.max_batched_tokens,
          .max_rows           = limits.max_rows,
          .block_size         = checked_limit(from.block_size)};
}

generator_options generator_options_of(options const& from, run_limits const& limits, model_files const& files) {
  generator_options o;
  o.schedule                    = from.schedule.limits;
  o.schedule.max_sequences      = limits.max_sequences;
  o.schedule.max_batched_tokens = limits.max_batched_tokens;
  o.schedule.max_length         = limits.max_length;
  if (!from.schedule.cost_model.empty()) o.cost = load_cost_model(from.schedule.cost_model);
  o.prefix_caching = from.schedule.prefix_caching;
  o.block_size     = checked_limit(from.block_size);
  o.window         = window_of(files.config);
  o.end_ids        = end_ids(files);
  return o;
}

void make_room(run_limits& limits, generator_options const& o, std::optional<std::int64_t> pages) {
  padding_need const padding = padding_of(o);
  limits.padding_sequences   = padding.sequences;
  if (pages) limits.pages = *pages + padding.pages;
}

void make_room_to_compress(run_limits& limits, options const& from, model_config const& config) {
  constexpr int         runs   = 64;  // of tokens that come back in one step
  kv_cache_format const format = kv_format_of(from, format_of(from, config, device_of(from)));
  limits.max_sequences         = std::max(limits.max_sequences, runs);
  limits.pages = compressed_cache::pages_wanted(config, format, scorer_options_of(from, limits), from.kv.how);
}

std::set<std::int32_t> end_ids(model_files const& files) {
  std::set<std::int32_t> ids(files.config.eos_ids.begin(), files.config.eos_ids.end());
  if (files.text)
    for (std::int32_t const id : files.text->eos_ids()) ids.insert(id);
  return ids;
}

}  // namespace tenon::engine
