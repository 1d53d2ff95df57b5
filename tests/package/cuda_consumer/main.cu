#include <tenon/norm/rms_norm.hpp>

#include <cstdio>

// Contracts are checked before anything is launched, so this much runs without a device.
int main() {
  float      x[4] = {}, weight[3] = {}, y[4] = {};
  auto const status = tenon::rms_norm(tenon::context{.arch = 80}, tenon::dense(y, 1, 4), tenon::dense(x, 1, 4),
                                      tenon::dense(weight, 3));
  std::printf("%s: %s\n", status.primitive, status.subject);
  return status.code == tenon::errc::shape_mismatch ? 0 : 1;
}
