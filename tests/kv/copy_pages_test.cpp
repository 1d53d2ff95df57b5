#include <tenon/kv/block_copy.hpp>
#include <tenon/kv/copy_pages.hpp>
#include <tenon/kv/copy_pages_ref.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "kv_memory.hpp"

namespace {

using tenon::bf16, tenon::block_copy, tenon::errc, tenon::f16, tenon::index_t, tenon::kv_fp8, tenon::kv_int4,
    tenon::kv_int8;
using tenon::paged_kv, tenon::tensor_view;
using test::random_memory;

using copy_list = std::vector<block_copy>;

std::vector<std::int32_t> numbers_of(copy_list const& copies) {
  std::vector<std::int32_t> numbers;
  for (auto const& c : copies) numbers.insert(numbers.end(), {c.from, c.to, c.tokens});
  return numbers;
}

/// Every kind of entry: whole pages, parts, one page read twice, more tokens than there are, and all that copies nothing.
constexpr index_t all_pages = 12;
copy_list         entries(index_t page_size) {
          auto const             size = static_cast<std::int32_t>(page_size);
          constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max(), least = -most - 1;
          return {{0, 5, size},   {0, 6, (size + 1) / 2}, {3, 1, 1},     {4, 2, size + 7},
                  {11, 10, most}, {7, 7, size},           {8, 9, 0},     {8, 9, -3},
                  {8, 9, least},  {-1, 9, size},          {8, -1, size}, {12, 9, size},
                  {8, 12, size},  {most, least, size}};
}

struct shape {
  index_t page_size, kv_heads, head_dim, value_dim;
};
// A pair; odd rows; several heads whose scales move together, and their tails; a page of one and of 33 tokens; real ones.
constexpr shape shapes[] = {{1, 1, 2, 2},    {16, 2, 18, 6}, {33, 3, 10, 34}, {1, 4, 64, 32},
                            {16, 8, 64, 64}, {5, 1, 80, 96}, {33, 5, 32, 128}};
// Numbers may have any width.
constexpr shape odd_shapes[] = {{1, 1, 1, 3}, {16, 2, 7, 5}, {33, 3, 9, 1}};

template <class K, class V>
void expect_agreement(std::span<shape const> over) {
  for (auto const& s : over) {
    SCOPED_TRACE(std::to_string(s.page_size) + " tokens a page, " + std::to_string(s.kv_heads) + " heads of " +
                 std::to_string(s.head_dim) + " and " + std::to_string(s.value_dim));
    auto const                    list = entries(s.page_size);
    auto const                    rows = static_cast<index_t>(list.size());
    auto const                    at   = numbers_of(list);
    test::tensor<std::int32_t, 2> copies(rows, 3);
    copies.assign(at);
    test::on_every_target([&](tenon::context const& where) {
      random_memory<K> k({all_pages, s.page_size, s.kv_heads, s.head_dim}, 1);
      random_memory<V> v({all_pages, s.page_size, s.kv_heads, s.value_dim}, 2);
      tenon::ref::copy_pages(paged_kv<K, V>{k.reference(), v.reference()}, test::over(at, rows, 3));
      for (int run = 0; run < 2; ++run) {
        ASSERT_TRUE(tenon::copy_pages(where, paged_kv<K, V>{k.view(), v.view()}, copies.view()).ok());
        EXPECT_TRUE(k.agrees());  // every byte of the cache: what is copied, and what nobody may touch
        EXPECT_TRUE(v.agrees());
      }
    });
  }
}

TEST(copy_pages, numbers) {
  expect_agreement<float, float>(shapes);
  expect_agreement<bf16, f16>(shapes);
  expect_agreement<float, bf16>(odd_shapes);
  expect_agreement<f16, f16>(odd_shapes);
}
TEST(copy_pages, codes) {
  expect_agreement<kv_fp8, kv_int8>(shapes);
  expect_agreement<kv_int8, kv_int4>(shapes);
  expect_agreement<kv_int4, kv_fp8>(shapes);
  expect_agreement<kv_fp8, kv_int8>(odd_shapes);
}
TEST(copy_pages, codes_beside_numbers) {
  expect_agreement<kv_int4, bf16>(shapes);
  expect_agreement<f16, kv_int8>(shapes);
  expect_agreement<kv_fp8, float>(shapes);
}

// A page of more pieces, of a byte each, than the threads of all its blocks have in flight.
TEST(copy_pages, of_large_pages) {
  constexpr auto gpu    = tenon::choose_copy_pages_policy({90});
  index_t const  pieces = index_t{gpu.threads_per_block} * gpu.held * gpu.shares, page_size = 33, width = 1003;
  ASSERT_GT(page_size * width, pieces);
  std::vector<std::int32_t>     at{1, 0, 33};
  test::tensor<std::int32_t, 2> copies(1, 3);
  copies.assign(at);
  test::on_every_target([&](tenon::context const& where) {
    random_memory<kv_int8> k({2, page_size, 1, width}, 1), v({2, page_size, 1, 1}, 2);
    tenon::ref::copy_pages(paged_kv<kv_int8>{k.reference(), v.reference()}, test::over(at, 1, 3));
    ASSERT_TRUE(tenon::copy_pages(where, paged_kv<kv_int8>{k.view(), v.view()}, copies.view()).ok());
    EXPECT_TRUE(k.agrees());
    EXPECT_TRUE(v.agrees());
  });
}

// Without the reference: tokens in front of the count are those of `from`, the others and all other pages stay NaN.
TEST(copy_pages, leaves_the_tokens_behind_the_count) {
  index_t const pages = 4, page_size = 16, heads = 3, width = 8, token = heads * width, page = page_size * token;
  for (std::int32_t const tokens : {1, 5, 15, 16}) {
    SCOPED_TRACE(tokens);
    std::vector<float> values(std::size_t(pages * page), std::numeric_limits<float>::quiet_NaN());
    for (index_t i = 0; i < page; ++i) values[std::size_t(2 * page + i)] = float(i);
    test::tensor<std::int32_t, 2> copies(1, 3);
    copies.assign({2, 1, tokens});
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 4> k(pages, page_size, heads, width), v(pages, page_size, heads, width);
      k.assign(values), v.assign(values);
      ASSERT_TRUE(tenon::copy_pages(where, paged_kv{k.view(), v.view()}, copies.view()).ok());
      auto const ks = k.values();
      for (index_t i = 0; i < pages * page; ++i) {
        auto const got = ks[std::size_t(i)];
        if (i / page == 2 || (i / page == 1 && i % page < tokens * token)) ASSERT_EQ(got, float(i % page));
        else ASSERT_TRUE(std::isnan(got)) << "element " << i;
      }
      EXPECT_TRUE(test::same_bits(v.values(), ks));
    });
  }
}

