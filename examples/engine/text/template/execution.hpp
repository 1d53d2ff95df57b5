#pragma once
//  One run of a template: where it is, what it may still cost, and how it fails.
#include <string>
#include <string_view>

#include "engine/error.hpp"
#include "engine/text/template/limits.hpp"
#include "engine/text/template/value.hpp"

namespace tenon::engine::jinja {

/// Line and column in the template, from 1; columns are bytes.
struct place {
  int line = 1, column = 1;
};

enum class failure {
  syntax,       // the template's text is none
  unsupported,  // of Jinja, but not of our subset
  undefined,    // a value that is not there was used
  type,         // a value of another kind or range is needed
  limit,        // a bound of template_limits
  refused       // the template called raise_exception
};

struct template_error : error {
  template_error(failure what, place where, std::string const& message) : error(message), reason(what), at(where) {}
  failure reason;
  place   at;
};

/// `NAME: line 3, column 7: WHAT: found X, expected Y`.
[[noreturn]] void fail_at(std::string const& name, place at, failure reason, std::string_view what,
                          std::string_view found, std::string_view expected);

class execution {
 public:
  execution(std::string const& name, template_limits const& limits) : name_(name), limits_(limits) {}
  execution(execution const&)            = delete;
  execution& operator=(execution const&) = delete;
  ~execution();

  place at;  // of what is evaluated

  [[noreturn]] void fail(failure reason, std::string_view what, std::string_view found,
                         std::string_view expected) const {
    fail_at(name_, at, reason, what, found, expected);
  }
  /// A value of another kind or range is needed.
  [[noreturn]] void fail(std::string_view what, std::string_view found, std::string_view expected) const {
    fail(failure::type, what, found, expected);
  }
  [[noreturn]] void fail_undefined(value const& v) const;

  template_limits const& limits() const { return limits_; }

  void step(std::uint64_t count = 1) {
    if (count > limits_.steps - steps_) fail_steps();
    steps_ += count;
  }
  void read(std::size_t bytes) { step(bytes / 64 + 1); }  ///< text is looked through
  void make(std::size_t bytes);                           ///< text or values of so many bytes are about to be made
  void make(std::size_t count, std::size_t bytes) {       ///< so many of them
    make(bytes > 0 && count > limits_.memory_bytes / bytes ? ~std::size_t{0} : count * bytes);
  }

  [[nodiscard]] value text(marked_text t);  ///< a string
  [[nodiscard]] value own_text(std::string bytes) { return text({std::move(bytes), text_origin::own}); }
  [[nodiscard]] value list(std::vector<value> items, sequence_kind kind = sequence_kind::list);
  [[nodiscard]] value mapping(mapping_value entries);
  [[nodiscard]] value space(mapping_value entries);  ///< a namespace

  /// One level deeper while it lives.
  class level {
   public:
    explicit level(execution& x) : x_(x) {
      if (++x_.depth_ > x_.limits_.depth) x_.fail_depth();
    }
    level(level const&)            = delete;
    level& operator=(level const&) = delete;
    ~level() { --x_.depth_; }

   private:
    execution& x_;
  };

 private:
  [[noreturn]] void fail_steps() const;
  [[noreturn]] void fail_depth() const;
  void              check_depth(int depth) const;

  std::string const&         name_;
  template_limits const&     limits_;
  std::uint64_t              steps_  = 0;
  std::size_t                memory_ = 0;
  int                        depth_  = 0;
  std::vector<namespace_ptr> spaces_;  // they may hold each other: emptied in the end
};

}  // namespace tenon::engine::jinja
