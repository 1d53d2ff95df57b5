//  Quantised checkpoints of every format against double loops on the multiplied-out weights, and what the files get wrong.
#include <tenon/quant/import_awq.hpp>
#include <tenon/quant/import_block_fp8.hpp>
#include <tenon/quant/import_compressed_tensors.hpp>
#include <tenon/quant/import_gptq.hpp>
#include <tenon/quant/import_microscaling.hpp>
#include <tenon/quant/quantize_weight.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "../quant/random_weight.hpp"
#include "random_model.hpp"

namespace {

using nlohmann::json;
using tenon::quantized_weight, tenon::weight_code, tenon::weight_format;
using tenon::engine::dtype;
using test::matrix, test::model, test::vocabulary;
using stored = std::map<std::string, model::stored>;

/// How a model's matrices are written.
struct file_format {
  char const*   name;
  char const*   configuration;  // quantization_config
  weight_format weight;
  char const*   writer;             // which of the functions below
  int           bits      = 0;      // of the file, where they are not those of the code
  bool          shuffled  = false;  // inputs in another order: "q, k, v" and "gate, up" each in the same
  double        tolerance = 1e-5;
  char const*   inputs    = "";    // int8, fp8, fp8-64 or fp8-static: what the configuration does to them
  bool          fused     = true;  // false: the configuration leaves k_proj and up_proj alone
};

std::ostream& operator<<(std::ostream& out, file_format const& f) { return out << f.name; }

template <class T>
model::stored as_stored(dtype type, std::vector<std::int64_t> shape, std::vector<T> const& values) {
  auto const* const first = reinterpret_cast<std::byte const*>(values.data());
  return {type, std::move(shape), {first, first + values.size() * sizeof(T)}};
}

void expect_ok(tenon::status const& s) { ASSERT_TRUE(s.ok()) << s.primitive << ": " << s.subject << " " << s.got; }

constexpr float static_input_scale = 0.03125f;

/// The tensors of one module, and through `w` what they stand for.
stored write_module(file_format const& f, quantized_weight& w) {
  std::string const writer = f.writer;
  auto const        n = w.rows, k = w.columns, groups = w.groups();
  if (writer.starts_with("awq")) {
    tenon::awq_checkpoint<tenon::f16> c;
    bool const                        gemm = writer == "awq";
    expect_ok(export_awq(c, w, gemm ? tenon::awq_version::gemm : tenon::awq_version::gemv));
    expect_ok(import_awq(w, c.tensors(), c.options));
    auto const zeros = static_cast<std::int64_t>(c.qzeros.size()), scales = static_cast<std::int64_t>(c.scales.size());
    if (gemm)
      return {{"qweight", as_stored(dtype::i32, {k, n / 8}, c.qweight)},
              {"qzeros", as_stored(dtype::i32, {groups, n / 8}, c.qzeros)},
              {"scales", as_stored(dtype::f16, {groups, n}, c.scales)}};
    return {{"qweight", as_stored(dtype::i32, {n, k / 8}, c.qweight)},
            {"qzeros", as_stored(dtype::i32, {n, zeros / n}, c.qzeros)},
            {"scales", as_stored(dtype::f16, {n, scales / n}, c.scales)}};
  }
  if (writer.starts_with("gptq")) {
    tenon::gptq_checkpoint<tenon::f16> c;
    auto const zeros = writer == "gptq" ? tenon::gptq_zeros::one_less : tenon::gptq_zeros::as_is;
    expect_ok(export_gptq(c, w, {.bits = f.bits, .zeros = zeros}));
    expect_ok(import_gptq(w, c.tensors(), c.options));
    int const bits = c.options.bits;
    return {{"qweight", as_stored(dtype::i32, {k * bits / 32, n}, c.qweight)},
            {"qzeros", as_stored(dtype::i32, {groups, n * bits / 32}, c.qzeros)},
            {"scales", as_stored(dtype::f16, {groups, n}, c.scales)},
            {"g_idx", as_stored(dtype::i32, {k}, c.g_idx)}};
  }
  if (writer == "pack") {
    tenon::pack_quantized_checkpoint<tenon::f16> c;
    expect_ok(export_pack_quantized(c, w, f.bits));
    expect_ok(import_pack_quantized(w, c.tensors(), c.options));
    int const per_word = 32 / c.options.num_bits;
    stored    s{{"weight_packed", as_stored(dtype::i32, {n, (k + per_word - 1) / per_word}, c.weight_packed)},
             {"weight_scale", as_stored(dtype::f16, {n, groups}, c.weight_scale)},
             {"weight_shape", as_stored(dtype::i64, {2}, c.weight_shape)}};
    if (!c.weight_zero_point.empty())
      s["weight_zero_point"] = as_stored(dtype::i32, {(n + per_word - 1) / per_word, groups}, c.weight_zero_point);
    if (!c.weight_g_idx.empty()) s["weight_g_idx"] = as_stored(dtype::i32, {k}, c.weight_g_idx);
    return s;
  }
  if (writer == "int") {
    tenon::int_quantized_checkpoint<float> c;
    expect_ok(export_int_quantized(c, w));
    expect_ok(import_int_quantized(w, c.tensors(), c.options));
    return {{"weight", as_stored(dtype::i8, {n, k}, c.weight)},
            {"weight_scale", as_stored(dtype::f32, {n, groups}, c.weight_scale)}};
  }
  if (writer == "block") {
    tenon::block_fp8_checkpoint c;
    expect_ok(export_block_fp8(c, w));
    expect_ok(import_block_fp8(w, c.tensors(), c.options));
    return {{"weight", as_stored(dtype::f8_e4m3, {n, k}, c.weight)},
            {"weight_scale_inv", as_stored(dtype::f32, {w.scale_rows(), w.groups()}, c.weight_scale_inv)}};
  }
  if (writer == "nvfp4") {
    tenon::fp4_checkpoint<tenon::e4m3> c;
    expect_ok(export_fp4(c, w));
    expect_ok(import_nvfp4(w, c.nvfp4()));
    return {{"weight_packed", as_stored(dtype::u8, {n, k / 2}, c.weight_packed)},
            {"weight_scale", as_stored(dtype::f8_e4m3, {n, groups}, c.weight_scale)},
            {"weight_global_scale", as_stored(dtype::f32, {1}, c.weight_global_scale)}};
  }
  if (writer == "mxfp4") {
    tenon::fp4_checkpoint<tenon::ue8m0> c;
    expect_ok(export_fp4(c, w));
    expect_ok(import_mxfp4(w, c.mxfp4()));
    return {{"weight_packed", as_stored(dtype::u8, {n, k / 2}, c.weight_packed)},
            {"weight_scale", as_stored(dtype::u8, {n, groups}, c.weight_scale)}};
  }
  tenon::float_quantized_checkpoint<float> c;
  expect_ok(export_float_quantized(c, w));
  expect_ok(import_float_quantized(w, c.tensors(), c.options));
  return {{"weight", as_stored(dtype::f8_e4m3, {n, k}, c.weight)},
          {"weight_scale", as_stored(dtype::f32, {w.scale_rows(), w.groups()}, c.weight_scale)},
          {"input_scale", as_stored(dtype::f32, {1}, std::vector{static_input_scale})}};
}

/// Quantises the modules of `m` as `f` says and puts the tensors in their place.
void quantize_model(model& m, file_format const& f) {
  unsigned seed = 1;
  for (std::string const& module : m.modules()) {
    if (!f.fused && (module.ends_with("k_proj") || module.ends_with("up_proj"))) continue;
    auto const [rows, columns] = m.extents(module);
    std::vector<float> values  = m.weight(module);
    quantized_weight   order;
    order.format = f.weight, order.columns = columns;
    // Modules with the same inputs have the same order in one layer, and others in the next.
    if (f.shuffled) {
      test::shuffle_order(order, module.ends_with("o_proj") || module.ends_with("down_proj") ? ++seed : 1);
      for (int i = 0; i < rows; ++i)
        for (int j = 0; j < columns; ++j)
          values[static_cast<std::size_t>(i * columns + j)] =
              m.weight(module)[static_cast<std::size_t>(i * columns + order.order[static_cast<std::size_t>(j)])];
    }
    quantized_weight w;
    bool const       integers = f.weight.code == weight_code::int4 || f.weight.code == weight_code::int8;
    expect_ok(quantize_weight(
        w, tenon::dense(values.data(), rows, columns), f.weight,
        {.method = integers ? tenon::weight_scale_method::searched : tenon::weight_scale_method::absmax}));
    w.order = order.order;
    // Codes of fewer bits, around the middle.
    if (f.bits > 0 && f.bits < 4)
      for (auto& c : w.codes) c = static_cast<std::uint8_t>(8 + (c - 8) / (1 << (4 - f.bits)));
    auto tensors = write_module(f, w);
    m.replace(module, w.dequantized(), std::move(tensors));
  }
  m.config_patch["quantization_config"] = json::parse(f.configuration);
}

/// Rows as the product sees them: nearest codes under the scale of each group's largest magnitude.
std::function<void(matrix&)> inputs_of(std::string const& inputs) {
  if (inputs.empty()) return {};
  return [inputs](matrix& row) {
    bool const        int8  = inputs == "int8";
    std::size_t const group = inputs == "fp8-64" ? 64 : row.size();
    for (std::size_t first = 0; first < row.size(); first += group) {
      std::size_t const last    = std::min(first + group, row.size());
      float             largest = 0;
      for (std::size_t i = first; i < last; ++i) largest = std::max(largest, std::abs(static_cast<float>(row[i])));
      float const scale = inputs == "fp8-static" ? static_input_scale : largest / (int8 ? 127.f : 448.f);
      for (std::size_t i = first; i < last; ++i) {
        float const v = static_cast<float>(row[i]) / scale;
        row[i] = static_cast<double>(scale) * static_cast<double>(int8 ? std::nearbyint(v) : float(tenon::e4m3(v)));
      }
    }
  };
}

std::vector<int> some_ids() {
  std::vector<int> ids;
  for (int i = 0; i < 23; ++i) ids.push_back(i * 7 % vocabulary);
  return ids;
}

test::run_result perplexity(test::scratch_folder const& folder, std::vector<std::string> const& more = {}) {
  test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", some_ids()}}}}}.dump());
  std::vector<std::string> args = {"perplexity",
                                   "--model",
                                   folder.path().string(),
                                   "--ids",
                                   (folder / "ids.json").string(),
                                   "--dtype",
                                   "f32",
                                   "--dump-logits",
                                   (folder / "logits.npy").string(),
                                   "--output",
                                   "json",
                                   "--max-num-batched-tokens",
                                   "5"};
  args.insert(args.end(), more.begin(), more.end());
  return test::run_program(args);
}

/// |got - expected| / |expected|, of all logits.
double relative_error(test::scratch_folder const& folder, matrix const& expected) {
  std::string const npy = test::read_text(folder / "logits.npy");
  EXPECT_EQ(npy.size(), 128 + expected.size() * sizeof(float));
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    float have;
    std::memcpy(&have, npy.data() + 128 + i * sizeof have, sizeof have);
    difference += (double(have) - expected[i]) * (double(have) - expected[i]), size += expected[i] * expected[i];
  }
  return std::sqrt(difference / size);
}

