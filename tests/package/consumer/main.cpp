#include <tenon/norm/rms_norm.hpp>
#include <tenon/version.hpp>

int main() {
  float      x[4] = {3, 3, 3, 3}, weight[4] = {1, 1, 1, 1}, y[4] = {};
  auto const status =
      tenon::rms_norm(tenon::context{}, tenon::dense(y, 1, 4), tenon::dense(x, 1, 4), tenon::dense(weight, 4));
  return status.ok() && y[0] > 0.99f && y[0] < 1.01f ? 0 : 1;
}
