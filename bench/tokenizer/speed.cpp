//  bench_tokenizer FILE: how fast a vocabulary loads, encodes and decodes. bench/tokenizer/compare runs it beside other tokenizers.
//
//  A line of stdin is a question, a line of stdout its answer in JSON, first that of loading. Seconds are the process' own.
//    read TEXT PATH         texts of that name: length (uint32) and bytes of each
//    ids TEXT PATH          their ids are written there, int32
//    first TEXT             one pass over the texts, when nothing was done with them before
//    cold TEXT SECONDS      passes over all texts, for that long
//    hot TEXT SECONDS       the first of them again and again
//    decode TEXT SECONDS    passes over the ids of all texts
//    letter BYTES           one word of one letter
//    threads TEXT SECONDS   passes over all texts by one thread, then by two at once; wall time
//
//  bench_tokenizer --count FILE PATH...: three passes over the texts of each path, by calls of counted_pass for callgrind. In the
//  second one what comes again is put where the third one finds it.
#include <engine/error.hpp>
#include <engine/text/tokenizer.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using tenon::engine::load_tokenizer;
using tenon::engine::tokenizer;
using ids = std::vector<std::int32_t>;

constexpr tenon::engine::encode_options plain{.add_special = false, .control_in_text = true};

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<std::string> read_texts(std::string const& path) {
  std::ifstream            file(path, std::ios::binary);
  std::string const        bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::string> texts;
  for (std::size_t at = 0; at + 4 <= bytes.size();) {
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data() + at, sizeof size);
    texts.push_back(bytes.substr(at + 4, size));
    at += 4 + size;
  }
  if (texts.empty()) throw std::runtime_error(path + " holds no text");
  return texts;
}

struct measured {
  double      seconds = 0;
  std::size_t bytes   = 0;
};

/// work() returns bytes; until `seconds` have passed.
template <class Work>
measured for_seconds(double seconds, double (*clock)(), Work const& work) {
  measured     m;
  double const began = clock();
  do {
    m.bytes += work();
    m.seconds = clock() - began;
  } while (m.seconds < seconds);
  return m;
}

std::size_t pass(tokenizer const& t, std::vector<std::string> const& texts) {
  std::size_t bytes = 0;
  for (std::string const& text : texts) {
    ids const found = t.encode(text, plain);
    if (found.empty()) throw std::runtime_error("no ids");
    bytes += text.size();
  }
  return bytes;
}

/// The same work on `threads` threads at once, each with all of the texts.
measured on_threads(tokenizer const& t, std::vector<std::string> const& texts, double seconds, std::size_t threads) {
  return for_seconds(seconds, wall_seconds, [&] {
    std::vector<std::size_t> bytes(threads);
    std::vector<std::thread> all;
    for (std::size_t i = 0; i < threads; ++i)
      all.emplace_back([&, i] {
        for (int again = 0; again < 8; ++again) bytes[i] += pass(t, texts);
      });
    for (std::thread& thread : all) thread.join();
    std::size_t sum = 0;
    for (std::size_t const b : bytes) sum += b;
    return sum;
  });
}

void say(measured m, char const* more = "") {
  std::printf("{\"seconds\": %.9g, \"bytes\": %zu%s}\n", m.seconds, m.bytes, more);
  std::fflush(stdout);
}

void answer(tokenizer const& t, std::map<std::string, std::vector<std::string>>& all, std::string const& line) {
  std::istringstream words(line);
  std::string        what, name, path;
  double             seconds = 0;
  words >> what;
  if (what == "letter") {
    std::size_t n = 0;
    words >> n;
    std::string const letters(n, 'a');
    return say(for_seconds(0, cpu_seconds, [&] { return t.encode(letters, plain).empty() ? 0 : n; }));
  }
  words >> name;
  std::vector<std::string>& texts = all[name];
  if (what == "read") {
    words >> path;
    texts             = read_texts(path);
    std::size_t bytes = 0;
    for (std::string const& text : texts) bytes += text.size();
    return say({0, bytes});
  }
  if (what == "ids") {
    words >> path;
    std::ofstream out(path, std::ios::binary);
    for (std::string const& text : texts) {
      ids const found = t.encode(text, plain);
      out.write(reinterpret_cast<char const*>(found.data()), static_cast<std::streamsize>(4 * found.size()));
    }
    return say({});
  }
  words >> seconds;
  if (what == "first") return say(for_seconds(0, cpu_seconds, [&] { return pass(t, texts); }));
  if (what == "cold") return say(for_seconds(seconds, cpu_seconds, [&] { return pass(t, texts); }));
  if (what == "hot") {
    std::vector<std::string> const one{texts.front()};
    return say(for_seconds(seconds, cpu_seconds, [&] { return pass(t, one); }));
  }
  if (what == "decode") {
    std::vector<ids> encoded;
    for (std::string const& text : texts) encoded.push_back(t.encode(text, plain));
    return say(for_seconds(seconds, cpu_seconds, [&] {
      std::size_t bytes = 0;
      for (ids const& some : encoded) bytes += t.decode(some).size();
      return bytes;
    }));
  }
  if (what == "threads") {
    measured const one = on_threads(t, texts, seconds, 1), two = on_threads(t, texts, seconds, 2);
    auto const     rate = [](measured m) { return static_cast<double>(m.bytes) / m.seconds; };
    std::string    more = ", \"two_over_one\": " + std::to_string(rate(two) / rate(one));
    return say(two, more.c_str());
  }
  throw std::runtime_error("unknown question: " + line);
}

}  // namespace

extern "C" [[gnu::noinline]] std::size_t counted_pass(tokenizer const& t, std::vector<std::string> const& texts) {
  return pass(t, texts);
}

int main(int argc, char** argv) try {
  if (argc < 2) return std::fputs("bench_tokenizer FILE, or --count FILE PATH...\n", stderr), 2;
  if (std::string_view(argv[1]) == "--count" && argc > 2) {
    auto const t = load_tokenizer(argv[2]);
    for (int i = 3; i < argc; ++i) {
      auto const texts = read_texts(argv[i]);
      for (int again = 0; again < 3; ++again) std::printf("%zu\n", counted_pass(*t, texts));
    }
    return 0;
  }
  double const began = cpu_seconds();
  auto const   t     = load_tokenizer(argv[1]);
  say({cpu_seconds() - began, 0});
  std::map<std::string, std::vector<std::string>> texts;
  for (std::string line; std::getline(std::cin, line);) answer(*t, texts, line);
  return 0;
} catch (std::exception const& e) {
  std::fprintf(stderr, "bench_tokenizer: %s\n", e.what());
  return 1;
}
