#pragma once
//  What a convolution is told beside its operands, and how large its result is.
#include <tenon/config.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/gemm/gemm_policy.hpp>

#include <optional>

namespace tenon {

/// One number per axis of an image.
struct height_width {
  index_t height = 0, width = 0;

  friend constexpr bool operator==(height_width const&, height_width const&) = default;
};

struct conv2d_options {
  height_width               stride{1, 1};    // pixels of x from one pixel of y to the next
  height_width               padding{0, 0};   // zeros before and after each axis of x
  height_width               dilation{1, 1};  // pixels of x from one tap of the kernel to the next
  index_t                    groups = 1;      // out_channels / groups outputs see in_channels / groups inputs each
  std::optional<gemm_policy> policy = {};  // one of conv2d_menu instead of choose_conv2d_policy's; gemm is not called
};

/// Pixels of y along one axis: floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, at least 0. Arguments as in
/// the contract of conv2d: each below 2^31, kernel, stride and dilation from 1 on.
constexpr index_t conv2d_extent(index_t in, index_t kernel, index_t stride, index_t padding, index_t dilation) {
  index_t const room = in + 2 * padding - dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

}  // namespace tenon
