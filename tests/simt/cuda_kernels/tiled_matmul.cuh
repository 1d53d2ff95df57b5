// C = A B, row-major, by square tiles of both in shared memory; the extents need not be multiples of the tile.
// Planted: the barrier before the tiles are loaded anew.
#include <tenon/simt/cuda.hpp>

template <int Tile>
struct matmul_tiles {
  float a[Tile][Tile], b[Tile][Tile];
};

template <int Tile>
__global__ void tiled_matmul(float* c, float const* a, float const* b, int m, int n, int k) {
  __shared__ matmul_tiles<Tile> s;
  int const                     x = threadIdx.x, y = threadIdx.y;
  int const                     row = blockIdx.y * Tile + y, column = blockIdx.x * Tile + x;
  float                         sum = 0.0f;
  for (int first = 0; first < k; first += Tile) {
    s.a[y][x] = row < m && first + x < k ? a[row * k + first + x] : 0.0f;          // [load]
    s.b[y][x] = first + y < k && column < n ? b[(first + y) * n + column] : 0.0f;  // [load]
    __syncthreads();
#pragma unroll
    for (int i = 0; i < Tile; ++i) sum = fmaf(s.a[y][i], s.b[i][x], sum);  // [use]
#if !PLANTED
    __syncthreads();
#endif
  }
  if (row < m && column < n) c[row * n + column] = sum;
}
