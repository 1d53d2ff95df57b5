#pragma once
//  What a template computes with: Python's values, as far as chat templates use them.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/text/template/marked_text.hpp"

namespace tenon::engine::jinja {

class execution;
struct list_value;
class mapping_value;
struct namespace_value;
struct loop_value;
struct function_value;

struct undefined_value {
  std::shared_ptr<std::string const> why;  // "'x' is undefined"; null: nothing is known
};
struct none_value {};
using text_ptr      = std::shared_ptr<marked_text const>;
using list_ptr      = std::shared_ptr<list_value>;
using mapping_ptr   = std::shared_ptr<mapping_value const>;
using namespace_ptr = std::shared_ptr<namespace_value>;
using loop_ptr      = std::shared_ptr<loop_value const>;
using function_ptr  = std::shared_ptr<function_value const>;

using value = std::variant<undefined_value, none_value, bool, std::int64_t, double, text_ptr, list_ptr, mapping_ptr,
                           namespace_ptr, loop_ptr, function_ptr>;

/// iterator: can be gone through once, as what map() and select() give; view: as dict.items() gives.
enum class sequence_kind : unsigned char { list, tuple, range, iterator, view };

struct list_value {
  std::vector<value> items;
  sequence_kind      kind  = sequence_kind::list;
  std::size_t        next  = 0;  // of an iterator
  int                depth = 1;
};

/// Entries in the order in which they came; never changed once a template sees them.
class mapping_value {
 public:
  [[nodiscard]] std::vector<std::pair<value, value>> const& entries() const { return entries_; }
  [[nodiscard]] std::size_t                                 size() const { return entries_.size(); }

  [[nodiscard]] value const* find(std::string_view key) const;
  /// By any key, which is looked at; null also where it can be none.
  [[nodiscard]] value const* find(execution& x, value const& key) const;
  void                       set(execution& x, value key, value v);

  int depth = 1;

 private:
  [[nodiscard]] std::size_t place_of(value const& key) const;  // size(): none

  std::vector<std::pair<value, value>>    entries_;
  std::map<std::string_view, std::size_t> texts_;     // keys that are strings: views of them
  std::map<std::int64_t, std::size_t>     integers_;  // and booleans, and floats that are equal to one
  std::map<double, std::size_t>           reals_;     // the others
  std::size_t                             none_    = no_place;
  static constexpr std::size_t            no_place = ~std::size_t{0};
};

struct namespace_value {
  mapping_value attributes;
};

/// `loop` inside of a for.
struct loop_value {
  std::shared_ptr<std::vector<value> const> items;
  std::size_t                               index = 0;
  int                                       depth = 1;  // of its items
};

/// What can be called: a function of ours by its name, a method of `self`, or a macro.
struct function_value {
  std::string           name;
  std::optional<value>  self;              // of a method
  void const*           macro  = nullptr;  // the statement that defines it
  std::shared_ptr<void> caller = {};       // of a call block: whether its variables are still there
};

template <class T>
[[nodiscard]] bool is(value const& v) {
  return std::holds_alternative<T>(v);
}
/// The string in `v`; null: it is none.
[[nodiscard]] inline marked_text const* text_in(value const& v) {
  auto const* t = std::get_if<text_ptr>(&v);
  return t ? t->get() : nullptr;
}
[[nodiscard]] inline list_value* list_in(value const& v) {
  auto const* l = std::get_if<list_ptr>(&v);
  return l ? l->get() : nullptr;
}
[[nodiscard]] inline mapping_value const* mapping_in(value const& v) {
  auto const* m = std::get_if<mapping_ptr>(&v);
  return m ? m->get() : nullptr;
}

[[nodiscard]] bool        truth(value const& v);
[[nodiscard]] int         depth_of(value const& v);
[[nodiscard]] std::string describe(value const& v);  ///< for messages: "\"abc\"", "5", "a list"
/// An integer or boolean.
[[nodiscard]] bool integer_in(value const& v, std::int64_t& to);
/// A string, none or a number that equals itself: what mappings have as keys.
[[nodiscard]] bool is_key(value const& v);
/// Any number.
[[nodiscard]] bool number_in(value const& v, double& to);

/// Python's ==.
[[nodiscard]] bool equal(execution& x, value const& a, value const& b);
/// Python's order: -1, 0 or 1; 2 beside what is not a number, which has none; an error for values of kinds that have
/// none.
[[nodiscard]] int order(execution& x, value const& a, value const& b);
/// Python's `in`.
[[nodiscard]] bool contains(execution& x, value const& within, value const& v);

/// What a loop over `v` sees; an iterator is then at its end.
[[nodiscard]] std::vector<value> items_of(execution& x, value const& v);
/// Python's len(); an error for what has none.
[[nodiscard]] std::size_t length_of(execution& x, value const& v);

}  // namespace tenon::engine::jinja
