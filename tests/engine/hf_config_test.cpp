//  config.json: the shapes that are known, and each field that is not as it must be.
#include <engine/error.hpp>
#include <engine/files/hf_config.hpp>
#include <engine/files/json.hpp>

#include <gtest/gtest.h>

#include "program.hpp"

namespace {

using namespace tenon::engine;

json_value llama() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", 100},
          {"hidden_size", 64},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"intermediate_size", 128}};
}

class config : public testing::Test {
 protected:
  model_config read(json_value const& patch) const {
    auto tree = llama();
    tree.merge_patch(patch);
    test::write_text(folder / "config.json", tree.dump());
    return read_model_config((folder / "").string());
  }
  void expect_refusal(char const* patch, std::string const& message) const {
    try {
      (void)read(json_value::parse(patch));
      ADD_FAILURE() << message;
    } catch (error const& e) {
      EXPECT_EQ(e.what(), (folder / "config.json").string() + ": " + message);
    }
  }
  test::scratch_folder folder;
};

TEST_F(config, defaults) {
  auto const c = read(json_value::object());
  EXPECT_EQ(c.architecture, "LlamaForCausalLM");
  EXPECT_EQ(c.kv_heads, 4);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.rotary_dim(), 16);
  EXPECT_EQ(c.rope_scaling.kind, rope_scaling_kind::none);
  EXPECT_EQ(c.rope_theta, 10000);
  EXPECT_EQ(c.rms_eps, 1e-6);
  EXPECT_FALSE(c.tie_word_embeddings || c.qkv_bias || c.output_bias || c.mlp_bias || c.has_windows() || c.bos_id);
  EXPECT_FALSE(c.qk_norm || c.norms_after || c.norm_from_one || c.scaled_embedding);
  EXPECT_TRUE(c.attention_scale == 0 && c.attention_soft_cap == 0 && c.final_soft_cap == 0);
  EXPECT_TRUE(c.eos_ids.empty());
  EXPECT_EQ(c.dtype, "");
}

TEST_F(config, architectures_differ) {
  auto const biased = read({{"attention_bias", true}, {"mlp_bias", true}, {"sliding_window", 8}});
  EXPECT_TRUE(biased.qkv_bias && biased.output_bias && biased.mlp_bias);
  EXPECT_FALSE(biased.has_windows());  // llama has none
  auto const mistral = read({{"architectures", {"MistralForCausalLM"}}, {"head_dim", 32}, {"attention_bias", true}});
  EXPECT_EQ(mistral.head_dim, 32);
  EXPECT_FALSE(mistral.qkv_bias);
  auto const qwen2 = read({{"architectures", {"Qwen2ForCausalLM"}}});
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.output_bias || qwen2.qk_norm);
  EXPECT_EQ(read({{"architectures", nullptr}, {"model_type", "qwen2"}}).architecture, "Qwen2ForCausalLM");
  auto const qwen3 = read({{"architectures", {"Qwen3ForCausalLM"}}});
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.qkv_bias || qwen3.output_bias || qwen3.has_windows());
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_TRUE(read({{"architectures", {"Qwen3ForCausalLM"}}, {"attention_bias", true}}).output_bias);
}

