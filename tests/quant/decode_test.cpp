// Every code at every place of an atom, through the packer's map, the decoder and one tensor-core product: the inputs are
// one-hot, so each result is one decoded number, and must be it bit by bit.
#include <tenon/arch/arch.cuh>
#include <tenon/quant/decode.cuh>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using namespace tenon;
namespace packed = tenon::packed;

// Warp `i` of the grid decodes atom i and multiplies it with the identity, eight columns at a time.
struct decode_params {
  std::byte const*    atoms;  // (atoms, atom bytes)
  std::uint8_t const* zeros;  // (atoms, 16): of rows
  float*              to;     // (atoms, 16, 64)
};

/// The B fragment of k columns first.. of the input that has a one at column + n, for n = 0..7.
template <class T>
__device__ tile::fragment_b one_hot(int first, int column) {
  constexpr int    per_word = 4 / static_cast<int>(sizeof(T));
  std::uint32_t    one;
  tile::fragment_b b{};
  if constexpr (std::is_same_v<T, f16>) one = 0x3c00;
  else if constexpr (std::is_same_v<T, bf16>) one = 0x3f80;
  else if constexpr (std::is_same_v<T, e4m3>) one = 0x38;
  else one = 1;
  int const g = arch::lane() / 4, t = arch::lane() % 4;
  for (int r = 0; r < 2; ++r)
    for (int p = 0; p < per_word; ++p)
      if (first + (t + 4 * r) * per_word + p == column + g) b.r[r] |= one << (p * 32 / per_word);
  return b;
}

template <int Step, bool Native, class Decoder, class T>
__device__ void multiply(float (&sum)[4], Decoder const& decoder, std::uint32_t const (&word)[Decoder::words],
                         int column) {
  constexpr int columns = 64 / Decoder::steps;
  auto const    a       = decoder.template at<Step>(word);
  auto const    b       = one_hot<T>(Step * columns, column);
  if constexpr (std::is_same_v<T, std::int8_t>) {
    std::int32_t d[4] = {};
    arch::mma_m16n8k32<std::int8_t>(d, a.r, b.r);
    for (int v = 0; v < 4; ++v) sum[v] += static_cast<float>(d[v]);
  } else {
    tile::accumulator d;
    if constexpr (std::is_same_v<T, e4m3>) tile::mma_fp8<Native>(d, a, b);
    else tile::mma<T>(d, a, b);
    for (int v = 0; v < 4; ++v) sum[v] += d.v[v];
  }
  if constexpr (Step + 1 < Decoder::steps) multiply<Step + 1, Native, Decoder, T>(sum, decoder, word, column);
}

template <weight_code Code, class T, bool Native>
__global__ void decode_atoms(__grid_constant__ decode_params const p) {
  using decoder_type          = packed_decoder<Code, T>;
  index_t const          atom = blockIdx.x;
  int const              lane = arch::lane();
  std::byte const* const from = p.atoms + atom * packed::atom_bytes(Code);
  std::uint32_t          word[decoder_type::words];
  for (int w = 0; w < decoder_type::words; w += 4) {
    auto const four = arch::load<4>(reinterpret_cast<std::uint32_t const*>(from + w / 4 * 512 + lane * 16));
    for (int e = 0; e < 4; ++e) word[w + e] = four[e];
  }
  decoder_type decoder;
  if constexpr (decoder_type::zeros)
    decoder.set_zeros(p.zeros[atom * 16 + lane / 4], p.zeros[atom * 16 + lane / 4 + 8]);
  for (int column = 0; column < 64; column += 8) {
    float sum[4] = {};
    multiply<0, Native, decoder_type, T>(sum, decoder, word, column);
    for (int v = 0; v < 4; ++v)
      p.to[(atom * 16 + tile::accumulator_row(lane, v)) * 64 + column + tile::accumulator_column(lane, v)] = sum[v];
  }
}

