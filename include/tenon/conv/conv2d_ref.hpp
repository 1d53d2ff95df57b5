#pragma once
//  The definition of conv2d, in double precision.
#include <tenon/conv/conv2d_options.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/gemm/gemm_ref.hpp>
#include <tenon/op/epilogue.hpp>

#include <type_traits>

namespace tenon::ref {

/// y[b,i,j,o] = epilogue(sum_{p,q,c} w[o,p,q,c] x[b, i stride - padding + p dilation, j .., first channel of o's group + c]),
/// x = 0 outside its pixels; the epilogue's row is (b height + i) width + j of y, its column o. With a pairwise epilogue w's
/// rows are gates and ups (gemm/interleave.hpp).
template <class D, class T, gemm_epilogue Epilogue = identity>
void conv2d(tensor_view<D, 4> y, tensor_view<T, 4> x, tensor_view<T, 4> w, conv2d_options const& options = {},
            Epilogue epilogue = {}) {
  auto const    number   = [](auto v) { return static_cast<double>(static_cast<float>(v)); };
  index_t const out      = y.extent[3];
  index_t const channels = w.extent[3], per_group = options.groups > 0 ? out / options.groups : out;
  // finish_row walks along the rows of a matrix: one pixel at a time, as the one row that the view shows.
  index_t pixel = 0;
  for (index_t b = 0; b < y.extent[0]; ++b)
    for (index_t i = 0; i < y.extent[1]; ++i)
      for (index_t j = 0; j < y.extent[2]; ++j, ++pixel) {
        tensor_view<D, 2> const row{
            &y.data[b * y.stride[0] + i * y.stride[1] + j * y.stride[2]], {1, out}, {0, y.stride[3]}};
        finish_row(row, pixel, epilogue, [&](index_t o) {
          index_t const first = per_group > 0 ? o / per_group * channels : 0;
          double        sum   = 0;
          for (index_t p = 0; p < w.extent[1]; ++p)
            for (index_t q = 0; q < w.extent[2]; ++q) {
              index_t const r = i * options.stride.height - options.padding.height + p * options.dilation.height;
              index_t const s = j * options.stride.width - options.padding.width + q * options.dilation.width;
              if (r < 0 || r >= x.extent[1] || s < 0 || s >= x.extent[2]) continue;
              for (index_t c = 0; c < channels; ++c) sum += number(x(b, r, s, first + c)) * number(w(o, p, q, c));
            }
          return float(sum);
        });
      }
}

}  // namespace tenon::ref