constexpr weight_format int4_32{.code = weight_code::int4, .group = 32},
    int4_32_zeros{.code = weight_code::int4, .group = 32, .zero_points = true}, int4_row{.code = weight_code::int4},
    int8_row{.code = weight_code::int8}, int8_32{.code = weight_code::int8, .group = 32},
    int4_48{.code = weight_code::int4, .group = 48}, fp8_row{.code = weight_code::fp8},
    fp8_32{.code = weight_code::fp8, .group = 32}, nvfp4{.code = weight_code::fp4, .group = 16},
    mxfp4{.code = weight_code::fp4, .group = 32}, fp8_blocks{.code = weight_code::fp8, .group = 64, .block_rows = 64};

file_format const formats[] = {
    {"awq", R"({"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"})", int4_32_zeros, "awq"},
    {"awq_gemv", R"({"quant_method": "awq", "bits": 4, "group_size": 32, "version": "GEMV"})", int4_32, "awq_gemv"},
    {.name          = "awq_partly",
     .configuration = R"({"quant_method": "awq", "bits": 4, "group_size": 32,
      "modules_to_not_convert": ["k_proj", "up_proj"]})",
     .weight        = int4_32_zeros,
     .writer        = "awq",
     .fused         = false},
    {"gptq", R"({"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": true, "desc_act": false})", int4_32,
     "gptq"},
    {"gptq_new", "{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32, \"checkpoint_format\": \"gptq_v2\"}",
     int4_32_zeros, "gptq_new"},
    {"gptq_desc_act", R"({"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": true})", int4_32_zeros,
     "gptq", 4, true},
    {"gptq_8_rows", R"({"quant_method": "gptq", "bits": 8, "group_size": -1})", int8_row, "gptq"},
    {"gptq_8_groups", R"({"quant_method": "gptq", "bits": 8, "group_size": 32, "desc_act": true})", int8_32, "gptq", 8,
     true},
    {"gptq_3", R"({"quant_method": "gptq", "bits": 3, "group_size": 32})", int4_32, "gptq", 3},
    {"pack_4", R"({"quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": ["lm_head"],
      "config_groups": {"group_0": {"targets": ["Linear"], "input_activations": null,
      "weights": {"num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 32}}}})",
     int4_32, "pack"},
    {"pack_4_asymmetric", R"({"quant_method": "compressed-tensors", "format": "pack-quantized",
      "config_groups": {"group_0": {"targets": ["re:.*_proj$"],
      "weights": {"num_bits": 4, "type": "int", "symmetric": false, "strategy": "group", "group_size": 32}}}})",
     int4_32_zeros, "pack", 4, true},
    {"pack_4_groups_of_48", R"({"quant_method": "compressed-tensors", "format": "pack-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"],
      "weights": {"num_bits": 4, "strategy": "group", "group_size": 48}}}})",
     int4_48, "pack"},
    {"pack_4_rows", R"({"quant_method": "compressed-tensors", "format": "pack-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "strategy": "channel"}}}})",
     int4_row, "pack"},
    {"int_w8a16",
     R"({"quant_method": "compressed-tensors", "format": "int-quantized", "ignore": ["re:.*(k|up)_proj", "lm_head"],
      "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "strategy": "channel"}}}})",
     int8_row, "int", 0, false, 1e-5, "", false},
    {"int_w8a8", R"({"quant_method": "compressed-tensors", "format": "int-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "strategy": "channel"},
      "input_activations": {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": true}}}})",
     int8_row, "int", 0, false, 1e-2, "int8"},
    {"float_w8a16", R"({"quant_method": "compressed-tensors", "format": "float-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"],
      "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}}})",
     fp8_row, "float"},
    {"float_groups", R"({"quant_method": "compressed-tensors", "format": "float-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"],
      "weights": {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 32}}}})",
     fp8_32, "float"},
    {"float_w8a8", R"({"quant_method": "compressed-tensors", "format": "float-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
      "input_activations": {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": true}}}})",
     fp8_row, "float", 0, false, 2e-2, "fp8"},
    {"float_static", R"({"quant_method": "compressed-tensors", "format": "float-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
      "input_activations": {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": false}}}})",
     fp8_row, "float", 0, false, 2e-2, "fp8-static"},
    {"float_blocks", R"({"quant_method": "compressed-tensors", "format": "float-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"],
      "weights": {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [64, 64]}}}})",
     fp8_blocks, "float"},
    {"nvfp4", R"({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"],
      "weights": {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
      "input_activations": {"num_bits": 4, "type": "float", "strategy": "tensor_group", "dynamic": "local"}}}})",
     nvfp4, "nvfp4"},
    {"mxfp4", R"({"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized",
      "config_groups": {"group_0": {"targets": ["Linear"],
      "weights": {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32}}}})",
     mxfp4, "mxfp4"},
    {"fp8_blocks",
     R"({"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [64, 64]})",
     fp8_blocks, "block", 0, false, 2e-2, "fp8-64"},
};