/// (pages, heads, page_size, width) in memory with `apart` bytes between rows and `shift` in front; scales in a plane of their
/// own whose groups are farthest apart.
template <class E>
struct turned_memory {
  static constexpr bool codes = tenon::is_kv_codes<E>;

  test::kv_shape                shape;
  index_t                       apart, shift;
  test::tensor<std::uint8_t, 1> data, scales;

  static index_t row_bytes(index_t width) {
    if constexpr (codes) return width * E::bits / 8;
    else return width * static_cast<index_t>(sizeof(E));
  }
  static index_t groups(index_t width) {
    if constexpr (codes) return tenon::kv_groups<E>(width);
    else return 0;
  }

  turned_memory(test::kv_shape const& of, index_t bytes_apart, index_t bytes_in_front)
      : shape(of),
        apart(bytes_apart),
        shift(bytes_in_front),
        data(shift + of.pages * of.kv_heads * of.page_size * (row_bytes(of.width) + apart)),
        scales(of.pages * of.kv_heads * of.page_size * groups(of.width) * 4) {}

  static std::vector<std::uint8_t> noise(std::size_t size, std::uint64_t seed) {
    std::vector<std::uint8_t> bytes(size);
    std::mt19937_64           random(seed);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
  }

  tenon::kv_pages<E> over(std::uint8_t* at, std::uint8_t* scale) const {
    auto const [pages, page_size, heads, width] = shape;
    auto const unit                             = codes ? 1 : static_cast<index_t>(sizeof(E));
    auto const row                              = (row_bytes(width) + apart) / unit;
    using element                               = std::conditional_t<codes, std::uint8_t, E>;
    tensor_view<element, 4> const numbers{reinterpret_cast<element*>(at + shift),
                                          {pages, page_size, heads, row_bytes(width) / unit},
                                          {heads * page_size * row, row, page_size * row, 1}};
    if constexpr (codes) {
      using scale_type = typename E::scale_type;
      return {numbers,
              {reinterpret_cast<scale_type*>(scale),
               {pages, page_size, heads, groups(width)},
               {page_size, 1, pages * page_size, pages * page_size * heads}}};
    } else {
      return numbers;
    }
  }
};

