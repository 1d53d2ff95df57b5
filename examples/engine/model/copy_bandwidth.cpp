#include "engine/model/copy_bandwidth.hpp"

namespace tenon::engine {

#if !TENON_ENGINE_CUDA
double cuda_copy_bandwidth() { return 0; }
#endif

}  // namespace tenon::engine