TEST_F(config, gemma2) {
  auto const with = [&](json_value patch) {
    patch["architectures"] = {"Gemma2ForCausalLM"};
    return read(patch);
  };
  auto const c = with(json_value::object());
  EXPECT_TRUE(c.scaled_embedding && c.norm_from_one && c.norms_after && c.tie_word_embeddings);
  EXPECT_FALSE(c.qkv_bias || c.output_bias || c.mlp_bias || c.qk_norm);
  EXPECT_EQ(c.head_dim, 256);
  EXPECT_EQ(c.activation, activation_kind::gelu_tanh);
  EXPECT_EQ(c.attention_scale, 1. / 16);
  EXPECT_EQ(c.attention_soft_cap, 50);
  EXPECT_EQ(c.final_soft_cap, 30);
  EXPECT_EQ(c.windows, (std::vector<std::int64_t>{4096, 0}));
  auto const other = with({{"query_pre_attn_scalar", 144},
                           {"attn_logit_softcapping", 20.5},
                           {"final_logit_softcapping", 0},
                           {"sliding_window", 8},
                           {"hidden_act", "silu"},  // not what Gemma goes by
                           {"tie_word_embeddings", false}});
  EXPECT_EQ(other.attention_scale, 1. / 12);
  EXPECT_EQ(other.attention_soft_cap, 20.5);
  EXPECT_EQ(other.final_soft_cap, 0);
  EXPECT_EQ(other.windows, (std::vector<std::int64_t>{8, 0}));
  EXPECT_EQ(other.activation, activation_kind::gelu_tanh);
  EXPECT_FALSE(other.tie_word_embeddings);
  // A null is an answer: no cap, no window.
  test::write_text(folder / "config.json",
                   R"({"architectures": ["Gemma2ForCausalLM"], "vocab_size": 100, "hidden_size": 64,
    "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 8, "attn_logit_softcapping": null,
    "final_logit_softcapping": null, "sliding_window": null, "hidden_activation": "silu"})");
  auto const none = read_model_config((folder / "").string());
  EXPECT_TRUE(none.attention_soft_cap == 0 && none.final_soft_cap == 0 && !none.has_windows());
  EXPECT_EQ(none.activation, activation_kind::silu);
}

TEST_F(config, windows) {
  using windows     = std::vector<std::int64_t>;
  auto const layers = [&](char const* architecture, json_value patch) {
    patch["architectures"] = {architecture}, patch["num_hidden_layers"] = 4;
    return read(patch).windows;
  };
  char const *const mistral = "MistralForCausalLM", *const qwen2 = "Qwen2ForCausalLM",
                    *const qwen3 = "Qwen3ForCausalLM", *const gemma2 = "Gemma2ForCausalLM";
  EXPECT_EQ(layers(mistral, {{"sliding_window", 8}}), (windows{8, 8, 8, 8}));
  EXPECT_EQ(layers(mistral, json_value::object()), (windows{4096, 4096, 4096, 4096}));
  json_value const types = {"full_attention", "sliding_attention", "sliding_attention", "full_attention"};
  EXPECT_EQ(layers(mistral, {{"sliding_window", 8}, {"layer_types", types}}), (windows{0, 8, 8, 0}));
  EXPECT_EQ(layers(mistral, {{"sliding_window", 8}, {"sliding_window_pattern", 3}}), (windows{8, 8, 0, 8}));
  for (char const* const qwen : {qwen2, qwen3}) {
    EXPECT_EQ(layers(qwen, {{"sliding_window", 8}}), (windows{0, 0, 0, 0}));
    EXPECT_EQ(layers(qwen, {{"sliding_window", 8}, {"use_sliding_window", false}, {"layer_types", types}}),
              (windows{0, 0, 0, 0}));
    EXPECT_EQ(layers(qwen, {{"sliding_window", 8}, {"use_sliding_window", true}, {"max_window_layers", 3}}),
              (windows{0, 0, 0, 8}));
    EXPECT_EQ(layers(qwen, {{"sliding_window", 8}, {"use_sliding_window", true}, {"layer_types", types}}),
              (windows{0, 8, 8, 0}));
  }
  EXPECT_EQ(layers(gemma2, {{"sliding_window", 8}}), (windows{8, 0, 8, 0}));
  EXPECT_EQ(layers(gemma2, {{"sliding_window", 8}, {"layer_types", types}}), (windows{0, 8, 8, 0}));
}

