#pragma once
//  What a GPU's memory gives: the yardstick of `tenon bench`.

namespace tenon::engine {

/// Bytes read and written per second by a copy of 1 GiB (less where memory is short) on the current device, the best of several.
/// 0 where the program has no CUDA.
double cuda_copy_bandwidth();

}  // namespace tenon::engine
