#pragma once
//  A decoder-only transformer on one device: what the generation loop and the scorers see of it.
#include <tenon/kv/block_copy.hpp>
#include <tenon/sampling/sampling_params.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/files/hf_config.hpp"
#include "engine/files/safetensors.hpp"
#include "engine/model/kv_cache_format.hpp"
#include "engine/model/tap.hpp"

namespace tenon::engine {

enum class quantize_choice : std::uint8_t { none, w8a8, w8a16, w4a16, fp8, fp8_block };
enum class device_kind { host, cuda };

/// Where the tokens of a step lie when each kv head of each layer keeps tokens of its own (docs/kv_compression.md).
/// Rows: the kv heads of the first layer, then those of the next. A head's cache consists of head pages, which hold
/// block_size tokens of one head.
struct head_places {
  std::vector<std::int64_t>
      slots;  // (rows, tokens)               head page * block_size + offset; -1: it is there already
  std::vector<std::int32_t> kv_length;    // (rows, requests)             keys up to the request's last token
  std::vector<std::int32_t> block_table;  // (rows, requests, max_pages)  head pages

  void clear();
};

/// Tokens of one layer's kv heads that move: what token from[h, j] of head h was becomes token j of the pages
/// `to_table`.
struct head_moves {
  std::int32_t              max_pages = 0, max_tokens = 0;
  std::vector<std::int32_t> from_table, to_table;  // (kv_heads, max_pages)
  std::vector<std::int32_t> from;                  // (kv_heads, max_tokens), ascending
  std::vector<std::int32_t> tokens;                // (kv_heads): of each list
};

/// One forward pass: the new tokens of several requests, one request after the other.
struct step_batch {
  std::vector<std::int32_t> ids;          // (tokens)
  std::vector<std::int32_t> positions;    // (tokens)
  std::vector<std::int64_t> slots;        // (tokens)             page * block_size + offset
  std::vector<std::int32_t> query_start;  // (requests + 1)       first token of each request
  std::vector<std::int32_t> kv_length;    // (requests)           keys, the new ones included
  std::vector<std::int32_t> block_table;  // (requests, max_pages)
  std::int32_t              max_pages = 0;
  std::vector<std::int32_t> logit_rows;  // (rows)               tokens whose logits are wanted
  head_places heads;  // empty: all heads of a request share its pages; else slots and block_table are not read

  void clear();
};

/// What to draw from the logits of the last step, row by row.
struct draw_batch {
  std::vector<sampling_params> params;  // (rows)
  // Token history for penalties: empty where no row has any.
  std::vector<std::int32_t> history;        // ragged
  std::vector<std::int32_t> history_start;  // (rows + 1)
  std::vector<std::int32_t> prompt_length;  // (rows)
  // Logit bias: empty where no row has any.
  std::vector<std::int32_t> bias_ids;     // ragged
  std::vector<float>        bias_values;  // ragged
  std::vector<std::int32_t> bias_start;   // (rows + 1)
  int                       top_logprobs = 0;

  void clear();
};

struct drawn {
  std::vector<std::int32_t> ids;           // (rows)
  std::vector<float>        logprobs;      // (rows)       of the chosen id, before temperature and cuts
  std::vector<std::int32_t> top_ids;       // (rows, top_logprobs)
  std::vector<float>        top_logprobs;  // (rows, top_logprobs)
};

/// How the linear layers get from the files to the device.
struct load_options {
  quantize_choice quantize   = quantize_choice::none;  // quantises plain numbers
  bool            dequantize = false;                  // multiplies quantised files out: the reference of a comparison
  int             threads    = 0;                      // that quantise and pack; 0: all cores
  std::function<void(std::size_t done, std::size_t all)> progress;  // may be empty
};

struct decoder_options {
  device_kind     device             = device_kind::host;
  number_format   dtype              = number_format::f32;
  kv_cache_format kv_format          = kv_cache_format::f32;
  int             block_size         = 16;   // tokens per KV page
  std::int64_t    pages              = 0;    // KV pages; 0: as memory allows, see decoder::pages()
  int             max_batched_tokens = 512;  // per step
  int             max_rows           = 64;   // logit rows per step
  int             max_sequences      = 64;
  int             max_length         = 0;  // tokens per request
  int             threads            = 0;  // cores on the host; 0: all
  bool            batch_invariant    = true;
  load_options    load;
};

class decoder {
 public:
  virtual ~decoder() = default;

  /// KV pages that the cache holds.
  virtual std::int64_t pages() const = 0;
  /// Copies the first tokens of pages to other pages, one copy after the other, in the cache of every layer. Before forward()
  /// of the step that reads or writes them.
  virtual void copy_pages(std::span<block_copy const> copies) = 0;
  /// Head pages of a layer: the same memory, page by page of one kv head.
  virtual std::int64_t head_pages(int layer) const = 0;
  /// Bytes of the keys and values of one.
  virtual std::int64_t head_page_bytes(int layer) const = 0;
  /// Moves tokens of a layer's heads. In place (the tables are the same) none moves backwards.
  virtual void move_tokens(int layer, head_moves const& moves) = 0;
  /// Head pages of a layer as numbers, (pages, block_size, head_dim).
  virtual void read_keys(int layer, std::span<std::int32_t const> pages, std::vector<float>& keys)     = 0;
  virtual void read_values(int layer, std::span<std::int32_t const> pages, std::vector<float>& values) = 0;
  /// Of the last step, which had places of its own for each head: log sum exp of the logits of each query, (layers,
  /// tokens, heads of the layer), layer after layer.
  virtual void read_attention_lse(std::vector<float>& lse) const = 0;
  /// Runs the batch; the logits of batch.logit_rows stay on the device until the next step.
  virtual void forward(step_batch const& batch) = 0;
  /// From now on every pass shows its stages to `show`; an empty one ends that. It costs a copy of each.
  virtual void look_with(tap show) = 0;
  /// The last step's logits, (rows, vocabulary).
  virtual void read_logits(std::vector<float>& logits) const = 0;
  /// Draws one id for each row of the last step.
  virtual void draw(draw_batch const& batch, drawn& out) = 0;
};

/// The model of `config` with the weights in `weights` (random ones of the same shape where null, reproducible by `seed`).
std::unique_ptr<decoder> make_decoder(model_config const& config, checkpoint const* weights, std::uint64_t seed,
                                      decoder_options const& options);

// One per target and number format, each in a translation unit of its own.
std::unique_ptr<decoder> make_host_decoder_f32(model_config const&, checkpoint const*, std::uint64_t,
                                               decoder_options const&);
std::unique_ptr<decoder> make_host_decoder_bf16(model_config const&, checkpoint const*, std::uint64_t,
                                                decoder_options const&);
std::unique_ptr<decoder> make_host_decoder_f16(model_config const&, checkpoint const*, std::uint64_t,
                                               decoder_options const&);
bool                     cuda_device_present();
std::unique_ptr<decoder> make_cuda_decoder_f32(model_config const&, checkpoint const*, std::uint64_t,
                                               decoder_options const&);
std::unique_ptr<decoder> make_cuda_decoder_bf16(model_config const&, checkpoint const*, std::uint64_t,
                                                decoder_options const&);
std::unique_ptr<decoder> make_cuda_decoder_f16(model_config const&, checkpoint const*, std::uint64_t,
                                               decoder_options const&);

}  // namespace tenon::engine
