#include "engine/text/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "engine/error.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

constexpr std::size_t   pattern_limit  = 1 << 16;    // bytes of an expression
constexpr std::uint64_t first_steps    = 1'000'000;  // of a text, beside those of its length
constexpr std::uint64_t byte_steps     = 256;        // for each byte
constexpr std::uint32_t heap_limit_kib = 64 * 1024;  // of one match
constexpr int           out_of_steps   = -1000;      // none of PCRE2's own errors

/// What matching costs, wherever it goes: PCRE2 tells where it is in front of every item of the expression, and a step is that and
/// each byte it has moved since, forwards or back. So expressions that would take the text's square or worse end with an error.
struct step_counter {
  std::uint64_t left;
  std::size_t   at = 0;

  static int count(pcre2_callout_block* where, void* self) {
    auto&             c     = *static_cast<step_counter*>(self);
    std::size_t const now   = where->current_position;
    std::size_t const moved = now > c.at ? now - c.at : c.at - now;
    c.at                    = now;
    if (moved >= c.left) return out_of_steps;
    c.left -= moved + 1;
    return 0;
  }
};

template <auto Free>
struct free_with {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using compile_context = std::unique_ptr<pcre2_compile_context, free_with<pcre2_compile_context_free>>;
using match_context   = std::unique_ptr<pcre2_match_context, free_with<pcre2_match_context_free>>;
using match_data      = std::unique_ptr<pcre2_match_data, free_with<pcre2_match_data_free>>;

std::string message_of(int code) {
  unsigned char text[256] = {};
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<char const*>(text);
}

/// PCRE2's \s has U+180E, which is white space neither in Unicode nor in Oniguruma: spell the class out.
std::string with_unicode_space(std::string_view expression, std::string const& subject) {
  constexpr std::string_view space = "\\t-\\r\\x{85}\\p{Z}";
  std::string                result;
  bool                       in_class = false;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    char const c = expression[i];
    if (c == '\\' && i + 1 < expression.size()) {
      char const escaped = expression[++i];
      if (escaped == 's') result.append(in_class ? "" : "[").append(space).append(in_class ? "" : "]");
      else if (escaped == 'S' && !in_class) result.append("[^").append(space).append("]");
      else result.append({c, escaped});
      continue;
    }
    bool const posix = expression.substr(i).starts_with("[:");
    if (in_class && ((c == '[' && !posix) || expression.substr(i).starts_with("&&")))
      throw wrong(subject, "unsupported pattern", "a nested or intersected class in " + in_quotes(expression), "none");
    if (in_class && posix) {
      auto const end = expression.find(":]", i);
      if (end == std::string_view::npos) throw wrong(subject, "broken pattern", in_quotes(expression), "\":]\"");
      result.append(expression.substr(i, end + 2 - i));
      i = end + 1;
      continue;
    }
    result += c;
    if (!in_class && c == '[') {
      in_class = true;
      if (i + 1 < expression.size() && expression[i + 1] == '^') result += expression[++i];
      if (i + 1 < expression.size() && expression[i + 1] == ']') result += "\\", result += expression[++i];
    } else if (in_class && c == ']') {
      in_class = false;
    }
  }
  return result;
}

}  // namespace

void pattern::release::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

pattern::pattern(std::string_view expression, std::string subject) : subject_(std::move(subject)) {
  if (expression.size() > pattern_limit)
    throw wrong(subject_, "pattern is too long", std::to_string(expression.size()) + " bytes",
                "at most " + std::to_string(pattern_limit));
  std::string const     text = with_unicode_space(expression, subject_);
  compile_context const context(pcre2_compile_context_create(nullptr));
  if (!context) throw std::bad_alloc();
  int         code  = 0;
  std::size_t where = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT,
                            &code, &where, context.get()));
  if (!code_)
    throw wrong(subject_, "broken pattern", in_quotes(expression) + " (" + message_of(code) + ")",
                "a regular expression");
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // where there is no JIT, the interpreter runs
}

std::vector<token_span> pattern::matches(std::string_view text) const {
  std::vector<token_span> found;
  if (text.empty()) return found;
  match_context const context(pcre2_match_context_create(nullptr));
  match_data const    data(pcre2_match_data_create(1, nullptr));
  if (!context || !data) throw std::bad_alloc();
  std::uint64_t const steps = first_steps + byte_steps * text.size();
  step_counter        counter{steps};
  pcre2_set_callout(context.get(), step_counter::count, &counter);
  pcre2_set_heap_limit(context.get(), heap_limit_kib);

  auto const  subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  std::size_t from    = 0;
  while (from < text.size()) {
    auto const match = [&](std::uint32_t flags) {
      return pcre2_match(code_.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | flags, data.get(),
                         context.get());
    };
    int code = match(0);
    if (code == PCRE2_ERROR_JIT_STACKLIMIT) code = match(PCRE2_NO_JIT);  // compiled code has 32 KB, the heap has more
    if (code == PCRE2_ERROR_NOMATCH) break;
    if (code < 0)
      throw wrong(subject_, "pattern fails on the text", code == out_of_steps ? "more steps" : message_of(code),
                  "to be done with " + std::to_string(text.size()) + " bytes in " + std::to_string(steps) + " steps");
    auto const* at = pcre2_get_ovector_pointer(data.get());
    if (at[0] < from || at[1] < at[0])
      throw wrong(subject_, "unsupported pattern", "\\K that moves a match", "matches from left to right");
    found.push_back({at[0], at[1]});
    from = at[1];
    if (at[0] == at[1] && from < text.size()) from += next_utf8(text.substr(from)).length;
  }
  return found;
}

}  // namespace tenon::engine