TEST_F(config, layers_of_their_own_shape) {
  auto const usual = read(json_value::object());
  ASSERT_EQ(usual.shapes.size(), 2u);
  EXPECT_TRUE(usual.shapes[1].heads == 4 && usual.shapes[1].head_dim == 16 && usual.shapes[1].intermediate == 128);
  auto const c = read({{"tenon_layers",
                        {{{"num_attention_heads", 0}},
                         {{"num_attention_heads", 2}, {"num_key_value_heads", 1}, {"intermediate_size", 0}}}}});
  EXPECT_TRUE(c.shapes[0].heads == 0 && c.shapes[0].kv_heads == 0 && c.shapes[0].intermediate == 128);
  EXPECT_TRUE(c.shapes[1].heads == 2 && c.shapes[1].kv_heads == 1 && c.shapes[1].intermediate == 0);
  expect_refusal(R"({"tenon_layers": [{}]})",
                 "tenon_layers: wrong type: found an array, expected an array of num_hidden_layers objects");
  expect_refusal(R"({"tenon_layers": [{}, {"num_key_value_heads": 3}]})",
                 "tenon_layers[1].num_key_value_heads: does not divide the heads: found 3, expected a divisor of "
                 "num_attention_heads, 4");
  expect_refusal(R"({"tenon_layers": [{}, {"num_key_value_heads": 0}]})",
                 "tenon_layers[1].num_key_value_heads: does not divide the heads: found 0, expected a divisor of "
                 "num_attention_heads, 4");
  expect_refusal(R"({"tenon_layers": [{}, {"intermediate_size": -1}]})",
                 "tenon_layers[1].intermediate_size: out of range: found -1, expected an integer from 0 to 4194304");
}

TEST_F(config, rope) {
  auto const llama3 = read({{"rope_theta", 500000.0},
                            {"rope_scaling",
                             {{"rope_type", "llama3"},
                              {"factor", 8},
                              {"low_freq_factor", 1},
                              {"high_freq_factor", 4},
                              {"original_max_position_embeddings", 8192}}}});
  EXPECT_EQ(llama3.rope_scaling.kind, rope_scaling_kind::llama3);
  EXPECT_EQ(llama3.rope_scaling.original_max_position, 8192);
  EXPECT_EQ(llama3.rope_theta, 500000);
  auto const yarn = read({{"max_position_embeddings", 512},
                          {"rope_scaling", {{"type", "yarn"}, {"factor", 4}, {"attention_factor", 1.5}}}});
  EXPECT_EQ(yarn.rope_scaling.kind, rope_scaling_kind::yarn);
  EXPECT_EQ(yarn.rope_scaling.original_max_position, 512);
  EXPECT_EQ(yarn.rope_scaling.attention_factor, 1.5);
  auto const linear = read({{"rope_scaling", {{"type", "linear"}, {"factor", 2.5}}}, {"partial_rotary_factor", 0.5}});
  EXPECT_EQ(linear.rope_scaling.kind, rope_scaling_kind::linear);
  EXPECT_EQ(linear.rotary_dim(), 8);
  auto const gathered = read({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e6}}}});
  EXPECT_EQ(gathered.rope_theta, 1e6);
  EXPECT_EQ(gathered.rope_scaling.kind, rope_scaling_kind::none);
}

TEST_F(config, end_tokens_of_both_files) {
  test::write_text(folder / "generation_config.json", R"({"eos_token_id": [7, 2]})");
  EXPECT_EQ(read({{"eos_token_id", 2}, {"bos_token_id", 1}}).eos_ids, (std::vector<std::int32_t>{2, 7}));
  EXPECT_EQ(read({{"bos_token_id", 1}}).bos_id, 1);
  auto const alone = [&] { return read_model_config((folder / "config.json").string()); };
  EXPECT_TRUE(alone().eos_ids.empty());  // a JSON file by itself has no neighbours
  test::write_text(folder / "generation_config.json", R"({"eos_token_id": 100})");
  try {
    (void)read(json_value::object());
    FAIL();
  } catch (error const& e) {
    EXPECT_EQ(e.what(), (folder / "generation_config.json").string() +
                            ": eos_token_id: out of range: found 100, expected an integer from 0 to 99");
  }
}

