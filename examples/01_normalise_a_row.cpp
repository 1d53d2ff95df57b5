//  Normalise one activation row by its root mean square, and double what is stored by a function of our own.
//  $ ./01_normalise_a_row          prints:
//    ok: y = 0.4 0.8 1.2 1.6 2.0 2.4 0.4 0.8
#include <tenon/norm/rms_norm.hpp>

#include <cstdio>

struct doubled {
  TENON_HD float operator()(float value, tenon::index_t, tenon::index_t) const { return 2 * value; }
};

int main() {
  float const x[8]      = {1, 2, 3, 4, 5, 6, 1, 2};
  float const weight[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  float       y[8];

  // Views say how memory is laid out; a context says where to run; a status says what was wrong.
  tenon::status const status =
      tenon::rms_norm(tenon::context{}, tenon::dense(y, 1, 8), tenon::dense(x, 1, 8), tenon::dense(weight, 8),
                      {.eps = 13.f}, doubled{});  // mean square 12, so the divisor is 5
  if (!status.ok()) {
    std::printf("%s: %s is %ld, expected %ld\n", status.primitive, status.subject, static_cast<long>(status.got),
                static_cast<long>(status.want));
    return 1;
  }
  std::printf("ok: y =");
  for (float const v : y) std::printf(" %.1f", static_cast<double>(v));
  std::printf("\n");
}
