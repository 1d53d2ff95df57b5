// The variant that docs/operators/attention_variants.md writes, and that the page has all of the library's.
#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "../support/page.hpp"
#include "variant_agreement.hpp"

namespace page {

// -- the page has this
// Every `step`-th key, no further than `reach` positions before the query.
struct dilated {
  int                   step, reach;
  static constexpr bool same_for_all_heads = true;

  TENON_HD tenon::coverage classify(int, int, int q_first, int q_last, int k_first, int k_last) const {
    bool const outside = k_first > q_last || q_first - k_last > reach;
    return outside ? tenon::coverage::empty : tenon::coverage::partial;
  }
  TENON_HD bool keep(int, int, int q, int k) const { return k <= q && q - k <= reach && (q - k) % step == 0; }
  TENON_HD tenon::key_span span(int, int q_first, int q_last) const { return {q_first - reach, q_last + 1}; }
};

// value / temperature of the head
struct head_temperature {
  tenon::tensor_view<float const, 1> inverse;  // (heads)
  TENON_HD float operator()(float value, int, int head, int, int) const { return value * inverse(head); }
};
// -- to here

}  // namespace page

namespace {

using test::text_of;

TEST(own_variant, is_that_of_the_page) {
  auto const code = test::code_for_page("tests/attention/own_variant_test.cpp");
  test::expect_code_on_page(code, "docs/operators/attention_variants.md");
  EXPECT_LE(std::count(code.begin(), code.end(), '\n'), 18);
}

TEST(own_variant, is_not_the_only_one_of_the_page) {
  auto const page  = text_of("docs/operators/attention_variants.md");
  int        found = 0;
  for (std::string const name : {"mask", "mask_table", "logits"}) {
    auto const text = text_of("include/tenon/op/" + name + ".hpp");
    for (auto at = text.find("\nstruct "); at != std::string::npos; at = text.find("\nstruct ", at + 1)) {
      auto const from = at + 8;
      auto const word = text.substr(from, text.find_first_of(" {", from) - from);
      EXPECT_NE(page.find("`" + word), std::string::npos) << word << " of " << name << ".hpp";
      ++found;
    }
  }
  EXPECT_GE(found, 20);
}

TEST(own_variant, agrees) {
  test::batch_shape const  shape{.heads = 3, .kv_heads = 1, .head_dim = 16, .value_dim = 24, .page_size = 4};
  std::vector<float> const inverse{0.5f, 1.f, 3.f};
  test::tensor<float, 1>   on_device(3);
  on_device.assign(inverse);
  auto const variant = [&](tenon::tensor_view<float const, 1> of) {
    return tenon::attention_variant{page::dilated{3, 40}, page::head_temperature{of} | tenon::soft_cap{5.f}};
  };
  test::expect_agreement<float, tenon::bf16>(shape, {{12, 90}, {1, 70}, {4, 3}}, variant(on_device.view()),
                                             variant(test::over(inverse, 3)));
}

}  // namespace