template <class K, class V>
void expect_any_strides(index_t apart, index_t shift) {
  SCOPED_TRACE(std::to_string(apart) + " bytes apart, shifted by " + std::to_string(shift));
  index_t const page_size = 5, heads = 3, width = 64;
  // Columns of a list of more fields, in the order tokens, to, from, and every second row.
  auto const                    list = entries(page_size);
  auto const                    rows = static_cast<index_t>(list.size());
  std::vector<std::int32_t>     wide(std::size_t(rows * 2 * 5), 1);
  test::tensor<std::int32_t, 2> copies(rows * 2, 5);
  for (std::size_t i = 0; i < list.size(); ++i)
    wide[i * 10 + 1] = list[i].tokens, wide[i * 10 + 2] = list[i].to, wide[i * 10 + 3] = list[i].from;
  copies.assign(wide);
  auto const every_second = [&](std::int32_t const* data) {
    return tensor_view<std::int32_t const, 2>{data + 3, {rows, 3}, {10, -1}};
  };
  test::on_every_target([&](tenon::context const& where) {
    turned_memory<K> k({all_pages, page_size, heads, width}, apart, shift);
    turned_memory<V> v({all_pages, page_size, heads, width}, apart, shift);
    auto             k_want = k.noise(k.data.size(), 1), k_scales = k.noise(k.scales.size(), 2);
    auto             v_want = v.noise(v.data.size(), 3), v_scales = v.noise(v.scales.size(), 4);
    k.data.assign(k_want), k.scales.assign(k_scales), v.data.assign(v_want), v.scales.assign(v_scales);
    tenon::ref::copy_pages(
        paged_kv<K, V>{k.over(k_want.data(), k_scales.data()), v.over(v_want.data(), v_scales.data())},
        every_second(wide.data()));
    ASSERT_TRUE(tenon::copy_pages(where,
                                  paged_kv<K, V>{k.over(k.data.view().data, k.scales.view().data),
                                                 v.over(v.data.view().data, v.scales.view().data)},
                                  every_second(copies.view().data))
                    .ok());
    EXPECT_TRUE(test::same_bits(k.data.values(), k_want));
    EXPECT_TRUE(test::same_bits(k.scales.values(), k_scales));
    EXPECT_TRUE(test::same_bits(v.data.values(), v_want));
    EXPECT_TRUE(test::same_bits(v.scales.values(), v_scales));
  });
}

TEST(copy_pages, takes_any_strides) {
  for (index_t const apart : {0, 4, 16})
    for (index_t const shift : {0, 4}) {
      expect_any_strides<float, bf16>(apart, shift);
      expect_any_strides<kv_fp8, kv_int8>(apart, shift);
      expect_any_strides<kv_int4, f16>(apart, shift);
    }
  expect_any_strides<bf16, f16>(2, 2);
  expect_any_strides<kv_int8, kv_int4>(1, 3);
}

// K and V side by side in a page: one address each, the page stride of both.
TEST(copy_pages, takes_keys_and_values_in_one_page) {
  index_t const             pages = 3, page_size = 4, heads = 2, width = 16, half = page_size * heads * width;
  std::vector<bf16>         want;
  std::vector<std::int32_t> at{2, 0, 3};
  for (int i = 0; i < pages * half * 2; ++i) want.push_back(bf16::from_bits(static_cast<std::uint16_t>(i * 31)));
  auto const in = [&](bf16* data) {
    auto const part = [&](bf16* first) {
      return tensor_view<bf16, 4>{first, {pages, page_size, heads, width}, {2 * half, heads * width, width, 1}};
    };
    return paged_kv<bf16>{part(data), part(data + half)};
  };
  auto const before = want;
  tenon::ref::copy_pages(in(want.data()), test::over(at, 1, 3));
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 1>         both(pages * 2 * half);
    test::tensor<std::int32_t, 2> copies(1, 3);
    both.assign(before), copies.assign(at);
    ASSERT_TRUE(tenon::copy_pages(where, in(both.view().data), copies.view()).ok());
    EXPECT_TRUE(test::same_bits(both.values(), want));
  });
}

