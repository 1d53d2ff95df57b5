#include "engine/model/device_decoder.hpp"

namespace tenon::engine {

std::unique_ptr<decoder> make_host_decoder_f32(model_config const& config, checkpoint const* weights,
                                               std::uint64_t seed, decoder_options const& options) {
  return std::make_unique<host::device_decoder<float>>(config, weights, seed, options);
}

}  // namespace tenon::engine
