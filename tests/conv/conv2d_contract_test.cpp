// What conv2d refuses, and how it says so; nothing is written then.
#include <tenon/conv/conv2d.hpp>
#include <tenon/op/epilogue_rows.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace {

using tenon::errc, tenon::index_t, tenon::tensor_view;

constexpr index_t huge = index_t{1} << 31, half = huge / 2;
constexpr index_t most = std::numeric_limits<index_t>::max();

struct problem {
  std::vector<float>    memory = std::vector<float>(4096, 1.f);
  tensor_view<float, 4> x      = tenon::dense(memory.data(), 2, 5, 6, 8);
  tensor_view<float, 4> w      = tenon::dense(memory.data() + 1024, 4, 3, 3, 8);
  tensor_view<float, 4> y      = tenon::dense(memory.data() + 2048, 2, 5, 6, 4);
  tenon::conv2d_options options{.padding = {1, 1}};

  template <class Epilogue = tenon::identity>
  tenon::status run(Epilogue epilogue = {}) const {
    return tenon::conv2d(tenon::context{}, y, x, w, options, epilogue);
  }
};

template <class Change>
void expect(errc code, char const* subject, Change const& change) {
  problem p;
  change(p);
  auto const status = p.run();
  EXPECT_EQ(status.code, code) << subject << ", not " << status.subject;
  EXPECT_STREQ(status.subject, subject);
  EXPECT_STREQ(status.primitive, "conv2d");
  for (std::size_t i = 2048; i < p.memory.size(); ++i) ASSERT_EQ(p.memory[i], 1.f);
}

TEST(conv2d_contract, is_met) { EXPECT_TRUE(problem{}.run().ok()); }

TEST(conv2d_contract, names_extents) {
  expect(errc::shape_mismatch, "batch", [](auto& p) { p.y.extent[0] = 1; });
  expect(errc::shape_mismatch, "out_height", [](auto& p) { p.y.extent[1] = 4; });
  expect(errc::shape_mismatch, "out_width", [](auto& p) { p.y.extent[2] = 7; });
  expect(errc::shape_mismatch, "out_height", [](auto& p) { p.options.padding.height = 0; });
  expect(errc::shape_mismatch, "out_width", [](auto& p) { p.options.stride.width = 2; });
  expect(errc::shape_mismatch, "out_height", [](auto& p) { p.options.dilation.height = 9; });
  expect(errc::shape_mismatch, "rows of w", [](auto& p) { p.y.extent[3] = 3; });
  expect(errc::shape_mismatch, "in_channels", [](auto& p) { p.w.extent[3] = 4; });
  expect(errc::shape_mismatch, "in_channels", [](auto& p) { p.options.groups = 2; });
  expect(errc::shape_mismatch, "out_channels", [](auto& p) { p.options.groups = 8, p.w.extent[3] = 1; });
}

TEST(conv2d_contract, names_ranges) {
  expect(errc::out_of_range, "height", [](auto& p) { p.x.extent[1] = -1; });
  expect(errc::out_of_range, "channels of w", [](auto& p) { p.w.extent[3] = -1; });
  expect(errc::out_of_range, "kernel_h", [](auto& p) { p.w.extent[1] = 0; });
  expect(errc::out_of_range, "kernel_w", [](auto& p) { p.w.extent[2] = 0; });
  expect(errc::out_of_range, "stride.height", [](auto& p) { p.options.stride.height = 0; });
  expect(errc::out_of_range, "stride.width", [](auto& p) { p.options.stride.width = -1; });
  expect(errc::out_of_range, "padding.height", [](auto& p) { p.options.padding.height = -1; });
  expect(errc::out_of_range, "padding.width", [](auto& p) { p.options.padding.width = -1; });
  expect(errc::out_of_range, "dilation.height", [](auto& p) { p.options.dilation.height = 0; });
  expect(errc::out_of_range, "dilation.width", [](auto& p) { p.options.dilation.width = 0; });
  expect(errc::out_of_range, "groups", [](auto& p) { p.options.groups = 0; });
}

