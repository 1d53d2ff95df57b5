#include "engine/model/decoder.hpp"

#include "engine/error.hpp"

namespace tenon::engine {

void head_places::clear() { slots.clear(), kv_length.clear(), block_table.clear(); }

void step_batch::clear() {
  ids.clear(), positions.clear(), slots.clear(), query_start.clear(), kv_length.clear(), block_table.clear(),
      logit_rows.clear();
  heads.clear();
  max_pages = 0;
}

void draw_batch::clear() {
  params.clear(), history.clear(), history_start.clear(), prompt_length.clear();
  bias_ids.clear(), bias_values.clear(), bias_start.clear();
  top_logprobs = 0;
}

std::unique_ptr<decoder> make_decoder(model_config const& config, checkpoint const* weights, std::uint64_t seed,
                                      decoder_options const& options) {
  if (options.device == device_kind::host) {
    switch (options.dtype) {
      case number_format::f32: return make_host_decoder_f32(config, weights, seed, options);
      case number_format::bf16: return make_host_decoder_bf16(config, weights, seed, options);
      case number_format::f16: return make_host_decoder_f16(config, weights, seed, options);
    }
  }
#if TENON_ENGINE_CUDA
  switch (options.dtype) {
    case number_format::f32: return make_cuda_decoder_f32(config, weights, seed, options);
    case number_format::bf16: return make_cuda_decoder_bf16(config, weights, seed, options);
    case number_format::f16: return make_cuda_decoder_f16(config, weights, seed, options);
  }
#else
  throw error("--device: this program was built without CUDA: found cuda, expected host");
#endif
  throw error("internal: an unknown number format");
}

#if !TENON_ENGINE_CUDA
bool cuda_device_present() { return false; }
#endif

}  // namespace tenon::engine