class quantized : public testing::TestWithParam<file_format> {};
INSTANTIATE_TEST_SUITE_P(formats, quantized, testing::ValuesIn(formats),
                         [](auto const& f) { return std::string(f.param.name); });

// Grouped heads, so that rows of k and v are fewer than a block's; biases; widths that hold whole groups of 32 and 48.
test::shape const shape{"llama", "llama", 6, 2, 16, 96, false, true, true, 2, 96};

TEST_P(quantized, logits_are_those_of_the_multiplied_out_weights) {
  file_format const& f = GetParam();
  model              m(shape);
  quantize_model(m, f);
  m.quantize_inputs = inputs_of(f.inputs);
  test::scratch_folder const folder;
  m.save(folder);
  auto const r = perplexity(folder);
  ASSERT_EQ(r.status, 0) << r.err;
  auto const ids = some_ids();
  EXPECT_LE(relative_error(folder, m.forward({ids.begin(), ids.end() - 1})), f.tolerance);
}

// The reference of a quantised checkpoint is its weights multiplied out, with inputs as they are.
TEST(quantized_checkpoint, is_compared_with_its_own_weights) {
  for (auto const& f : {formats[0], formats[14]}) {
    SCOPED_TRACE(f.name);
    model m(shape);
    quantize_model(m, f);
    test::scratch_folder const folder;
    m.save(folder);
    auto const r = perplexity(folder, {"--reference", "f32"});
    ASSERT_EQ(r.status, 0) << r.err;
    bool const exact = std::string(f.inputs).empty();
    EXPECT_LE(r.lines().at(0)["kl"].get<double>(), exact ? 1e-10 : 1e-2);
    EXPECT_EQ(r.lines().at(0)["kl"].get<double>() > 1e-10, !exact);
  }
}

