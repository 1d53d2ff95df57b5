//  A matrix product that does something of our own with every element before it is stored: no second pass over D.
//  $ ./02_own_epilogue          prints:
//    1.5 0.0 3.0
//    3.0 2.5 3.0
#include <tenon/gemm/gemm.hpp>

#include <cstdio>

// A stage is any float(value, row, column); row and column are those of D. TENON_HD: it runs in a CUDA kernel, too.
struct clamp {
  float low, high;

  TENON_HD float operator()(float v, tenon::index_t, tenon::index_t) const {
    return v < low ? low : v > high ? high : v;
  }
};

int main() {
  float const a[] = {1, 2, 3, 4, 5, 6};            // (m = 2, k = 3)
  float const b[] = {1, 0, 0, 1, 1, -1, 1, 1, 1};  // (n = 3, k = 3): one row per column of D, as weights are stored
  float const offset[] = {.5f, -.5f, 0};
  float       d[6];

  // D = clamp(A B^T + offset, 0, 3)
  auto const stages = tenon::epilogue::bias(tenon::dense(offset, 3)) | clamp{0, 3};
  auto const status =
      tenon::gemm(tenon::context{}, tenon::dense(d, 2, 3), tenon::dense(a, 2, 3), tenon::dense(b, 3, 3), {}, stages);
  if (!status.ok()) return 1;
  for (int i = 0; i < 6; ++i) std::printf("%.1f%c", static_cast<double>(d[i]), i % 3 == 2 ? '\n' : ' ');
}