template <weight_code Code, class T, bool Native = true>
void every_code_at_every_place(bool zero_points = false) {
  constexpr int codes = 1 << bits_of(Code), bytes = packed::atom_bytes(Code);
  // Atom i has at place p code 5 p + 37 i: all atoms together have each code at each place. (Checked: a sixteenth of those.)
  constexpr int              atoms = TENON_CHECKED ? 16 : codes;
  std::vector<std::byte>     packed_atoms(static_cast<std::size_t>(atoms * bytes));
  std::vector<std::uint8_t>  zeros(atoms * 16, 8);
  std::vector<std::uint32_t> code(atoms * 1024);
  for (int i = 0; i < atoms; ++i)
    for (int row = 0; row < 16; ++row) {
      if (zero_points) zeros[static_cast<std::size_t>(i * 16 + row)] = static_cast<std::uint8_t>((i + 3 * row) % 17);
      for (int column = 0; column < 64; ++column) {
        int const place = row * 64 + column;
        auto      c     = static_cast<std::uint32_t>((5 * place + 37 * i) % codes);
        if (Code == weight_code::fp8 && (c & 0x7f) == 0x7f) c = 0x80;  // no NaN; a minus zero
        code[static_cast<std::size_t>(i * 1024 + place)] = c;
        auto const at                                    = packed::position_of(Code, pack_order_of<T>, row, column);
        auto&      to = packed_atoms[static_cast<std::size_t>(i * bytes + at.byte() + at.shift / 8)];
        to |= static_cast<std::byte>(c << at.shift % 8);
      }
    }
  test::on_every_target([&](tenon::context const& where) {
    if (where.arch == 0 || where.arch == 89) return;                    // the same code
    if (std::is_same_v<T, e4m3> && Native && where.arch == 80) return;  // it has no such instruction
    test::tensor<std::byte, 1>    from(index_t{atoms * bytes});
    test::tensor<std::uint8_t, 1> zero(index_t{atoms * 16});
    test::tensor<float, 1>        to(index_t{atoms * 1024});
    from.assign(packed_atoms), zero.assign(zeros);
    decode_params const p{from.view().data, zero.view().data, to.view().data};
    ASSERT_TRUE(arch::launch("decode", where, {.grid = atoms, .block = 32}, decode_atoms<Code, T, Native>, p).ok());
    auto const got = to.values();
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(got[i], decode_number<Code>(code[i], zeros[i / 64]))
          << "atom " << i / 1024 << " row " << i / 64 % 16 << " column " << i % 64 << " code " << code[i];
  });
}

TEST(decode, int4_f16) { every_code_at_every_place<weight_code::int4, f16>(); }
TEST(decode, int4_f16_with_zero_points) { every_code_at_every_place<weight_code::int4, f16>(true); }
TEST(decode, int4_bf16) { every_code_at_every_place<weight_code::int4, bf16>(); }
TEST(decode, int4_bf16_with_zero_points) { every_code_at_every_place<weight_code::int4, bf16>(true); }
TEST(decode, int4_int8) { every_code_at_every_place<weight_code::int4, std::int8_t>(); }
TEST(decode, int4_int8_with_zero_points) { every_code_at_every_place<weight_code::int4, std::int8_t>(true); }
TEST(decode, int8_f16) { every_code_at_every_place<weight_code::int8, f16>(); }
TEST(decode, int8_bf16) { every_code_at_every_place<weight_code::int8, bf16>(); }
TEST(decode, int8_int8) { every_code_at_every_place<weight_code::int8, std::int8_t>(); }
TEST(decode, fp8_f16) { every_code_at_every_place<weight_code::fp8, f16>(); }
TEST(decode, fp8_bf16) { every_code_at_every_place<weight_code::fp8, bf16>(); }
TEST(decode, fp8_fp8) { every_code_at_every_place<weight_code::fp8, e4m3>(); }
TEST(decode, fp8_fp8_widened) { every_code_at_every_place<weight_code::fp8, e4m3, false>(); }
TEST(decode, fp4_f16) { every_code_at_every_place<weight_code::fp4, f16>(); }
TEST(decode, fp4_bf16) { every_code_at_every_place<weight_code::fp4, bf16>(); }

TEST(decode, numbers_of_scalar_codes) {
  EXPECT_EQ(decode_number<weight_code::int4>(0), -8.f);
  EXPECT_EQ(decode_number<weight_code::int4>(15, 3), 12.f);
  EXPECT_EQ(decode_number<weight_code::int8>(0x80), -128.f);
  EXPECT_EQ(decode_number<weight_code::int8>(0x7f), 127.f);
  EXPECT_EQ(decode_number<weight_code::fp8>(0x7e), 448.f);
  EXPECT_EQ(decode_number<weight_code::fp8>(0x01), 0x1p-9f);
  EXPECT_EQ(decode_number<weight_code::fp4>(0xf), -6.f);
  EXPECT_EQ(decode_number<weight_code::fp4>(0x1), .5f);
}

}  // namespace