TEST(quantized_checkpoint, is_described) {
  model m(shape);
  quantize_model(m, formats[0]);
  test::scratch_folder const folder;
  m.save(folder);
  auto const r = test::run_program({"info", "--model", folder.path().string(), "--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.lines().at(0)["quantization"], "awq; 4 bits, groups of 32");
  EXPECT_GT(r.lines().at(0)["packed_bytes"], 50000);
}

// Everything that --quantize makes runs in every number format, and is near the model that it was made of.
TEST(quantize_option, makes_a_model_that_is_near) {
  model const                m(shape);
  test::scratch_folder const folder;
  m.save(folder);
  for (auto const& [choice, bound] :
       {std::pair{"w8a8", 1e-3}, std::pair{"w8a16", 1e-3}, std::pair{"w4a16", 3e-1}, std::pair{"fp8", 3e-2}})
    for (char const* const dtype : {"f32", "bf16", "f16"}) {
      SCOPED_TRACE(std::string(choice) + " " + dtype);
      auto const r = test::run_program(
          {"perplexity", "--model", folder.path().string(), "--ids",
           (test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", some_ids()}}}}}.dump()),
            (folder / "ids.json").string()),
           "--dtype", dtype, "--quantize", choice, "--reference", "f32", "--output", "json", "--threads", "2"});
      ASSERT_EQ(r.status, 0) << r.err;
      EXPECT_LE(r.lines().at(0)["kl"].get<double>(), bound);
      EXPECT_GT(r.lines().at(0)["kl"].get<double>(), 0);
    }
}

TEST(quantize_option, says_what_it_refuses) {
  model m(shape);
  quantize_model(m, formats[0]);
  test::scratch_folder const folder;
  m.save(folder);
  EXPECT_EQ(perplexity(folder, {"--quantize", "w8a8"}).err,
            "tenon: --quantize: the weights are quantised already: found awq, expected a model of 16 or 32 bits\n");
  auto const r = perplexity(folder, {"--quantize", "w2a2"});
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(r.err, "tenon: --quantize: unknown choice: found \"w2a2\", expected w8a8|w8a16|w4a16|fp8|fp8-block\n");
}

TEST(quantized_checkpoint, says_what_is_wrong_in_one_line) {
  constexpr char module[] = "model.layers.1.mlp.down_proj";
  auto const     refusal  = [&](file_format const& f, std::function<void(model&)> const& spoil) {
    model m(shape);
    quantize_model(m, f);
    spoil(m);
    test::scratch_folder const folder;
    m.save(folder);
    auto const r = perplexity(folder);
    EXPECT_EQ(r.status, 1);
    std::string text = r.err;
    for (std::string const path = folder.path().string(); text.find(path) != std::string::npos;)
      text.replace(text.find(path), path.size(), "DIR");
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    return text;
  };
  auto const tensor = [&](model& m, char const* name) -> model::stored& {
    return m.stored_tensors().at(std::string(module) + "." + name);
  };
  EXPECT_EQ(refusal(formats[0], [&](model& m) { m.stored_tensors().erase(std::string(module) + ".qzeros"); }),
            "tenon: DIR: tensor model.layers.1.mlp.down_proj.qzeros: is missing: found none, expected one of I32\n");
  EXPECT_EQ(
      refusal(formats[0],
              [&](model& m) {
                auto& t = tensor(m, "scales");
                t.shape = {1, 96}, t.bytes.resize(96 * 2);
              }),
      "tenon: DIR: module model.layers.1.mlp.down_proj: import_awq: shape mismatch: groups: found 1, expected 3\n");
  EXPECT_EQ(
      refusal(formats[0],
              [&](model& m) {
                auto& t = tensor(m, "qweight");
                t.type  = dtype::f32;
              }),
      "tenon: DIR: tensor model.layers.1.mlp.down_proj.qweight: has an unsupported type: found F32, expected I32\n");
  EXPECT_EQ(
      refusal(formats[0],
              [&](model& m) {  // half the outputs
                for (auto const& [name, columns] : {std::pair{"qweight", 6}, {"qzeros", 6}, {"scales", 48}}) {
                  auto& t    = tensor(m, name);
                  t.shape[1] = columns, t.bytes.resize(t.bytes.size() / 2);
                }
              }),
      "tenon: DIR: module model.layers.1.mlp.down_proj: has the wrong shape: found [48, 96], expected [96, 96]\n");
  EXPECT_EQ(
      refusal(formats[3],
              [&](model& m) {
                for (auto& b : tensor(m, "qzeros").bytes) b = std::byte{0x88};
              }),
      "tenon: DIR: module model.layers.1.mlp.down_proj: import_gptq: unsupported: qzeros: declared z - 1 (gptq), but "
      "every field is a symmetric z (gptq_v2): found 8, expected 7\n");
  auto const configuration = [](char const* patch) {
    return [patch](model& m) { m.config_patch["quantization_config"].merge_patch(json::parse(patch)); };
  };
  EXPECT_EQ(
      refusal(formats[0], configuration(R"({"quant_method": "hqq"})")),
      "tenon: DIR/config.json: quantization_config.quant_method: unsupported: found \"hqq\", expected one of awq, "
      "gptq, compressed-tensors, fp8\n");
  EXPECT_EQ(refusal(formats[0], configuration(R"({"bits": 3})")),
            "tenon: DIR/config.json: quantization_config.bits: unsupported: found 3 bits, expected 4\n");
  EXPECT_EQ(
      refusal(formats[3], configuration(R"({"checkpoint_format": "gptq_p"})")),
      "tenon: DIR/config.json: quantization_config.checkpoint_format: unsupported: found \"gptq_p\", expected gptq or "
      "gptq_v2\n");
}

}  // namespace