TEST_F(config, refusals_name_the_key) {
  expect_refusal(R"({"architectures": ["GPT2LMHeadModel"]})",
                 "architectures: unknown architecture: found \"GPT2LMHeadModel\", expected one of LlamaForCausalLM, "
                 "MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Gemma2ForCausalLM");
  expect_refusal(R"({"architectures": []})",
                 "architectures: wrong type: found an array, expected an array with one of LlamaForCausalLM, "
                 "MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Gemma2ForCausalLM");
  expect_refusal(R"({"architectures": null, "model_type": null})",
                 "model_type: missing: found nothing, expected a string");
  expect_refusal(R"({"vocab_size": null})", "vocab_size: missing: found nothing, expected an integer");
  expect_refusal(R"({"vocab_size": "many"})",
                 "vocab_size: wrong type: found \"many\", expected an integer from 1 to 16777216");
  expect_refusal(R"({"vocab_size": 0})", "vocab_size: out of range: found 0, expected an integer from 1 to 16777216");
  expect_refusal(R"({"hidden_size": 1e9})",
                 "hidden_size: wrong type: found 1000000000.0, expected an integer from 1 to 1048576");
  expect_refusal(R"({"hidden_size": 4611686018427387904})",
                 "hidden_size: out of range: found 4611686018427387904, expected an integer from 1 to 1048576");
  expect_refusal(R"({"num_hidden_layers": -1})",
                 "num_hidden_layers: out of range: found -1, expected an integer from 1 to 4096");
  expect_refusal(R"({"num_attention_heads": 0})",
                 "num_attention_heads: out of range: found 0, expected an integer from 1 to 4096");
  expect_refusal(
      R"({"num_key_value_heads": 3})",
      "num_key_value_heads: does not divide the heads: found 3, expected a divisor of num_attention_heads, 4");
  expect_refusal(R"({"num_attention_heads": 5})",
                 "num_attention_heads: does not divide the hidden size: found 5, expected a divisor of hidden_size, "
                 "64, or a head_dim");
  expect_refusal(R"({"hidden_size": 4, "num_attention_heads": 4})",
                 "head_dim: leaves nothing to rotate: found 0 rotated elements, expected at least 2");
  expect_refusal(R"({"hidden_size": 1048576, "num_attention_heads": 4})",
                 "hidden_size: out of range: found heads of 262144, expected at most 1024 each");
  expect_refusal(R"({"rms_norm_eps": -1})", "rms_norm_eps: out of range: found -1, expected a number from 0 to 1");
  expect_refusal(R"({"rope_theta": 0})",
                 "rope_theta: out of range: found 0, expected a number from 1 to 1000000000000");
  expect_refusal(R"({"hidden_act": "relu6"})",
                 "hidden_act: unknown activation: found \"relu6\", expected one of silu, gelu, gelu_new, "
                 "gelu_pytorch_tanh, quick_gelu");
  expect_refusal(R"({"architectures": ["Gemma2ForCausalLM"], "hidden_activation": "relu6"})",
                 "hidden_activation: unknown activation: found \"relu6\", expected one of silu, gelu, gelu_new, "
                 "gelu_pytorch_tanh, quick_gelu");
  expect_refusal(R"({"architectures": ["Gemma2ForCausalLM"], "final_logit_softcapping": -1})",
                 "final_logit_softcapping: out of range: found -1, expected a number from 0 to 1000000");
  expect_refusal(R"({"architectures": ["Gemma2ForCausalLM"], "query_pre_attn_scalar": 0})",
                 "query_pre_attn_scalar: out of range: found 0, expected a number from 1e-06 to 1000000");
  expect_refusal(R"({"architectures": ["MistralForCausalLM"], "sliding_window": 0})",
                 "sliding_window: out of range: found 0, expected an integer from 1 to 1073741824");
  expect_refusal(R"({"architectures": ["MistralForCausalLM"], "sliding_window": 8, "layer_types": ["full_attention"]})",
                 "layer_types: wrong type: found an array, expected an array of num_hidden_layers texts");
  expect_refusal(
      R"({"architectures": ["MistralForCausalLM"], "sliding_window": 8, "layer_types": ["full_attention", "chunked_attention"]})",
      "layer_types: unsupported: found \"chunked_attention\", expected full_attention or sliding_attention");
  expect_refusal(R"({"tie_word_embeddings": 1})", "tie_word_embeddings: wrong type: found 1, expected true or false");
  expect_refusal(R"({"torch_dtype": "int8"})",
                 "torch_dtype: unsupported: found \"int8\", expected one of float32, float16, bfloat16");
  expect_refusal(R"({"eos_token_id": [1, "x"]})",
                 "eos_token_id: wrong type: found \"x\", expected an integer from 0 to 99");
  expect_refusal(
      R"({"rope_scaling": {"rope_type": "longrope"}})",
      "rope_scaling.rope_type: unsupported: found \"longrope\", expected one of default, linear, llama3, yarn");
  expect_refusal(R"({"rope_scaling": {"type": "linear"}})",
                 "rope_scaling.factor: missing: found nothing, expected a number");
  expect_refusal(R"({"rope_scaling": {"type": "linear", "factor": 0.5}})",
                 "rope_scaling.factor: out of range: found 0.5, expected a number from 1 to 1000000");
  expect_refusal(R"({"rope_scaling": 3})", "rope_scaling: wrong type: found 3, expected an object");
}