// Scales that were found beforehand have strides of 0: one for all, one for a head, one for a page.
TEST(copy_pages, copies_shared_scales_once) {
  index_t const pages = 3, page_size = 4, heads = 2, width = 16;
  struct shared {
    index_t            page, head;  // strides
    std::vector<float> after;
  };
  std::vector<float> const      before{1, 2, 3};
  test::tensor<std::int32_t, 2> copies(2, 3);
  copies.assign({2, 0, 3, 2, 1, 3});
  for (auto const& s : {shared{0, 0, {1, 2, 3}}, shared{0, 1, {1, 2, 3}}, shared{1, 0, {3, 3, 3}}})
    test::on_every_target([&](tenon::context const& where) {
      random_memory<kv_fp8>  k({pages, page_size, heads, width}, 1), v({pages, page_size, heads, width}, 2);
      test::tensor<float, 1> k_scales(3), v_scales(3);
      k_scales.assign(before), v_scales.assign(before);
      auto const with = [&](auto view, float* scales) {
        view.scale = {scales, {pages, page_size, heads, 1}, {s.page, 0, s.head, 0}};
        return view;
      };
      auto                      k_want = before, v_want = before;
      std::vector<std::int32_t> at{2, 0, 3, 2, 1, 3};
      tenon::ref::copy_pages(paged_kv<kv_fp8>{with(k.reference(), k_want.data()), with(v.reference(), v_want.data())},
                             test::over(at, 2, 3));
      ASSERT_EQ(k_want, s.after);
      ASSERT_TRUE(tenon::copy_pages(
                      where,
                      paged_kv<kv_fp8>{with(k.view(), k_scales.view().data), with(v.view(), v_scales.view().data)},
                      copies.view())
                      .ok());
      EXPECT_EQ(k_scales.values(), s.after);
      EXPECT_EQ(v_scales.values(), s.after);
      EXPECT_TRUE(k.agrees());
      EXPECT_TRUE(v.agrees());
    });
}

TEST(copy_pages, of_nothing_is_ok) {
  test::tensor<std::int32_t, 2> none(0, 3), one(1, 3);
  one.assign({0, 1, 1});
  test::on_every_target([&](tenon::context const& where) {
    auto const copy = [&]<class E>(std::type_identity<E>, test::kv_shape const& of, auto& list) {
      test::kv_memory<E> k(of), v(of);
      auto const         s = tenon::copy_pages(where, paged_kv<E>{k.view(), v.view()}, list.view());
      EXPECT_TRUE(k.agrees());
      return s.ok();
    };
    constexpr std::type_identity<bf16>    numbers;
    constexpr std::type_identity<kv_int8> codes;
    EXPECT_TRUE(copy(numbers, {2, 2, 1, 8}, none));
    EXPECT_TRUE(copy(codes, {2, 2, 1, 8}, none));
    EXPECT_TRUE(copy(numbers, {2, 2, 0, 8}, one));
    EXPECT_TRUE(copy(codes, {2, 2, 0, 8}, one));
    EXPECT_TRUE(copy(numbers, {2, 2, 1, 0}, one));
    EXPECT_TRUE(copy(numbers, {2, 0, 1, 8}, one));
    EXPECT_TRUE(copy(codes, {0, 2, 1, 8}, one));
  });
}

// K and V of one width each, and one of them of none.
TEST(copy_pages, of_keys_alone) {
  test::tensor<std::int32_t, 2> copies(1, 3);
  std::vector<std::int32_t>     at{1, 0, 2};
  copies.assign(at);
  test::on_every_target([&](tenon::context const& where) {
    random_memory<kv_int4> k({2, 3, 2, 32}, 1);
    random_memory<bf16>    v({2, 3, 2, 0}, 2);
    using kv = paged_kv<kv_int4, bf16>;
    tenon::ref::copy_pages(kv{k.reference(), v.reference()}, test::over(at, 1, 3));
    ASSERT_TRUE(tenon::copy_pages(where, kv{k.view(), v.view()}, copies.view()).ok());
    EXPECT_TRUE(k.agrees());
  });
}

