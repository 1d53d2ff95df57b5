#include <cuda_runtime_api.h>

#include "engine/model/decoder.hpp"

namespace tenon::engine {

bool cuda_device_present() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

}  // namespace tenon::engine
