//  `tenon chat` as a stranger uses it. The model of this repository tells stories; a template makes a conversation one.
#include <gtest/gtest.h>

#include <csignal>

#include "program.hpp"
#include "started_program.hpp"

namespace {

using nlohmann::json;

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

/// A folder with a template that writes the story so far.
struct story_template {
  test::scratch_folder folder;
  std::string          file = (folder / "story.jinja").string();
  story_template() {
    test::write_text(file,
                     "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n{% else %}{{ "
                     "m.content ~ ' ' }}"
                     "{% endif %}{% endfor %}");
  }
  test::run_result chat(std::string const& input, std::vector<std::string> const& more = {}) const {
    std::vector<std::string> arguments = {"chat", "--model",      demo, "--chat-template", file, "--temperature",
                                          "0",    "--max-tokens", "12", "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return test::run_program(arguments, input);
  }
};

TEST(chat, answers_stream_and_the_conversation_goes_on) {
  story_template const story;
  auto const           text = story.chat("Once upon a time\nThen the dog\n");
  ASSERT_EQ(text.status, 0) << text.err;
  EXPECT_EQ(text.err, "");
  auto const r = story.chat("Once upon a time\n\nThen the dog\n", {"--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  auto const turns = r.lines();
  ASSERT_EQ(turns.size(), 2u) << r.out;
  EXPECT_EQ(text.out, turns[0]["text"].get<std::string>() + "\n" + turns[1]["text"].get<std::string>() + "\n");
  EXPECT_EQ(turns[0]["turn"], 0);
  EXPECT_EQ(turns[0]["finish_reason"], "length");
  EXPECT_EQ(turns[0]["ids"].size(), 12u);
  EXPECT_EQ(turns[0]["cached_tokens"], 0);
  // The second turn is what `generate` says to the whole story; what the first one computed is found again.
  std::string const whole = "Once upon a time " + turns[0]["text"].get<std::string>() + " Then the dog ";
  auto const        alone = test::run_program(
             {"generate", "--model", demo, "--prompt", whole, "--temperature", "0", "--max-tokens", "12", "--output", "json"});
  EXPECT_EQ(alone.lines().at(0)["ids"], turns[1]["ids"]);
  EXPECT_EQ(alone.lines().at(0)["prompt_ids"].size(), turns[1]["prompt_tokens"]);
  EXPECT_GE(turns[1]["cached_tokens"], 16);
}

TEST(chat, system_messages_commands_and_lines_that_go_on) {
  story_template const story;
  auto const r = story.chat("a\\\nb\n/reset\na\\\r\nb\r\n/exit\nnever\n", {"--system", "Once", "--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  auto const turns = r.lines();
  ASSERT_EQ(turns.size(), 2u);
  EXPECT_EQ(turns[0]["ids"], turns[1]["ids"]);
  EXPECT_EQ(turns[0]["prompt_tokens"], turns[1]["prompt_tokens"]);
  auto const alone = test::run_program({"generate", "--model", demo, "--prompt", "Once\na\nb ", "--temperature", "0",
                                        "--max-tokens", "12", "--output", "json"});
  EXPECT_EQ(alone.lines().at(0)["ids"], turns[0]["ids"]);
}

TEST(chat, control_tokens_that_are_typed_are_text) {
  story_template const story;
  auto const           plain = story.chat("The\n", {"--output", "json"}).lines().at(0);
  auto const           r     = story.chat("The<|endoftext|>\n", {"--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_GT(r.lines().at(0)["prompt_tokens"].get<int>(), plain["prompt_tokens"].get<int>() + 3);
}

TEST(chat, a_full_context_names_both_numbers) {
  story_template const story;
  std::string          input;
  for (int i = 0; i < 4; ++i) input += "Once upon a time there was a little girl named Lily\n";
  auto const r = story.chat(input, {"--max-model-len", "32", "--output", "json"});
  EXPECT_EQ(r.status, 1);
  EXPECT_GE(r.lines().size(), 1u);
  EXPECT_EQ(r.err.rfind("tenon: the conversation: is longer than the model's length: found ", 0), 0u) << r.err;
  EXPECT_NE(r.err.find(" tokens, expected at most 32 (/reset begins a new one)\n"), std::string::npos) << r.err;
}

// The first Ctrl-C ends the answer; the conversation goes on.
TEST(chat, an_answer_can_be_interrupted) {
  story_template const story;
  std::string const    input = (story.folder / "input").string();
  test::write_text(input, "Once upon a time\nThe dog\n");
  test::started_program program(
      {"chat", "--model", demo, "--chat-template", story.file, "--max-model-len", "512", "--ignore-eos"}, input);
  std::string const first = program.read(8);
  program.signal(SIGINT);
  program.rest();
  int const status = program.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(first.size(), 8u);
  EXPECT_EQ(program.err().rfind("(interrupted)\n", 0), 0u) << program.err();
  EXPECT_NE(program.err().find("\n2 answers: "), std::string::npos) << program.err();
}

TEST(chat, errors_are_one_line) {
  story_template const story;
  auto const           none = test::run_program({"chat", "--model", demo});
  EXPECT_EQ(none.status, 1);
  EXPECT_EQ(none.err, "tenon: " + demo +
                          ": has no chat template: found none in tokenizer_config.json or chat_template.jinja, "
                          "expected one of them, or "
                          "--chat-template FILE\n");
  EXPECT_EQ(test::run_program({"chat"}).status, 2);
  EXPECT_EQ(story.chat(std::string((16 << 20) + 1, 'a')).err,
            "tenon: standard input: line is too long: found more than 16777216 bytes, expected at most that\n");
  EXPECT_EQ(story.chat("a\n", {"--prompt", "x"}).status, 2);
  test::write_text(story.file, "{{ raise_exception('only stories') }}");
  auto const refused = story.chat("a\n");
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.err, "tenon: " + story.file +
                             ": line 1, column 19: the chat template refuses these messages: found \"only stories\", "
                             "expected messages that it accepts\n");
  test::write_text(story.file, "{% for m in messages %}");
  EXPECT_EQ(story.chat("a\n").err,
            "tenon: " + story.file +
                ": line 1, column 24: a block does not end: found the end of the text, expected \"endfor\"\n");
  test::write_text(story.file, "");
  EXPECT_EQ(story.chat("a\n").err,
            "tenon: the conversation: is an empty prompt: found 0 tokens, expected a template that writes something\n");
}

}  // namespace