std::optional<stored_format> format_of(model_config const& c, char const* module) {
  return c.quantization ? c.quantization->format_of(module) : std::nullopt;
}

TEST_F(config, quantised_weights) {
  EXPECT_FALSE(read(json_value::object()).quantization);
  auto const awq  = read({{"quantization_config",
                           {{"quant_method", "awq"},
                            {"bits", 4},
                            {"group_size", 64},
                            {"version", "GEMV"},
                            {"modules_to_not_convert", {"visual", "down_proj"}}}}});
  auto const gemv = format_of(awq, "model.layers.0.self_attn.q_proj");
  ASSERT_TRUE(gemv);
  EXPECT_TRUE(gemv->as == stored_weight::awq && gemv->group == 64 && gemv->along_input);
  EXPECT_FALSE(format_of(awq, "model.layers.0.mlp.down_proj"));

  auto const gptq = read({{"quantization_config",
                           {{"quant_method", "gptq"},
                            {"bits", 4},
                            {"group_size", -1},
                            {"checkpoint_format", "gptq_v2"},
                            {"dynamic", {{"-:.*o_proj", json_value::object()}, {"+:.*down", {{"bits", 8}}}}}}}});
  EXPECT_FALSE(format_of(gptq, "model.layers.0.self_attn.o_proj"));
  EXPECT_EQ(format_of(gptq, "model.layers.0.mlp.down_proj")->bits, 8);
  EXPECT_EQ(format_of(gptq, "model.layers.0.mlp.up_proj")->bits, 4);
  EXPECT_FALSE(format_of(gptq, "model.layers.0.mlp.up_proj")->one_less);

  // Names before classes; the ignore list before both.
  json_value const eight = {{"num_bits", 8}, {"type", "float"}, {"strategy", "block"}, {"block_structure", {128, 64}}};
  json_value const four  = {{"num_bits", 4}, {"symmetric", false}, {"strategy", "group"}, {"group_size", 32}};
  json_value const token = {
      {"num_bits", 8}, {"type", "float"}, {"strategy", "group"}, {"group_size", 128}, {"dynamic", true}};
  auto const mixed = read({{"quantization_config",
                            {{"quant_method", "compressed-tensors"},
                             {"format", "mixed-precision"},
                             {"ignore", {"lm_head", "re:.*self_attn.*"}},
                             {"config_groups",
                              {{"a", {{"targets", {"Linear"}}, {"weights", four}, {"format", "pack-quantized"}}},
                               {"b",
                                {{"targets", {"re:.*down_proj", "model.layers.1.mlp.up_proj"}},
                                 {"weights", eight},
                                 {"input_activations", token},
                                 {"format", "float-quantized"}}}}}}}});
  EXPECT_FALSE(format_of(mixed, "model.layers.0.self_attn.q_proj"));
  auto const down = format_of(mixed, "model.layers.0.mlp.down_proj"),
             up   = format_of(mixed, "model.layers.0.mlp.up_proj");
  ASSERT_TRUE(down && up && format_of(mixed, "model.layers.1.mlp.up_proj"));
  EXPECT_TRUE(down->as == stored_weight::float_quantized && down->block_rows == 128 && down->group == 64 &&
              down->inputs == input_kind::fp8 && down->input_group == 128 && !down->static_input);
  EXPECT_TRUE(up->as == stored_weight::pack_quantized && !up->symmetric && up->inputs == input_kind::plain);
  EXPECT_EQ(format_of(mixed, "model.layers.1.mlp.up_proj")->as, stored_weight::float_quantized);

  auto const blocks = read({{"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}}}});
  EXPECT_EQ(format_of(blocks, "x")->as, stored_weight::block_fp8);
  EXPECT_EQ(format_of(blocks, "x")->input_group, 128);

  // Older GPTQ files say it beside config.json.
  test::write_text(folder / "quantize_config.json", R"({"bits": 4, "group_size": 128, "desc_act": false})");
  EXPECT_EQ(format_of(read(json_value::object()), "x")->as, stored_weight::gptq);
}

TEST_F(config, refusals_of_quantised_weights_name_the_key) {
  auto const refused = [&](std::string const& fields, std::string const& message) {
    expect_refusal(("{\"quantization_config\": {" + fields + "}}").c_str(), "quantization_config" + message);
  };
  refused(R"("quant_method": "bitsandbytes")",
          ".quant_method: unsupported: found \"bitsandbytes\", expected one of awq, gptq, compressed-tensors, fp8");
  refused(R"("quant_method": "awq", "bits": 8)", ".bits: unsupported: found 8 bits, expected 4");
  refused(R"("quant_method": "awq", "bits": 4, "version": "marlin")",
          ".version: unsupported: found \"marlin\", expected gemm or gemv");
  refused(R"("quant_method": "gptq")", ".bits: missing: found nothing, expected an integer");
  refused(R"("quant_method": "gptq", "bits": 5)", ".bits: unsupported: found 5 bits, expected one of 2, 3, 4, 8");
  refused(R"("quant_method": "gptq", "bits": 4, "group_size": 4194304)",
          ".group_size: out of range: found 4194304, expected an integer from -1 to 1048576");
  refused(R"("quant_method": "gptq", "bits": 4, "lm_head": true)",
          ".lm_head: unsupported: found a quantised head, expected false");
  refused(R"("quant_method": "fp8", "fmt": "e5m2")", ".fmt: unsupported: found \"e5m2\", expected e4m3");
  refused(R"("quant_method": "fp8", "weight_block_size": [128])",
          ".weight_block_size: wrong type: found an array, expected two integers");
  refused(R"("quant_method": "compressed-tensors", "format": "marlin-24", "config_groups": {"a": {"weights": {}}})",
          ".format: unsupported: found \"marlin-24\", expected one of pack-quantized, int-quantized, float-quantized, "
          "naive-quantized, nvfp4-pack-quantized, mxfp4-pack-quantized");
  refused(R"("quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized",
             "config_groups": {"a": {"weights": {"num_bits": 4, "type": "float", "group_size": 32}}})",
          ".config_groups.a.weights.group_size: does not fit the format: found 32, expected 16");
  refused(R"("quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": 9}}})",
          ".config_groups.a.weights.num_bits: unsupported: found 9 bits, expected one of 2, 3, 4, 5, 6, 7, 8");
}

TEST_F(config, the_models_at_hand) {
  auto const demo = read_model_config(std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo");
  EXPECT_EQ(demo.hidden, 192);
  EXPECT_EQ(demo.kv_heads, 1);
  EXPECT_EQ(demo.head_dim, 64);
  EXPECT_TRUE(demo.tie_word_embeddings);
  EXPECT_EQ(demo.dtype, "bfloat16");
  EXPECT_EQ(demo.eos_ids, std::vector<std::int32_t>{0});
}

}  // namespace
