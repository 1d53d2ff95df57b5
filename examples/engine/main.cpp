//  The program `tenon`: its subcommands and exit statuses. docs/cli.md is its contract.
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/program/command_line.hpp"
#include "engine/program/output.hpp"
#include "engine/program/tokenize.hpp"
#include "engine/program/train_tokenizer.hpp"

namespace {

int run(int argc, char** argv) {
  using namespace tenon::engine;
  options const from = parse(argc, argv);
  switch (from.what) {
    case command::help: {
      result_writer out;
      out.write(from.help);
      out.flush();
      return 0;
    }
    case command::generate: return run_generate(from);
    case command::chat: return run_chat(from);
    case command::run: return run_requests(from);
    case command::bench: return run_bench(from);
    case command::simulate: return run_simulate(from);
    case command::perplexity: return run_perplexity(from);
    case command::align: return run_align(from);
    case command::compress: return run_compress(from);
    case command::tour: return run_tour(from);
    case command::info: return run_info(from);
    case command::tokenize: return run_tokenize(from, std::cin, std::cout);
    case command::detokenize: return run_detokenize(from, std::cin, std::cout);
    case command::train_tokenizer: return run_train_tokenizer(from, std::cout);
  }
  return 1;
}

int report(std::string const& message, int exit_status) {
  std::fprintf(stderr, "tenon: %s\n", tenon::engine::one_line(message).c_str());
  return exit_status;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an unwritable output, reported as such
  try {
    return run(argc, argv);
  } catch (tenon::engine::usage_error const& e) {
    return report(e.what(), 2);
  } catch (std::bad_alloc const&) {
    return report("out of memory", 1);
  } catch (std::exception const& e) {
    return report(e.what(), 1);
  }
}
