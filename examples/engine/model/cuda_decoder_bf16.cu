#include "engine/model/device_decoder.hpp"

namespace tenon::engine {

std::unique_ptr<decoder> make_cuda_decoder_bf16(model_config const& config, checkpoint const* weights,
                                                std::uint64_t seed, decoder_options const& options) {
  return std::make_unique<cuda::device_decoder<bf16>>(config, weights, seed, options);
}

}  // namespace tenon::engine