// Numbers whose products do not fit 64 bits.
TEST(conv2d_contract, does_not_overflow) {
  expect(errc::out_of_range, "height", [](auto& p) { p.x.extent[1] = huge; });
  expect(errc::out_of_range, "width", [](auto& p) { p.x.extent[2] = most; });
  expect(errc::out_of_range, "kernel_h", [](auto& p) { p.w.extent[1] = most; });
  expect(errc::out_of_range, "padding.height", [](auto& p) { p.options.padding.height = most; });
  expect(errc::out_of_range, "padding.width", [](auto& p) { p.options.padding.width = half; });
  expect(errc::out_of_range, "stride.height", [](auto& p) { p.options.stride.height = most; });
  expect(errc::out_of_range, "dilation.width", [](auto& p) { p.options.dilation.width = most; });
  expect(errc::out_of_range, "groups", [](auto& p) { p.options.groups = most; });
  expect(errc::shape_mismatch, "out_height", [](auto& p) { p.options.dilation.height = huge - 1; });
  expect(errc::out_of_range, "pixels of y", [](auto& p) { p.x.extent[0] = p.y.extent[0] = huge - 1; });
  expect(errc::out_of_range, "elements of a row of w", [](auto& p) { p.x.extent[3] = p.w.extent[3] = half; });
  expect(errc::out_of_range, "x", [](auto& p) {  // sparse samples of a large image
    p.x.extent[1] = p.x.extent[2] = half, p.options.stride = {half, half};
    p.y.extent[1] = p.y.extent[2] = 1;
    p.x.extent[3] = p.w.extent[3] = 64, p.options.padding = {0, 0};
  });
}

TEST(conv2d_contract, names_layouts) {
  expect(errc::bad_stride, "x", [](auto& p) { p.x.stride[3] = 2; });
  expect(errc::bad_stride, "w", [](auto& p) { p.w.stride[3] = 2; });
  expect(errc::bad_stride, "w", [](auto& p) { p.w.stride[2] = 9; });
  expect(errc::bad_stride, "w", [](auto& p) { p.w.stride[1] = 25; });
  expect(errc::bad_stride, "y", [](auto& p) { p.y.stride[1] = 25; });
  expect(errc::bad_stride, "y", [](auto& p) { p.y.stride[0] = 121; });
  expect(errc::out_of_range, "x", [](auto& p) { p.x.data = nullptr; });
  expect(errc::misaligned, "w",
         [](auto& p) { p.w.data = reinterpret_cast<float*>(reinterpret_cast<char*>(p.w.data) + 1); });
  problem p;  // no axis of one element has a stride
  p.y = tenon::dense(p.y.data, 2, 1, 6, 4), p.y.stride[1] = 77;
  p.x = tenon::dense(p.x.data, 2, 1, 6, 8), p.x.stride[1] = -3;
  EXPECT_TRUE(p.run().ok());
}

TEST(conv2d_contract, knows_its_policies) {
  expect(errc::unsupported, "policy", [](auto& p) { p.options.policy = tenon::gemm_policies::vector_1; });
  expect(errc::unsupported, "policy", [](auto& p) {  // not for f32
    p.options.policy = tenon::gemm_policies::mma_64;
  });
  expect(errc::unsupported, "policy.wide", [](auto& p) {  // six channels are no whole chunk
    p.x.extent[3] = p.w.extent[3] = 6, p.w.stride[2] = 6, p.w.stride[1] = 18,
    p.options.policy = tenon::gemm_policies::tile_32;
  });
}

TEST(conv2d_contract, knows_what_groups_cannot_have) {
  problem p;
  p.options.groups = 2, p.w = tenon::dense(p.w.data, 16, 3, 3, 4);
  auto status = p.run(tenon::epilogue::swiglu());
  EXPECT_EQ(status.code, errc::unsupported);
  EXPECT_STREQ(status.subject, "groups");
  p.w.extent[0] = 4;
  std::vector<float> sums(60);
  status = p.run(tenon::epilogue::row_square_sums(tenon::dense(sums.data(), 60, 1)));
  EXPECT_EQ(status.code, errc::unsupported);
  EXPECT_STREQ(status.subject, "groups");
}

TEST(conv2d_contract, extents_are_the_formula) {
  EXPECT_EQ(tenon::conv2d_extent(224, 7, 2, 3, 1), 112);
  EXPECT_EQ(tenon::conv2d_extent(5, 3, 1, 1, 1), 5);
  EXPECT_EQ(tenon::conv2d_extent(5, 3, 1, 0, 2), 1);
  EXPECT_EQ(tenon::conv2d_extent(4, 3, 1, 0, 2), 0);
  EXPECT_EQ(tenon::conv2d_extent(0, 1, 1, 0, 1), 0);
}

}  // namespace
