#include <tenon/attention/paged_attention.hpp>
#include <tenon/op/mask_table.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "variant_agreement.hpp"

namespace {

using tenon::attention_variant, tenon::bf16, tenon::causal, tenon::coverage, tenon::key_span;
using test::expect_agreement, test::batch_shape, test::request;

batch_shape const small{.heads = 3, .kv_heads = 1, .head_dim = 16, .value_dim = 24, .page_size = 4};

TEST(paged_attention_mask, windows_narrower_and_wider_than_a_tile_agree) {
  for (int const window : {1, 5, 33, 64, 100})
    expect_agreement<float, bf16>(small, {{20, 90}, {1, 70}},
                                  attention_variant{causal{} & tenon::sliding_window{window}});
}

TEST(paged_attention_mask, none_sees_every_key) {
  expect_agreement<float, bf16>(small, {{5, 40}, {3, 2}}, attention_variant{tenon::no_mask{}});
}

/// Even heads see even keys, odd heads those before key 50; queries at multiples of 3 see nothing.
struct striped {
  TENON_HD coverage classify(int, int head, int, int, int k_first, int) const {
    return head % 2 == 1 && k_first >= 50 ? coverage::empty : coverage::partial;
  }
  TENON_HD bool keep(int, int head, int q, int k) const { return q % 3 != 0 && (head % 2 ? k < 50 : k % 2 == 0); }
};

TEST(paged_attention_mask, of_the_user_may_differ_by_head_and_leave_rows_empty) {
  expect_agreement<float, bf16>({.heads = 4, .kv_heads = 2, .head_dim = 16, .value_dim = 16},
                                {{9, 75}, {1, 34}, {2, 2}}, attention_variant{causal{} & striped{}});
}

/// One of the library's masks, chosen at run time: one kernel serves them all. (On matrix units it would cost registers.)
struct any_mask {
  int                  which = 0;
  tenon::prefix_lm     prefix{};
  tenon::document_mask document{};
  tenon::bit_mask      bits{};
  tenon::tree_mask     tree{};
  int                  number = 1;  // of the masks without tables

