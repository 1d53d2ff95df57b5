#pragma once
//  An attention variant's results against the reference with the same functors.
#include <gtest/gtest.h>

#include <cmath>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "ragged_batch.hpp"

namespace test {

/// For every type in turn; f32 never meets matrix units, f16 and bf16 always do. `reference` is the variant with tables that
/// the host may read, where the kernels' are the device's.
template <class... Type, class Mask, class Logits>
void expect_agreement(batch_shape const& shape, std::vector<request> const& requests,
                      tenon::attention_variant<Mask, Logits> variant,
                      tenon::attention_variant<Mask, Logits> reference) {
  auto const check = [&]<class T>(T) {
    ragged_batch<T> batch(shape, requests);
    auto const      expected = batch.expect(0, reference);
    on_every_target([&](tenon::context const& where) {
      tensor<T, 3>     o(batch.tokens, shape.heads, shape.value_dim);
      tensor<float, 2> lse(batch.tokens, shape.heads);
      ASSERT_TRUE(batch.run(where, o, {}, variant, &lse).ok());
      EXPECT_LE(relative_error(o.values(), expected.o), tolerance<T>());
      auto const logs = lse.values();
      for (std::size_t i = 0; i < logs.size(); ++i) {
        if (std::isinf(expected.lse[i])) EXPECT_EQ(double(logs[i]), expected.lse[i]) << "row " << i;
        else
          EXPECT_NEAR(double(logs[i]), expected.lse[i], 1e-5 * std::max(1.0, std::abs(expected.lse[i]))) << "row " << i;
      }
    });
  };
  (check(Type{}), ...);
}
template <class... Type, class Mask, class Logits>
void expect_agreement(batch_shape const& shape, std::vector<request> const& requests,
                      tenon::attention_variant<Mask, Logits> variant) {
  expect_agreement<Type...>(shape, requests, variant, variant);
}

}  // namespace test
