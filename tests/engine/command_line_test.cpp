//  The command line, the prompts that it names, and `tokenize` and `detokenize` as functions.
#include <engine/error.hpp>
#include <engine/program/command_line.hpp>
#include <engine/program/prompts.hpp>
#include <engine/program/tokenize.hpp>

#include <gtest/gtest.h>

#include "program.hpp"

namespace {

using namespace tenon::engine;
using test::words;
using arguments = std::vector<std::string>;

options parse_all(arguments const& args) {
  std::vector<char const*> all{"tenon"};
  for (std::string const& a : args) all.push_back(a.c_str());
  return parse(static_cast<int>(all.size()), all.data());
}

options generate(arguments args) {
  args.insert(args.begin(), {"generate", "--model", "m"});
  return parse_all(args);
}

std::string demo() { return std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo"; }

TEST(command_line, defaults) {
  auto const o = generate({"--prompt", "a"});
  EXPECT_EQ(o.what, command::generate);
  EXPECT_EQ(o.model, "m");
  EXPECT_EQ(o.prompts, std::vector<std::string>{"a"});
  EXPECT_EQ(o.sampling.max_tokens, 128);
  EXPECT_EQ(o.sampling.temperature, 0.8);
  EXPECT_EQ(o.sampling.top_k, 0);
  EXPECT_EQ(o.sampling.top_p, 1);
  EXPECT_EQ(o.sampling.min_p, 0);
  EXPECT_EQ(o.sampling.repetition_penalty, 1);
  EXPECT_EQ(o.block_size, 16);
  EXPECT_TRUE(o.device == device_choice::automatic && o.dtype == dtype_choice::automatic &&
              o.load == load_format::automatic && o.output == output_format::text);
  EXPECT_FALSE(o.quiet || o.batch_invariant || o.threads || o.sampling.seed || o.sampling.ignore_eos);
}

TEST(command_line, chat) {
  auto const o = parse_all(words("chat --model m --system S --chat-template t --seed 5"));
  EXPECT_EQ(o.what, command::chat);
  EXPECT_EQ(o.chat.system, "S");
  EXPECT_EQ(o.chat.template_file, "t");
  EXPECT_GT(o.sampling.max_tokens, 1'000'000);  // as long as the model allows
  EXPECT_EQ(parse_all(words("chat --model m --max-tokens 7")).sampling.max_tokens, 7);
}

TEST(command_line, every_option) {
  arguments given = words(
      "--tokenizer t --device host --dtype bf16 --allow-tf32 --quantize w4a16 --kv-cache-dtype fp8 --page-size 64 "
      "--max-model-len 5 --max-num-seqs 6 --max-num-batched-tokens 7 --threads 2 --batch-invariant off "
      "--output json --quiet --prompts - --max-new-tokens 9 --temperature 0 --top-k 3 --top-p 0.5 --min-p 0.1 "
      "--repetition-penalty 1.1 --presence-penalty -0.5 --frequency-penalty 0.25 --logit-bias 5:-3.5 "
      "--logit-bias 6:2 --seed 42 --stop x --ignore-eos --logprobs 4");
  given.insert(given.end(), {"--stop", "y z"});
  auto const o = generate(given);
  EXPECT_EQ(o.tokenizer, "t");
  EXPECT_TRUE(o.device == device_choice::host && o.dtype == dtype_choice::bf16 && o.allow_tf32 &&
              o.kv_cache_dtype == kv_dtype_choice::fp8);
  EXPECT_EQ(o.quantize, "w4a16");
  EXPECT_EQ(o.block_size, 64);
  EXPECT_EQ(o.max_model_len, 5);
  EXPECT_EQ(o.max_num_seqs, 6);
  EXPECT_EQ(o.max_num_batched_tokens, 7);
  EXPECT_EQ(o.threads, 2);
  EXPECT_EQ(o.batch_invariant, false);
  EXPECT_TRUE(o.output == output_format::json && o.quiet);
  EXPECT_EQ(o.prompts_file, "-");
  auto const& s = o.sampling;
  EXPECT_EQ(s.max_tokens, 9);
  EXPECT_EQ(s.temperature, 0);
  EXPECT_EQ(s.top_k, 3);
  EXPECT_EQ(s.top_p, 0.5);
  EXPECT_EQ(s.min_p, 0.1);
  EXPECT_EQ(s.repetition_penalty, 1.1);
  EXPECT_EQ(s.presence_penalty, -0.5);
  EXPECT_EQ(s.frequency_penalty, 0.25);
  EXPECT_EQ(s.logit_bias, (std::vector<std::pair<std::int32_t, float>>{{5, -3.5f}, {6, 2.f}}));
  EXPECT_EQ(s.seed, 42u);
  EXPECT_EQ(s.stop, (std::vector<std::string>{"x", "y z"}));
  EXPECT_TRUE(s.ignore_eos);
  EXPECT_EQ(s.logprobs, 4);
  EXPECT_EQ(generate({"--prompt", "a", "--block-size=32", "--max-tokens=3"}).block_size, 32);
  EXPECT_EQ(generate({"--prompt", "a", "--top-k", "-1"}).sampling.top_k, 0);
  auto const p =
      parse_all({"perplexity", "--model", "m", "--ids", "f", "--reference", "f32", "--dump-logits", "l.npy"});
  EXPECT_TRUE(p.what == command::perplexity && p.ids_file == "f" && p.reference == "f32" && p.dump_logits == "l.npy");
  auto const i = parse_all({"info", "--load-format", "dummy", "--config", "c"});
  EXPECT_TRUE(i.what == command::info && i.load == load_format::dummy && i.config == "c");
  auto const t = parse_all({"tokenize", "--tokenizer", "t", "--no-special", "--output", "offsets", "--file", "f"});
  EXPECT_TRUE(t.what == command::tokenize && t.no_special && t.tokens_output == token_output::offsets &&
              t.file == "f" && !t.text);
}

TEST(command_line, texts_stay_as_they_are) {
  auto const o = generate({"--prompt", "[a,b]", "--prompt", "", "-p", "--x", "-p", "{}", "-p", "-1",
                           "--prompt=", "--prompt=a=b", "-p", "a\nb"});
  EXPECT_EQ(o.prompts, (std::vector<std::string>{"[a,b]", "", "--x", "{}", "-1", "", "a=b", "a\nb"}));
}

TEST(command_line, help_has_an_example) {
  for (char const* sub : {"generate", "run", "bench", "simulate", "perplexity", "align", "compress", "tour", "info",
                          "tokenize", "detokenize"}) {
    auto const o = parse_all({sub, "--help"});
    EXPECT_EQ(o.what, command::help);
    EXPECT_NE(o.help.find(std::string("Example:\n  tenon ") + sub), std::string::npos) << o.help;
  }
  EXPECT_NE(parse_all({"--help"}).help.find("Example:\n  tenon generate"), std::string::npos);
  EXPECT_TRUE(parse_all({"--version"}).help.starts_with("tenon "));
}

TEST(command_line, scheduling) {
  auto const o = parse_all(
      words("run --model m --requests - --batching static --itl-target-ms 20 --cost-model c --no-enable-prefix-caching "
            "--no-enable-chunked-prefill --prefill-first --scheduling-policy fcfs --kv-cache-blocks 9 --n 2"));
  auto const& s = o.schedule.limits;
  EXPECT_TRUE(s.mode == batching::fixed && s.order == prompt_order::arrival);
  EXPECT_NEAR(s.itl_target, 0.02, 1e-12);
  EXPECT_FALSE(s.chunked_prefill || s.decode_first || o.schedule.prefix_caching);
  EXPECT_EQ(o.schedule.kv_blocks, 9);
  EXPECT_EQ(o.run.n, 2);
  auto const defaults = parse_all({"run", "--model", "m", "--trace", "t"});
  EXPECT_TRUE(defaults.schedule.limits.chunked_prefill && defaults.schedule.limits.decode_first &&
              defaults.schedule.prefix_caching);
}

// Flags take no value, and --help shows none; of --enable-X and --no-enable-X the last one counts.
TEST(command_line, flags) {
  for (char const* sub : {"run", "bench", "simulate"})
    EXPECT_EQ(parse_all({sub, "--help"}).help.find('{'), parse_all({sub, "--help"}).help.find("{\"prompt")) << sub;
  auto const run = [](std::string const& flags) { return parse_all(words("run --model m --requests - " + flags)); };
  EXPECT_FALSE(run("--enable-prefix-caching --no-enable-prefix-caching").schedule.prefix_caching);
  EXPECT_TRUE(run("--no-enable-prefix-caching --enable-prefix-caching").schedule.prefix_caching);
  EXPECT_TRUE(run("--quiet --quiet -q").quiet);
  EXPECT_FALSE(parse_all(words("bench --model m --no-steps")).bench.steps);
  for (std::string const flag :
       {"--prefill-first", "--quiet", "--enable-prefix-caching", "--no-enable-chunked-prefill"})
    for (std::string const value : {"7", "false", "off"}) try {
        (void)run(flag + "=" + value);
        ADD_FAILURE() << flag << " " << value;
      } catch (usage_error const& e) {
        EXPECT_EQ(e.what(), flag + ": takes no value: found \"" + value + "\", expected the option alone");
      }
}

TEST(command_line, lists) {
  auto const o = parse_all({"bench", "--model", "m", "-p", "0", "-n", "1,2", "--batch-size", "3,4,5", "-d", "7"});
  EXPECT_EQ(o.bench.prompts, (std::vector<std::int64_t>{0}));
  EXPECT_EQ(o.bench.decodes, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(o.bench.batches, (std::vector<std::int64_t>{3, 4, 5}));
  EXPECT_EQ(o.bench.depths, (std::vector<std::int64_t>{7}));
}

TEST(command_line, wrong_usage) {
  struct misuse {
    arguments   args;
    char const* message;
  };
  for (auto const& [args, message] : std::vector<misuse>{
           {{},
            "SUBCOMMAND: missing: found none, expected one of generate, chat, run, bench, simulate, perplexity, align, "
            "compress, tour, info, tokenize, detokenize, train-tokenizer (see tenon --help)"},
           {{"nosuch"},
            "nosuch: unknown subcommand: found \"nosuch\", expected one of generate, chat, run, bench, simulate, "
            "perplexity, align, compress, tour, info, tokenize, detokenize, train-tokenizer"},
           {{"run", "--model", "m", "--requests", "a", "--trace", "b"},
            "--requests: excludes --trace: found both, expected one of them"},
           {{"run", "--model", "m", "--requests", "a", "--itl-target-ms", "5"},
            "--itl-target-ms: needs a model of what a step costs: found nothing, expected --cost-model"},
           {{"bench", "--model", "m", "-b", "1,0"},
            "--batch-size: is no such number: found \"0\", expected an integer from 1 to 65535"},
           {{"bench", "--model", "m", "-b", "1,"},
            "--batch-size: is no such number: found \"\", expected an integer from 1 to 65535"},
           {words("bench --model m -b 65536"),
            "--batch-size: is no such number: found \"65536\", expected an integer from 1 to 65535"},
           {words("bench --model m --max-num-seqs 3"),
            "--max-num-seqs: unknown argument: found \"--max-num-seqs\", expected an option of `tenon bench --help`"},
           {words("run --model m"), "--requests: missing: found nothing, expected it or --trace"},
           {words("run --model m --requests r --rate 3"),
            "--rate: has no use here: found --requests, expected --trace"},
           {words("run --model m --requests r --request-rate 3"),
            "--rate: has no use here: found --requests, expected --trace"},
           {words("run --model m --requests r --num-prompts 3"),
            "--num-prompts: has no use here: found --requests, expected --trace"},
           {words("run --model m --requests r --scale-lengths 1"),
            "--scale-lengths: has no use here: found --requests, expected --trace"},
           {words("run --model m --trace t --max-tokens 3"),
            "--max-tokens: has no use here: found --trace, whose completions have lengths, expected --requests"},
           {{"generate"}, "--model: missing: found nothing, expected a model directory"},
           {{"generate", "--model", "m"}, "--prompt: missing: found nothing, expected it or --prompts"},
           {{"generate", "--model", "m", "--prompt", "a", "--prompts", "f"},
            "--prompt: excludes --prompts: found both, expected one of them"},
           {{"generate", "--model", "m", "--prompt"},
            "--prompt: wrong usage: found \"1 required TEXT missing\", expected the option once with one value"},
           {{"generate", "--model", "", "--prompt", "a"}, "--model: is empty: found \"\", expected a value"},
           {{"generate", "--model", "m", "--prompt", "a", "--bogus"},
            "--bogus: unknown argument: found \"--bogus\", expected an option of `tenon generate --help`"},
           {{"generate", "--model", "m", "--prompt", "a", "b"},
            "b: unknown argument: found \"b\", expected an option of `tenon generate --help`"},
           {{"generate", "--model", "m", "--prompt", "a", "--top-p", "2"},
            "--top-p: is no such number: found \"2\", expected a number above 0, at most 1"},
           {{"generate", "--model", "m", "--prompt", "a", "--temperature", "nan"},
            "--temperature: is no such number: found \"nan\", expected a number from 0 to 1000"},
           {{"simulate", "--rate", "1e-310"},  // arrivals that never come
            "--rate: is no such number: found \"1e-310\", expected a number from 1e-09 to 1e+09"},
           {{"generate", "--model", "m", "--prompt", "a", "--max-tokens", "-1"},
            "--max-tokens: is no such number: found \"-1\", expected an integer from 0 to 2147483647"},
           {{"generate", "--model", "m", "--prompt", "a", "--block-size", "0"},
            "--block-size: is no such number: found \"0\", expected an integer from 1 to 1048576"},
           {{"generate", "--model", "m", "--prompt", "a", "--device", "tpu"},
            "--device: unknown choice: found \"tpu\", expected auto|cuda|host"},
           {{"generate", "--model", "m", "--prompt", "a", "--logit-bias", "5"},
            "--logit-bias: is no bias: found \"5\", expected ID:VALUE, a token id and a number"},
           {{"generate", "--model", "m", "--prompt", "a", "--logit-bias", "5:nan"},
            "--logit-bias: is no bias: found \"5:nan\", expected ID:VALUE, a token id and a number"},
           {{"generate", "--model", "m", "--prompt", "a", "--stop", ""},
            "--stop: is empty: found \"\", expected a text"},
           {{"generate", "--load-format", "dummy", "--prompt", "a"},
            "--model: missing: found nothing, expected a model directory, or --config FILE"},
           {{"generate", "--model", "m", "--config", "c", "--prompt", "a"},
            "--config: is for dummy weights: found no --load-format dummy, expected it beside --config"},
           {{"perplexity", "--model", "m"}, "--text: missing: found nothing, expected it or --ids"},
           {{"perplexity", "--model", "m", "--text", "a", "--ids", "b"},
            "--text: excludes --ids: found both, expected one of them"},
           {{"perplexity", "--model", "m", "--text", "a", "--reference", "bf16"},
            "--reference: unknown choice: found \"bf16\", expected f32"},
           {{"tokenize", "--text", "a"},
            "--tokenizer: missing: found nothing, expected a tokenizer file, or --model DIR"},
           {{"tokenize", "--model", "m", "--text", "a", "--file", "f"},
            "--text: excludes --file: found both, expected one of them"},
           {{"tokenize", "--model", "m", "--output", "text"},
            "--output: unknown choice: found \"text\", expected ids|count|offsets|json"},
       })
    try {
      (void)parse_all(args);
      ADD_FAILURE() << message;
    } catch (usage_error const& e) {
      EXPECT_STREQ(e.what(), message);
    }
}

TEST(prompts, one_line) {
  sampling_options defaults;
  defaults.temperature = 0;
  auto const r         = parse_prompt_line(
              R"({"prompt": "a\nb", "max_tokens": 5, "top_k": -1, "top_p": 0.5, "seed": 7, "stop": ["x", "y"], "ignore_eos": true, "logprobs": 2, "logit_bias": {"5": -1, "6": 2.5}})",
              "f:1", defaults);
  EXPECT_EQ(r.prompt, "a\nb");
  EXPECT_FALSE(r.has_ids);
  EXPECT_EQ(r.sampling.max_tokens, 5);
  EXPECT_EQ(r.sampling.temperature, 0);
  EXPECT_EQ(r.sampling.top_k, 0);
  EXPECT_EQ(r.sampling.top_p, 0.5);
  EXPECT_EQ(r.sampling.seed, 7u);
  EXPECT_EQ(r.sampling.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(r.sampling.ignore_eos);
  EXPECT_EQ(r.sampling.logit_bias.size(), 2u);
  auto const by_ids = parse_prompt_line(R"({"prompt_ids": [1, 2], "stop": "x", "max_new_tokens": 3})", "f:1", {});
  EXPECT_EQ(by_ids.prompt_ids, (std::vector<std::int32_t>{1, 2}));
  EXPECT_TRUE(by_ids.has_ids);
  EXPECT_EQ(by_ids.sampling.max_tokens, 3);
}

TEST(prompts, errors_name_the_line) {
  for (auto const& [line, message] :
       {std::pair{"{", "f:3: broken JSON at line 1, column 2: found the end of the text, expected a JSON value"},
        {"[1]", "f:3: wrong type: found an array, expected an object"},
        {"{}", "f:3: wants one prompt: found neither prompt nor prompt_ids, expected one of them"},
        {R"({"prompt":"a","prompt_ids":[1]})",
         "f:3: wants one prompt: found prompt and prompt_ids, expected one of them"},
        {R"({"prompt":3})", "f:3: prompt: wrong type: found 3, expected a string"},
        {R"({"prompt_ids":[]})", "f:3: prompt_ids: wrong type: found an empty array, expected an array of token ids"},
        {R"({"prompt_ids":[1.5]})", "f:3: prompt_ids: wrong type: found 1.5, expected an integer from 0 to 2147483647"},
        {R"({"prompt_ids":[-1]})", "f:3: prompt_ids: out of range: found -1, expected an integer from 0 to 2147483647"},
        {R"({"prompt":"a","top_p":0})", "f:3: top_p: out of range: found 0, expected a number above 0"},
        {R"({"prompt":"a","temperature":"hot"})",
         "f:3: temperature: wrong type: found \"hot\", expected a number from 0 to 1000"},
        {R"({"prompt":"a","max_tokens":-5})",
         "f:3: max_tokens: out of range: found -5, expected an integer from 0 to 2147483647"},
        {R"({"prompt":"a","stop":[""]})",
         "f:3: stop: is no stop text: found \"\", expected a text that is not empty, or an array of them"},
        {R"({"prompt":"a","logit_bias":{"x":1}})",
         "f:3: logit_bias: has a key that is no token id: found \"x\", expected a token id"},
        {R"({"prompt":"a","ignore_eos":1})", "f:3: ignore_eos: wrong type: found 1, expected true or false"}})
    try {
      (void)parse_prompt_line(line, "f:3", {});
      ADD_FAILURE() << line;
    } catch (error const& e) {
      EXPECT_STREQ(e.what(), message);
    }
  try {
    (void)parse_prompt_line(R"({"prompt":"a","temprature":1})", "f:3", {});
    FAIL();
  } catch (error const& e) {
    EXPECT_TRUE(std::string(e.what()).starts_with(
        "f:3: unknown field: found \"temprature\", expected prompt or prompt_ids with any of max_tokens, "))
        << e.what();
  }
}

TEST(prompts, reader) {
  test::scratch_folder const folder;
  std::string const          file = (folder / "p.jsonl").string();
  test::write_text(file, "{\"prompt\":\"a\"}\r\n\n  \n{\"prompt\":\"b\"}\n{\"prompt\"");
  sampling_options defaults;
  defaults.seed = 3;
  prompt_reader reader({}, file, defaults);
  auto const    first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->prompt, "a");
  EXPECT_EQ(first->sampling.seed, 3u);
  EXPECT_EQ(reader.next()->source, file + ":4");
  try {
    (void)reader.next();
    FAIL();
  } catch (error const& e) {
    EXPECT_TRUE(std::string(e.what()).starts_with(file + ":5: broken JSON at line 1")) << e.what();
  }
  prompt_reader texts({"x", ""}, "", {});
  EXPECT_EQ(texts.next()->prompt, "x");
  EXPECT_EQ(texts.next()->prompt, "");
  EXPECT_FALSE(texts.next());
  EXPECT_THROW(prompt_reader({}, (folder / "absent").string(), {}), error);
  EXPECT_THROW(prompt_reader({}, "/tmp", {}), error);

  test::write_text(file, "{\"prompt\":\"a\",\"priority\":4}\n");  // known where requests have a schedule
  request_schedule schedule;
  schedule.n         = 3;
  auto const planned = prompt_reader({}, file, {}, schedule).next();
  EXPECT_EQ(planned->schedule.priority, 4);
  EXPECT_EQ(planned->schedule.n, 3);
  EXPECT_THROW((void)prompt_reader({}, file, {}).next(), error);
}

struct piped {
  std::string out;
  int         status;
};

piped run_piped(arguments args, std::string const& input = {}) {
  args.insert(args.end(), {"--model", demo()});
  std::istringstream in(input);
  std::ostringstream out;
  auto const         o = parse_all(args);
  int const          s = o.what == command::tokenize ? run_tokenize(o, in, out) : run_detokenize(o, in, out);
  return {out.str(), s};
}

TEST(tokenize, forms_of_output) {
  EXPECT_EQ(run_piped({"tokenize", "--text", "Once upon a time"}).out, "0 722 454 261 484\n");
  EXPECT_EQ(run_piped({"tokenize", "--no-special"}, "Once upon a time").out, "722 454 261 484\n");
  EXPECT_EQ(run_piped({"tokenize", "--text", "Once upon", "--output", "count"}).out, "3\n");
  EXPECT_EQ(run_piped({"tokenize", "--text", "Once upon", "--output", "offsets"}).out, "0 0 0\n722 0 4\n454 4 9\n");
  EXPECT_EQ(run_piped({"tokenize", "--text", "Once upon", "--output", "json"}).out,
            "{\"ids\":[0,722,454],\"count\":3,\"offsets\":[[0,0],[0,4],[4,9]]}\n");
  EXPECT_EQ(run_piped({"tokenize", "--text", ""}).out, "0\n");
  EXPECT_EQ(run_piped({"tokenize", "--text", "", "--no-special"}).out, "\n");
}

TEST(tokenize, and_back_is_the_same_bytes) {
  for (std::string const& text :
       {std::string("Once upon a time\n"), std::string(" x  y\n\n"), std::string("a\0b\xFF\xC3", 5),
        std::string("<|im_end|> <|endoftext|>"), std::string("\xF0\x9F\x90\xB1 \xE7\x8C\xAB")}) {
    EXPECT_EQ(run_piped({"detokenize"}, run_piped({"tokenize"}, text).out).out, text);
    EXPECT_EQ(run_piped({"detokenize", "--no-special"}, run_piped({"tokenize", "--no-special"}, text).out).out, text);
  }
  EXPECT_EQ(run_piped({"detokenize", "--text", "[722, 454]", "--output", "json"}).out,
            "{\"ids\":[722,454],\"text\":\"Once upon\"}\n");
}

TEST(tokenize, control_tokens_in_the_text) {
  EXPECT_EQ(run_piped({"tokenize", "--text", "<|im_end|>"}).out, "0 2\n");
  EXPECT_EQ(run_piped({"tokenize", "--text", "<|im_end|>", "--no-special"}).out.find("2 "), std::string::npos);
}

TEST(tokenize, ids_that_are_none) {
  for (char const* bad : {"x", "2048", "-1", "1.5", "99999999999999999999"}) try {
      (void)run_piped({"detokenize", "--text", bad});
      ADD_FAILURE() << bad;
    } catch (error const& e) {
      EXPECT_EQ(e.what(), std::string("--text: is no token id: found \"") + bad + "\", expected an id from 0 to 2047");
    }
}

TEST(tokenize, unwritable_output) {
  std::istringstream in;
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  EXPECT_THROW(run_tokenize(parse_all({"tokenize", "--text", "a", "--model", demo()}), in, out), error);
}

}  // namespace