  template <class F>
  TENON_HD constexpr auto with(F const& f) const {
    switch (which) {
      case 0: return f(prefix);
      case 1: return f(causal{} & document);
      case 2: return f(document);
      case 3: return f(bits);
      case 4: return f(tree);
      case 5: return f(causal{} & tenon::attention_chunks{number});
      case 6: return f(tenon::attention_chunks{number});
      case 7: return f(tenon::two_sided_window{number, 3});
      default: return f(causal{} & (tenon::sliding_window{number} | tenon::first_keys{4}));
    }
  }
  TENON_HD coverage classify(int request, int head, int q_first, int q_last, int k_first, int k_last) const {
    return with([=](auto const& m) { return m.classify(request, head, q_first, q_last, k_first, k_last); });
  }
  TENON_HD bool keep(int request, int head, int q, int k) const {
    return with([=](auto const& m) { return m.keep(request, head, q, k); });
  }
  TENON_HD key_span span(int request, int q_first, int q_last) const {
    return with([=](auto const& m) { return key_span_of(m, request, q_first, q_last); });
  }
};

/// A table for the kernels and the same for the reference.
template <class T>
struct table {
  std::vector<T>     host;
  test::tensor<T, 1> device;
  explicit table(std::vector<T> const& values) : host(values), device(static_cast<int>(values.size())) {
    device.assign(values);
  }
  template <class... Extent>
  auto on_device(Extent... extent) {
    return tenon::dense(std::as_const(device).view().data, extent...);
  }
  template <class... Extent>
  auto on_host(Extent... extent) const {
    return tenon::dense(host.data(), extent...);
  }
};

void expect_mask(std::vector<request> const& requests, any_mask const& device, any_mask const& host) {
  expect_agreement<float>(small, requests, attention_variant{device}, attention_variant{host});
}
/// The mask alone, on matrix units.
template <class Mask>
void expect_narrow(std::vector<request> const& requests, Mask const& device, Mask const& host) {
  expect_agreement<bf16>(small, requests, attention_variant{device}, attention_variant{host});
}

TEST(paged_attention_mask, without_tables_agree) {
  for (int const which : {5, 6, 7, 8})
    for (int const number : {7, 64}) {
      any_mask mask;
      mask.which = which, mask.number = number;
      expect_mask({{9, 90}, {1, 70}, {3, 2}}, mask, mask);
    }
}

TEST(paged_attention_mask, of_prefixes_agrees) {
  std::vector<request> const requests{{30, 90}, {1, 70}, {9, 9}, {4, 20}};
  table<std::int32_t>        prefix({77, 10, 5, 0});
  any_mask                   device, host;
  device.prefix.prefix = prefix.on_device(4), host.prefix.prefix = prefix.on_host(4);
  expect_mask(requests, device, host);
  expect_narrow(requests, device.prefix, host.prefix);
}

TEST(paged_attention_mask, of_documents_agrees) {
  std::vector<request> const requests{{40, 90}, {1, 70}, {21, 80}};
  std::mt19937               engine(1);
  std::vector<std::int32_t>  packed, scattered;
  for (int r = 0; r < 3; ++r) {
    std::int32_t number = 0;
    for (int i = 0; i < 90; ++i) {
      packed.push_back(number += engine() % 20 == 0), scattered.push_back(static_cast<std::int32_t>(engine() % 4));
    }
  }
  for (auto const& [ascending, which] : {std::pair{false, 1}, {true, 1}, {true, 2}}) {
    table<std::int32_t> numbers(ascending ? packed : scattered);
    any_mask            device, host;
    device.which = host.which = which, device.document.ascending = host.document.ascending = ascending;
    device.document.document = numbers.on_device(3, 90), host.document.document = numbers.on_host(3, 90);
    expect_mask(requests, device, host);
    if (which == 1) expect_narrow(requests, causal{} & device.document, causal{} & host.document);
  }
}

TEST(paged_attention_mask, of_bits_agrees) {
  std::vector<request> const requests{{12, 90}, {5, 40}, {1, 70}};
  std::mt19937               engine(2);
  std::vector<std::uint32_t> bits;
  for (int i = 0; i < 18 * 3; ++i) bits.push_back(static_cast<std::uint32_t>(engine()));
  for (int i = 0; i < 3; ++i) bits[std::size_t(4 * 3 + i)] = 0;  // a row that sees nothing, or the keys before its bits
  table<std::uint32_t> words(bits);
  table<std::int32_t>  row({0, 12, 17}), position({78, 35, 69}), key({60, 20, 3});
  for (bool const tail : {false, true}) {
    any_mask device, host;
    device.which = host.which = 3;
    device.bits               = {words.on_device(18, 3), row.on_device(3), position.on_device(3)};
    host.bits                 = {words.on_host(18, 3), row.on_host(3), position.on_host(3)};
    if (tail) device.bits.first_key = key.on_device(3), host.bits.first_key = key.on_host(3);
    expect_mask(requests, device, host);
    expect_narrow(requests, device.bits, host.bits);
  }
}

// A tree of 13 guesses, one of 64, a decode, and a prompt of 66 tokens in one batch.
TEST(paged_attention_mask, of_trees_agrees) {
  std::vector<request> const requests{{13, 60}, {64, 70}, {1, 34}, {66, 67}};
  std::mt19937               engine(3);
  std::vector<std::uint64_t> words(144, 0);
  std::vector<std::int32_t>  parent(64);
  for (int j = 0; j < 64; ++j)
    parent[std::size_t(j)] = j == 0 ? -1 : static_cast<std::int32_t>(engine() % (unsigned(j) + 1)) - 1;
  tenon::tree_words(parent.data(), 13, &words[0]);
  tenon::tree_words(parent.data(), 64, &words[13]);
  for (int j = 0; j < 64; ++j) parent[std::size_t(j)] = j - 1;
  tenon::tree_words(parent.data(), 1, &words[77]);
  tenon::tree_words(parent.data(), 64, &words[80]);
  table<std::uint64_t> sees(words);
  table<std::int32_t>  start({0, 13, 77, 78, 144}), length({60, 70, 34, 67});
  any_mask             device, host;
  device.which = host.which = 4;
  device.tree               = {sees.on_device(144), start.on_device(5), length.on_device(4)};
  host.tree                 = {sees.on_host(144), start.on_host(5), length.on_host(4)};
  expect_mask(requests, device, host);
  expect_narrow(requests, device.tree, host.tree);
}

// Rows that see nothing at all, in a tile with rows that do: 0 and -inf.
TEST(paged_attention_mask, of_trees_may_leave_rows_empty) {
  table<std::uint64_t> sees({0, 1, 0b110});  // no text before the tree: the first node does not see itself
  table<std::int32_t>  start({0, 3}), length({3});
  any_mask             device, host;
  device.which = host.which = 4;
  device.tree               = {sees.on_device(3), start.on_device(2), length.on_device(1)};
  host.tree                 = {sees.on_host(3), start.on_host(2), length.on_host(1)};
  expect_mask({{3, 3}}, device, host);
  expect_narrow({{3, 3}}, device.tree, host.tree);
}

}  // namespace
