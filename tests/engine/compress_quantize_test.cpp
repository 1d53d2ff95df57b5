//  tenon compress --quantize: one layer at a time, factors that change nothing, scales of inputs and of the cache.
#include <engine/compress/layer_stream.hpp>
#include <engine/compress/linear_sites.hpp>
#include <engine/compress/model_saver.hpp>

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "compressed.hpp"
#include "divergence.hpp"
#include "program.hpp"
#include "random_model.hpp"

namespace {

using nlohmann::json;
using namespace tenon::engine;  // NOLINT
using test::compress, test::elements, test::model, test::plain_llama, test::run_program, test::scratch_folder,
    test::shape;

/// Four query heads on two of values, with biases; and one of Gemma 2, whose norms count from one.
shape const grouped{.name           = "grouped",
                    .model_type     = "llama",
                    .heads          = 4,
                    .kv_heads       = 2,
                    .head_dim       = 8,
                    .intermediate   = 40,
                    .tied           = false,
                    .attention_bias = true,
                    .mlp_bias       = true,
                    .shards         = 1};

shape gemma() {
  shape s      = grouped;
  s.model_type = "gemma2", s.gate = "gelu_pytorch_tanh", s.tied = true, s.query_scalar = 8;
  s.attention_bias = s.mlp_bias = false;
  s.window[0]                   = 6;
  return s;
}

scorer_options const scoring{.max_length = test::length, .max_batched_tokens = 16, .max_rows = 16, .block_size = 4};

std::unique_ptr<decoder> open(editable_model const& m) {
  checkpoint const weights = m.as_checkpoint();
  decoder_options  o;
  o.threads = o.load.threads = o.max_sequences = 1;
  o.block_size = 4, o.max_length = test::length, o.max_batched_tokens = o.max_rows = 16;
  return make_decoder(m.config(), &weights, 0, o);
}

token_texts texts() {
  token_texts all(3);
  for (int i = 0; i < 50; ++i) all[0].push_back(i * i % test::vocabulary);
  for (int i = 0; i < 16; ++i) all[1].push_back((i * 5 + 1) % test::vocabulary);
  all[2] = {3};
  return all;
}

using numbers_by_stage = std::map<std::string, std::vector<float>>;

void add(numbers_by_stage& to, tap_site s, std::vector<float> const& values, int layer) {
  s.layer = layer;
  auto& v = to[name_of(s)];
  v.insert(v.end(), values.begin(), values.end());
}

// Layer by layer the stages show the bits of one pass through all of them.
TEST(compress_quantize, a_layer_alone_sees_what_it_sees_among_others) {
  for (shape const& s : {grouped, gemma()}) {
    SCOPED_TRACE(s.model_type);
    scratch_folder in;
    model(s).save(in);
    checkpoint const files(in.path());
    editable_model   m(in.path().string(), read_model_config(in.path().string()), files);
    m.drop_half(1, layer_half::mlp);
    numbers_by_stage whole, alone;
    auto const       all = open(m);
    {
      stage_reader const look(*all, [&](tap_site const& site, std::vector<float>& values) {
        if (site.layer >= 0) add(whole, site, values, site.layer);
        return false;
      });
      each_step(texts(), scoring, [&](step_batch const& step, bool) { all->forward(step); });
    }
    layer_stream stream(m, texts(), scoring);
    for (int i = 0; i < 2; ++i)
      for (bool const pass : {false, true}) {
        auto const see = [&](tap_site const& site, std::vector<float>& values) {
          if (pass && site.layer >= 0) add(alone, site, values, i);
          return false;
        };
        if (pass) stream.pass(m, static_cast<std::size_t>(i), open, see);
        else stream.look(m, static_cast<std::size_t>(i), open, see);
      }
    EXPECT_EQ(whole.size(), 10u + 7u);
    EXPECT_EQ(alone, whole);
  }
}

std::vector<float> logits_of(editable_model const& m) {
  auto const         d = open(m);
  std::vector<float> all;
  for (auto const& ids : texts())
    visit_logits(*d, ids, scoring,
                 [&](std::size_t, std::span<float const> l) { all.insert(all.end(), l.begin(), l.end()); });
  return all;
}

double distance(std::vector<float> const& a, std::vector<float> const& b) {
  double off = 0, all = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    off += std::pow(double(a[i]) - double(b[i]), 2), all += std::pow(double(a[i]), 2);
  return std::sqrt(off / all);
}

// Factors in what writes inputs and in what reads them: other weights, the same model.
TEST(compress_quantize, folded_factors_change_nothing) {
  for (shape const& s : {grouped, gemma()})
    for (linear_site const& site : linear_sites) {
      SCOPED_TRACE(std::string(s.model_type) + " " + site.name);
      scratch_folder in;
      model(s).save(in);
      checkpoint const files(in.path());
      editable_model   m(in.path().string(), read_model_config(in.path().string()), files);
      auto const       before = logits_of(m);
      auto const       w      = m.matrix(1, site.matrices[0]);
      auto const       tied   = tied_inputs(m.config().shapes[1], site);
      EXPECT_EQ(tied.size(), site.what == stage::attention ? 32u : 0u);
      std::vector<float> factors;
      for (std::size_t j = 0; j < static_cast<std::size_t>(w.shape[1]); ++j) {
        auto const number = static_cast<float>(tied.empty() ? j : static_cast<std::size_t>(tied[j]));
        factors.push_back(std::exp(std::sin(3 * number)));
      }
      auto const wanted = factors;
      fold_factors(m, 1, site, factors);
      EXPECT_LT(distance(before, logits_of(m)), 1e-5);
      auto const scaled = m.matrix(1, site.matrices[0]);
      for (std::size_t j = 0; j < factors.size(); ++j) {
        EXPECT_NEAR(factors[j], wanted[j], 1e-4f * wanted[j]);
        EXPECT_NEAR(scaled.values[j], w.values[j] * factors[j], 1e-6f * std::abs(scaled.values[j]));
      }
    }
}

// A gain that the file keeps in 16 bits takes what it can of a factor, and the matrices take that.
TEST(compress_quantize, factors_follow_gains_of_16_bits) {
  scratch_folder in;
  model          m(plain_llama);
  auto const     name = "model.layers.0.input_layernorm.weight";
  model::stored  gain{dtype::bf16, {24}, std::vector<std::byte>(48)};
  for (std::size_t j = 0; j < 24; ++j) {
    tenon::bf16 const g(j == 5 ? 0.f : m.values(name)[j]);
    std::memcpy(gain.bytes.data() + 2 * j, &g, 2);
  }
  test::scratch_folder bare;
  m.save(bare);
  checkpoint const         full(bare.path());
  std::vector<tensor_info> list;
  for (auto const& n : full.names())
    if (n == name) list.push_back({n, dtype::bf16, {24}, gain.bytes});
    else list.push_back(full.at(n));
  checkpoint const   files("half", list);
  editable_model     half(bare.path().string(), read_model_config(bare.path().string()), files);
  auto const         before = logits_of(half);
  std::vector<float> factors;
  for (int j = 0; j < 24; ++j) factors.push_back(1.1f + 0.01f * static_cast<float>(j));
  auto const wanted = factors;
  fold_factors(half, 0, linear_sites[0], factors);
  int moved = 0;
  for (std::size_t j = 0; j < 24; ++j) {
    EXPECT_NEAR(factors[j], j == 5 ? 1.f : wanted[j], 0.01f) << j;
    moved += factors[j] != wanted[j];
  }
  EXPECT_GT(moved, 10);
  auto const written = half.find(name);
  ASSERT_TRUE(written);
  for (float const g : written->values) EXPECT_EQ(g, static_cast<float>(tenon::bf16(g))) << "what the file will hold";
  EXPECT_LT(distance(before, logits_of(half)), 1e-5);
}

TEST(compress_quantize, many_bytes_are_several_shards) {
  scratch_folder in;
  model(grouped).save(in);
  checkpoint const files(in.path());
  for (std::uint64_t const limit : {std::uint64_t{5000}, std::uint64_t{1} << 30}) {
    scratch_folder out;
    shard_writer   shards(out.path(), limit);
    std::uint64_t  bytes = 0;
    for (auto const& name : files.names()) {
      auto const& t = files.at(name);
      bytes += t.bytes.size();
      bool const given = name.find("layers.1") != std::string::npos;
      shards.add({name, t.type, t.shape, given ? std::span<std::byte const>{} : t.bytes},
                 given ? std::vector<std::byte>(t.bytes.begin(), t.bytes.end()) : std::vector<std::byte>{});
    }
    EXPECT_EQ(shards.finish(), bytes);
    bool const one = limit > bytes;
    EXPECT_EQ(std::filesystem::exists(out / "model.safetensors"), one);
    EXPECT_EQ(std::filesystem::exists(out / "model.safetensors.index.json"), !one);
    checkpoint const again(out.path());
    ASSERT_EQ(again.names(), files.names());
    for (auto const& name : files.names()) {
      EXPECT_TRUE(std::ranges::equal(again.at(name).bytes, files.at(name).bytes)) << name;
      EXPECT_EQ(again.at(name).shape, files.at(name).shape);
    }
    for (auto const& entry : std::filesystem::directory_iterator(out.path()))
      EXPECT_NE(entry.path().extension(), ".part");
  }
}

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

// Where the scales of a site's inputs are is said in the report, in config.json and by the tensors, and it is the same.
TEST(compress_quantize, fixed_scales_of_inputs) {
  scratch_folder in;
  model          m(grouped);
  auto&          up = m.values("model.layers.1.mlp.up_proj.weight");  // a neuron that is seldom loud
  for (std::size_t j = 0; j < 24; ++j) up[3 * 24 + j] *= 60;
  m.save(in);
  for (std::string const choice : {"w8a8", "fp8"})
    for (std::string const scales : {"dynamic", "static", "auto"}) {
      SCOPED_TRACE(choice + " " + scales);
      auto const out  = (in / (choice + scales)).string();
      auto const r    = compress(in.path().string(), out, {"--quantize", choice, "--activations", scales});
      auto const made = read_model_config(out);
      ASSERT_TRUE(made.quantization);
      checkpoint const            files(out);
      std::map<std::string, json> sites;
      if (scales != "dynamic") {
        ASSERT_EQ(r["activations"].size(), 8u);
      }
      for (json const& a : r.value("activations", json::array()))
        sites[std::to_string(a["layer"].get<int>()) + a["inputs"].get<std::string>()] = a;
      int fixed = 0;
      for (std::size_t i = 0; i < 2; ++i)
        for (linear_site const& site : linear_sites)
          for (char const* const module : site.modules()) {
            std::string const name = layer_prefix(i) + module;
            auto const*       t    = files.find(name + ".input_scale");
            auto const        form = made.quantization->format_of(name);
            ASSERT_TRUE(form);
            EXPECT_EQ(form->static_input, t != nullptr) << name;
            EXPECT_EQ(form->inputs, choice == "fp8" ? input_kind::fp8 : input_kind::int8);
            fixed += t != nullptr;
            if (scales == "dynamic") continue;
            json const& said = sites.at(std::to_string(i) + site.name);
            EXPECT_EQ(said["scale"] == "static", t != nullptr);
            if (!t) continue;
            EXPECT_EQ(said["input_scale"].get<float>(), elements<float>(files, t->name).at(0));
          }
      EXPECT_EQ(fixed, scales == "dynamic" ? 0 : scales == "static" ? 14 : fixed);
      if (scales == "auto" && choice == "w8a8") {
        EXPECT_EQ(sites.at("1gated")["scale"], "dynamic");
        EXPECT_GT(fixed, 4);
      }
      for (auto const& [name, s] : sites) EXPECT_GT(s["error_static"], s["error_dynamic"].get<double>() * .9) << name;
    }
}

// What is read back from the cache is the calibrated scale times a code of 8 bits; keys count at any position.
TEST(compress_quantize, scales_of_an_fp8_cache) {
  for (char const* const type : {"llama", "qwen3"}) {
    SCOPED_TRACE(type);
    scratch_folder in;
    shape          s = grouped;
    s.model_type = type, s.attention_bias = s.mlp_bias = false;
    model      m(s);
    auto const half = std::bit_cast<std::array<std::byte, 4>>(.5f);
    for (std::string const name : {"k_proj.k_scale", "v_proj.v_scale"})  // of another cache
      m.stored_tensors()["model.layers.0.self_attn." + name] = {dtype::f32, {}, {half.begin(), half.end()}};
    m.save(in);
    json list;
    for (auto const& ids : texts()) list.push_back({{"ids", ids}});
    test::write_text(in / "ids.json", json{{"per_text", list}}.dump());
    auto const ids = (in / "ids.json").string(), out = (in / "out").string();
    auto const r = compress(in.path().string(), out, {"--quantize", "w8a16", "--kv-scales", "--ids", ids});
    ASSERT_EQ(r["kv_scales"].size(), 2u);
    EXPECT_TRUE(
        json::parse(test::read_text(in / "out/config.json"))["quantization_config"]["kv_cache_scheme"].is_object());

    // The original's keys and values, near enough to those of the codes of 8 bits: layers by turns, keys, then values.
    std::vector<double> most;
    std::size_t         row = 0, rows = 0;
    m.store = [&](std::span<double> head) {
      if (row % rows == 0) most.push_back(0);
      for (double const v : head) most.back() = std::max(most.back(), std::abs(v));
      ++row;
    };
    auto const text = texts()[0];
    rows            = 2 * text.size();
    m.forward({text.begin(), text.end()});
    ASSERT_EQ(most.size(), 4u);
    checkpoint const files(out);
    EXPECT_EQ(files.find("model.layers.0.self_attn.k_proj.k_scale"), nullptr) << "the new ones take their place";
    for (std::size_t i = 0; i < 2; ++i) {
      float const k = elements<float>(files, layer_prefix(i) + "self_attn.k_scale").at(0);
      float const v = elements<float>(files, layer_prefix(i) + "self_attn.v_scale").at(0);
      EXPECT_EQ(r["kv_scales"][i]["k_scale"].get<float>(), k);
      EXPECT_GE(448 * double(k), .97 * most[2 * i]);
      EXPECT_LE(448 * double(k), 1.03 * std::sqrt(2.) * most[2 * i] * 1.2);
      EXPECT_GE(448 * double(v), .97 * most[2 * i + 1]);
      EXPECT_LE(448 * double(v), 1.3 * most[2 * i + 1]) << "of all texts";
    }
    // Scales that are far too small saturate: the engine has read them.
    auto const kl_of = [&](std::string const& from) {
      auto const p = run_program({"perplexity", "--model", from, "--ids", ids, "--kv-cache-dtype", "fp8", "--reference",
                                  "f32", "--dtype", "f32", "--output", "json"});
      EXPECT_EQ(p.status, 0) << p.err;
      return p.status == 0 ? json::parse(p.out)["kl"].get<double>() : NAN;
    };
    double const good = kl_of(out);
    EXPECT_LT(good, 5e-3);
    std::filesystem::create_directory(in / "bad");
    std::filesystem::copy(in / "out/config.json", in / "bad/config.json");
    std::vector<tensor_info> changed;
    float const              tiny = 1e-5f;
    for (auto const& name : files.names()) {
      changed.push_back(files.at(name));
      if (name.ends_with("v_scale")) changed.back().bytes = std::as_bytes(std::span(&tiny, 1));
    }
    write_safetensors(in / "bad/model.safetensors", changed);
    EXPECT_GT(kl_of((in / "bad").string()), 10 * good + 1e-3);
  }
}

TEST(compress_quantize, awq_and_smoothing_write_the_same_bytes_on_any_number_of_threads) {
  scratch_folder folder, in;
  model          m(grouped);
  for (char const* norm : {"input_layernorm", "post_attention_layernorm"})  // inputs of different size
    for (std::size_t j = 0; j < 24; j += 5) m.values(std::string("model.layers.1.") + norm + ".weight")[j] *= 12;
  m.save(in);
  std::string const from = in.path().string();
  for (auto const& options : std::vector<std::vector<std::string>>{
           {"--quantize", "w4a16", "--method", "awq"},
           {"--quantize", "w8a8", "--smooth", "0.8", "--activations", "auto", "--observer", "mse", "--kv-scales"}}) {
    json reports[2];
    for (int i = 0; i < 2; ++i) {
      auto all = options;
      all.insert(all.end(), {"--threads", i ? "2" : "1"});
      reports[i] = compress(from, (folder / (options[1] + std::to_string(i))).string(), all);
    }
    for (char const* file : {"model.safetensors", "config.json", "compress_report.json"})
      EXPECT_EQ(test::read_text(folder / (options[1] + "0") / file),
                test::read_text(folder / (options[1] + "1") / file))
          << file;
    EXPECT_EQ(reports[0]["modules"].size(), 14u);
    for (json const& one : reports[0]["modules"]) {
      EXPECT_EQ(one["method"], options[1] == "w4a16" ? "awq" : "gptq");
      EXPECT_GE(one["clip_share"], 0);
      EXPECT_LT(one["clip_share"], .1);
    }
  }
  // Zero points in the file are those that the engine multiplies with.
  EXPECT_FALSE(
      read_model_config((folder / "w4a160").string()).quantization->format_of("model.layers.0.mlp.up_proj")->symmetric);
  test::write_text(in / "ids.json", json{{"per_text", {{{"ids", texts()[0]}}}}}.dump());
  auto const same = run_program({"align", "--model", (folder / "w4a160").string(), "--ids", (in / "ids.json").string(),
                                 "--budget", "1e-5", "--max-kl", "1e-7", "--output", "json"});
  EXPECT_EQ(same.status, 0) << same.out << same.err;
  double sum[3] = {};
  int    i      = 0;
  for (std::vector<std::string> const& how : {std::vector<std::string>{"awq"}, {"awq", "--no-clip"}, {"rtn"}}) {
    std::vector<std::string> all = {"--quantize", "w4a16", "--method"};
    all.insert(all.end(), how.begin(), how.end());
    auto const r = compress(from, (folder / ("m" + std::to_string(i))).string(), all);
    for (json const& one : r["modules"]) sum[i] += std::pow(one["output_error"].get<double>(), 2);
    ++i;
  }
  EXPECT_LT(sum[0], sum[1]);
  EXPECT_LT(sum[1], sum[2]);
}

TEST(compress_quantize, blocks_of_fp8) {
  scratch_folder in;
  shape          wide = plain_llama;
  wide.hidden = 136, wide.heads = 18, wide.kv_heads = 9, wide.intermediate = 260;
  for (shape const& s : {plain_llama, wide}) {
    SCOPED_TRACE(s.hidden);
    scratch_folder from;
    model(s).save(from);
    auto const out = (from / "out").string();
    auto const r   = compress(from.path().string(), out, {"--quantize", "fp8-block"});
    for (json const& m : r["modules"]) EXPECT_LT(m["output_error"], .05);
    checkpoint const files(out);
    auto const&      scale = files.at("model.layers.0.mlp.down_proj.weight_scale");
    EXPECT_EQ(scale.shape, (std::vector<std::int64_t>{s.hidden > 128 ? 2 : 1, s.hidden > 128 ? 3 : 1}));
    // The engine's own products against the multiplied-out codes.
    test::write_text(from / "ids.json", json{{"per_text", {{{"ids", texts()[0]}}}}}.dump());
    auto const p = run_program({"perplexity", "--model", out, "--ids", (from / "ids.json").string(), "--reference",
                                "f32", "--dtype", "f32", "--output", "json"});
    ASSERT_EQ(p.status, 0) << p.err;
    EXPECT_LT(json::parse(p.out)["kl"], 2e-2);
  }
}

TEST(compress_quantize, refuses_what_does_not_fit_together) {
  auto const error = [](std::vector<std::string> const& more) {
    auto const r = run_program({"compress", "--model", demo, "--out", "/nonexistent/x"}, more);
    EXPECT_EQ(r.status, 2);
    return r.err;
  };
  EXPECT_EQ(error({"--method", "awq"}),
            "tenon: --method: has no use here: found no --quantize, expected it beside --quantize\n");
  EXPECT_EQ(error({"--quantize", "w4a16", "--smooth", "0.5"}),
            "tenon: --smooth: has no use here: found --quantize w4a16, expected w8a8 or fp8, which quantise inputs\n");
  EXPECT_EQ(error({"--quantize", "fp8", "--method", "awq"}),
            "tenon: --method: awq is for integer codes: found fp8, expected w4a16, w8a16 or w8a8\n");
  EXPECT_EQ(error({"--quantize", "w8a8", "--method", "awq", "--smooth", "0.5"}),
            "tenon: --smooth: excludes --method awq: found both, expected one of them: each has the same factors to "
            "choose\n");
  EXPECT_EQ(error({"--quantize", "w8a8", "--observer", "mse"}),
            "tenon: --observer: has no use here: found no fixed scale, expected --activations static or auto\n");
  EXPECT_EQ(error({"--quantize", "w4a16", "--no-clip"}),
            "tenon: --no-clip: has no use here: found another --method, expected awq\n");
}

}  // namespace