TEST(copy_pages, reads_an_array_of_block_copies) {
  static_assert(sizeof(block_copy) == 3 * sizeof(std::int32_t));
  block_copy const copies[] = {{1, 2, 3}, {4, 5, 6}};
  EXPECT_EQ((std::bit_cast<std::array<std::int32_t, 6>>(copies)), (std::array<std::int32_t, 6>{1, 2, 3, 4, 5, 6}));
}

TEST(independent_copies, end_where_the_order_matters) {
  auto const first = [](copy_list const& list) { return tenon::independent_copies(list); };
  EXPECT_EQ(first({}), 0u);
  EXPECT_EQ(first({{3, 3, 1}}), 1u);
  EXPECT_EQ(first({{0, 1, 1}, {0, 2, 1}, {3, 4, 1}}), 3u);  // one page may be read twice
  EXPECT_EQ(first({{0, 1, 1}, {2, 1, 1}}), 1u);             // written twice
  EXPECT_EQ(first({{0, 1, 1}, {3, 2, 1}, {1, 4, 1}}), 2u);  // read after it was written
  EXPECT_EQ(first({{0, 1, 1}, {3, 0, 1}}), 1u);             // written after it was read
}

TEST(copy_pages_contract, names_what_is_wrong) {
  test::tensor<float, 4>        k(2, 2, 1, 8), v(2, 2, 1, 8);
  test::tensor<std::int32_t, 2> copies(1, 3), pairs(1, 2);
  test::kv_memory<kv_int8>      codes({2, 2, 1, 8});
  tenon::context const          where{};
  auto const                    is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "copy_pages");
  };
  paged_kv const kv{k.view(), v.view()};
  is(tenon::copy_pages(where, kv, pairs.view()), errc::shape_mismatch, "fields");
  auto nowhere = copies.view();
  nowhere.data = nullptr;
  is(tenon::copy_pages(where, kv, nowhere), errc::out_of_range, "copies");
  auto strided        = kv;
  strided.k.stride[3] = 2;
  is(tenon::copy_pages(where, strided, copies.view()), errc::bad_stride, "kv.k");
  auto fewer        = kv;
  fewer.v.extent[1] = 1;
  is(tenon::copy_pages(where, fewer, copies.view()), errc::shape_mismatch, "page_size");
  auto other        = kv;
  other.v.extent[2] = 2;
  is(tenon::copy_pages(where, other, copies.view()), errc::shape_mismatch, "kv_heads");
  auto crooked   = kv;
  crooked.v.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.v.data) + 2);
  is(tenon::copy_pages(where, crooked, copies.view()), errc::misaligned, "kv.v");
  auto long_pages        = kv;
  long_pages.k.extent[1] = long_pages.v.extent[1] = index_t{1} << 26;  // 2^31 bytes
  is(tenon::copy_pages(where, long_pages, copies.view()), errc::out_of_range, "page_size");
  test::tensor<std::int32_t, 2> none(0, 3);
  --long_pages.k.extent[1], --long_pages.v.extent[1];
  EXPECT_TRUE(tenon::copy_pages(where, long_pages, none.view()).ok()) << "32 bytes less";
  auto wide        = kv;
  wide.v.extent[3] = index_t{1} << 24;
  is(tenon::copy_pages(where, wide, copies.view()), errc::out_of_range, "value_dim");
  paged_kv<kv_int8> scaleless{codes.view(), codes.view()};
  scaleless.k.scale.extent[3] = 2;
  is(tenon::copy_pages(where, scaleless, copies.view()), errc::shape_mismatch, "groups");
  auto unplaced         = paged_kv<kv_int8>{codes.view(), codes.view()};
  unplaced.v.scale.data = nullptr;
  is(tenon::copy_pages(where, unplaced, copies.view()), errc::out_of_range, "kv.v");
}

TEST(copy_pages_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120}) {
    auto const chosen = tenon::choose_copy_pages_policy({arch});
    EXPECT_EQ(std::count(std::begin(tenon::copy_pages_menu), std::end(tenon::copy_pages_menu), chosen), 1);
    EXPECT_EQ(chosen.on_host(), arch == 0);
  }
}

}  // namespace
