//  A weight that another program quantised, in a format that tenon has no importer for: codes and scales are all it takes.
//  $ ./05_own_weight_format     prints:
//    int8 3 x 4, scale per row, pairs, 4352 bytes
//    0.75 -1.00 2.00
#include <tenon/gemm/packed_gemm.hpp>
#include <tenon/quant/pack_weight.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>

int main() {
  // As the file has it: int8 codes row by row and the largest magnitude of each row, w = code * largest / 127.
  std::int8_t const file_codes[]   = {127, 0, -127, 0, 0, 127, 0, 0, 0, 0, 0, 127};
  float const       file_largest[] = {.5f, 1, 2};

  tenon::quantized_weight weight;
  weight.format = {.code = tenon::weight_code::int8};  // one scale per row
  weight.rows = 3, weight.columns = 4;
  for (auto const code : file_codes) weight.codes.push_back(static_cast<std::uint8_t>(code));
  for (auto const largest : file_largest) weight.scales.push_back(largest / 127);

  // Once, when the model is loaded: into the one layout that every kernel reads.
  tenon::packed_layout         layout = tenon::packed_layout_of(weight.format, 3, 4, tenon::pack_order::pairs);
  alignas(16) static std::byte memory[8192];
  if (!tenon::pack_weight(layout, tenon::dense(memory, layout.bytes()), weight, tenon::pack_order::pairs).ok())
    return 1;
  std::printf("%s\n", to_string(layout).c_str());

  // d = a w^T
  tenon::packed_weight<tenon::weight_code::int8, tenon::scale_kind::row, tenon::pack_order::pairs> const packed{layout,
                                                                                                                memory};
  float const a[] = {2, -1, .5f, 1};
  float       d[3];
  if (!tenon::gemm(tenon::context{}, tenon::dense(d, 1, 3), tenon::dense(a, 1, 4), packed).ok()) return 1;
  std::printf("%.2f %.2f %.2f\n", static_cast<double>(d[0]), static_cast<double>(d[1]), static_cast<double>(d[2]));
}
