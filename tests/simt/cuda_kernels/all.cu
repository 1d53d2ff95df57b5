// The plain CUDA kernels as nvcc sees them: that they are CUDA.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>

#define PLANTED 0
#include "all.cuh"
