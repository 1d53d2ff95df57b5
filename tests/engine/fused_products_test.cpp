//  q, k and v as one matrix, gate and up in turns: what the loader joins multiplies to the same bits as the modules by themselves.
#include <engine/model/weights.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "random_model.hpp"

namespace {

using namespace tenon::engine;
using tenon::as_const, tenon::index_t, tenon::tensor_view;
using test::model, test::scratch_folder, test::shape;

template <class T>
array<T> on_device(std::vector<float> const& values) {
  std::vector<T> all;
  for (float const v : values) all.push_back(static_cast<T>(v));
  array<T> a(all.size());
  a.upload(all);
  return a;
}

/// Modules of one input as they are in the file, none joined.
template <class T>
linear_set<T> apart(model& m, std::vector<std::string> const& modules, bool bias) {
  linear_set<T> set;
  for (std::string const& module : modules) {
    auto const [outputs, inputs] = m.extents(module);
    linear<T> l;
    l.weight = on_device<T>(m.weight(module));
    if (bias) l.bias = on_device<T>(m.values(module + ".bias"));
    l.outputs = outputs, l.inputs      = inputs;
    set.outputs += outputs, set.inputs = inputs;
    set.parts.push_back(std::move(l));
  }
  return set;
}

template <class T>
class fused_products : public testing::Test {};
using elements = testing::Types<float, tenon::bf16>;
TYPED_TEST_SUITE(fused_products, elements);

TYPED_TEST(fused_products, have_the_bits_of_separate_ones) {
  using T = TypeParam;
  for (bool const bias : {false, true}) {
    // 3 heads over 1, widths that are no multiples of a tile
    shape const    s{"fused", "llama", 3, 1, 10, 43, false, bias, bias, 1, 40};
    scratch_folder folder;
    model          m(s);
    m.save(folder);
    model_config const  config = read_model_config(folder.path().string());
    checkpoint const    files(folder.path());
    load_options const  options;
    weight_loader const loader(config, &files, 0, format_for<T>, options);

    std::map<std::pair<std::size_t, product>, linear_set<T>> fused;
    loader.each_product([&](std::size_t layer, product p, host_linear_set&& set) {
      fused[{layer, p}] = detail::to_device<T>(set);
    });

    tenon::context                  where;
    product_space<T>                space;
    std::mt19937                    engine(3);
    std::normal_distribution<float> normal(0, 1);
    for (index_t const tokens : {index_t{1}, index_t{5}, index_t{67}}) {
      SCOPED_TRACE(std::to_string(tokens) + (bias ? " with biases" : ""));
      std::vector<float> rows(static_cast<std::size_t>(tokens) * 40);
      for (float& v : rows) v = normal(engine);
      array<T> const h = on_device<T>(rows);
      auto const     a = h.view(tokens, index_t{40});
      for (std::size_t layer = 0; layer < 2; ++layer) {
        std::string const attention = "model.layers." + std::to_string(layer) + ".self_attn.",
                          mlp       = "model.layers." + std::to_string(layer) + ".mlp.";
        auto const same = [&](linear_set<T> const& joined, linear_set<T> const& separate, index_t columns, bool pair) {
          EXPECT_EQ(joined.parts.size(), 1u);
          EXPECT_GT(separate.parts.size(), 1u);
          std::vector<T> results[2];
          for (int const which : {0, 1}) {
            linear_set<T> const& set = which ? separate : joined;
            array<T>             d(static_cast<std::size_t>(tokens * columns));
            auto const           to = d.view(tokens, columns);
            if (pair)
              space.reserve_pair(set, static_cast<std::size_t>(tokens)), space.apply_pair(where, to, a, set, {});
            else space.apply(where, to, a, set);
            results[which].resize(d.size());
            d.download(results[which]);
          }
          EXPECT_EQ(std::memcmp(results[0].data(), results[1].data(), results[0].size() * sizeof(T)), 0);
          EXPECT_GT(std::abs(static_cast<float>(results[0].back())), 0.f);
        };
        same(fused.at({layer, product::qkv}),
             apart<T>(m, {attention + "q_proj", attention + "k_proj", attention + "v_proj"}, bias), 50, false);
        // In 16 bits a gate by itself is rounded in memory, between its product and its activation.
        if constexpr (std::is_same_v<T, float>)
          same(fused.at({layer, product::gate_up}), apart<T>(m, {mlp + "gate_proj", mlp + "up_proj"}, bias), 43, true);
      }
    }
  }
}

}  // namespace
