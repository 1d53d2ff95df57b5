#include "engine/files/json.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/files/mapped_file.hpp"

namespace tenon::engine {
namespace {

/// Builds the value from the parser's events, which lets limits and repeated keys be refused as they come.
class builder {
 public:
  builder(std::string_view text, std::string const& name, json_limits const& limits, std::span<json_route const> routes)
      : text_(text), name_(name), limits_(limits), routes_(routes) {
    for (json_route const& r : routes)
      if (r.object.empty() && r.member.empty()) route_ = r.to;
  }

  bool null() { return put(nullptr); }
  bool boolean(bool v) { return put(v); }
  bool number_integer(std::int64_t v) { return put(v); }
  bool number_unsigned(std::uint64_t v) { return put(v); }
  bool number_float(double v, std::string const&) { return put(v); }
  bool string(std::string& v) {
    if (!listener_) return put(std::move(v));
    count();
    listener_->text(v);
    return true;
  }
  bool binary(json_value::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(true); }
  bool start_array(std::size_t) { return open(false); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& v) {
    count();
    if (listener_) {
      listener_->key(v);
      return true;
    }
    route_ = nullptr;
    if (open_.size() == 1) section_ = v;
    if (open_.size() == 2)
      for (json_route const& r : routes_)
        if (r.object == section_ && r.member == v) route_ = r.to;
    auto const [at, added] = open_.back()->get_ref<json_value::object_t&>().try_emplace(std::move(v));
    if (!added) throw wrong(name_, "repeated key in an object", in_quotes(at->first) + " twice", "it once");
    member_ = &at->second;
    return true;
  }
  bool parse_error(std::size_t position, std::string const& last, nlohmann::detail::exception const& e) {
    auto const before     = text_.substr(0, std::min(position > 0 ? position - 1 : 0, text_.size()));
    auto const line       = std::count(before.begin(), before.end(), '\n') + 1;
    auto const line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    // The library's sentence after its own position, without what it read last.
    std::string_view reason = e.what();
    if (auto const at = reason.find(" - "); at != std::string_view::npos) reason.remove_prefix(at + 3);
    reason           = reason.substr(0, reason.find("; "));
    bool const ended = position > text_.size();
    throw wrong(
        name_,
        "broken JSON at line " + std::to_string(line) + ", column " + std::to_string(before.size() - line_start + 1),
        ended ? std::string("the end of the text") : in_quotes(last) + " (" + one_line(reason) + ")", "a JSON value");
  }

  json_value take() { return std::move(root_); }

 private:
  void count() {
    if (++values_ > limits_.values)
      throw wrong(name_, "too many JSON values", "more than " + std::to_string(limits_.values), "at most that");
  }
  json_value& place(json_value&& v) {
    count();
    if (open_.empty()) return root_ = std::move(v);
    if (open_.back()->is_object()) return *member_ = std::move(v);
    auto& array = open_.back()->get_ref<json_value::array_t&>();
    return array.emplace_back(std::move(v));
  }
  template <class T>
  bool put(T&& v) {
    if (listener_) count(), listener_->value(json_value(std::forward<T>(v)));
    else place(json_value(std::forward<T>(v)));
    return true;
  }
  bool open(bool object) {
    if (open_.size() + inside_ == limits_.depth)
      throw wrong(name_, "JSON is nested too deeply", "more than " + std::to_string(limits_.depth) + " levels",
                  "at most that");
    if (listener_) {
      count();
      ++inside_;
    } else {
      open_.push_back(&place(object ? json_value::object() : json_value::array()));
      listener_ = std::exchange(route_, nullptr);
    }
    if (listener_) listener_->open(object);
    return true;
  }
  bool close() {
    if (listener_) {
      listener_->close();
      if (inside_ > 0) {
        --inside_;
        return true;
      }
      listener_ = nullptr;
    }
    open_.pop_back();
    return true;
  }

  std::string_view         text_;
  std::string const&       name_;
  json_limits const&       limits_;
  json_value               root_;
  std::vector<json_value*> open_;              // arrays and objects around the current value
  json_value*              member_ = nullptr;  // of the last key
  std::size_t              values_ = 0;

  std::span<json_route const> routes_;
  std::string                 section_;  // the root's last key
  json_listener* route_    = nullptr;    // where the value behind the last key goes, if it is an array or object
  json_listener* listener_ = nullptr;    // where the current value goes
  std::size_t    inside_   = 0;          // arrays and objects around that, within what the listener has
};

std::string plain(double v) {
  std::string text = json_value(v).dump();
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

}  // namespace

json_value parse_json(std::string_view text, std::string const& name, json_limits limits,
                      std::span<json_route const> routes) {
  if (text.size() > limits.bytes)
    throw wrong(name, "JSON text is too large", std::to_string(text.size()) + " bytes",
                "at most " + std::to_string(limits.bytes));
  builder events(text, name, limits, routes);
  if (!json_value::sax_parse(text.begin(), text.end(), &events)) throw wrong(name, "broken JSON", "?", "a JSON value");
  return events.take();
}

json_value read_json(std::string const& path, json_limits limits) {
  mapped_file const file(path);
  return parse_json(file.text(), file.name(), limits);
}

std::string describe(json_value const& value) {
  switch (value.type()) {
    case json_value::value_t::object: return "an object";
    case json_value::value_t::array: return "an array";
    case json_value::value_t::string: return in_quotes(value.get_ref<std::string const&>());
    default: return value.dump();
  }
}

json_fields::json_fields(json_value const& object, std::string file, std::string path)
    : object_(&object), file_(std::move(file)), path_(std::move(path)) {
  if (!object.is_object())
    throw engine::wrong(path_.empty() ? file_ : file_ + ": " + path_, "wrong type", describe(object), "an object");
}

json_value const* json_fields::find(char const* key) const {
  auto const at = object_->find(key);
  return at == object_->end() || at->is_null() ? nullptr : &*at;
}

json_value const& json_fields::at(char const* key, char const* expected) const {
  if (auto const* value = find(key)) return *value;
  throw wrong(key, "missing", "nothing", expected);
}

error json_fields::wrong(char const* key, std::string_view what, std::string_view found,
                         std::string_view expected) const {
  return engine::wrong(file_ + ": " + (path_.empty() ? "" : path_ + ".") + key, what, found, expected);
}

std::optional<std::int64_t> integer_within(json_value const& value, std::int64_t low, std::int64_t high) {
  if (!value.is_number_integer()) return {};
  if (value.is_number_unsigned() && !std::in_range<std::int64_t>(value.get<std::uint64_t>())) return {};
  auto const v = value.get<std::int64_t>();
  return v >= low && v <= high ? std::optional(v) : std::nullopt;
}

std::int64_t to_integer(json_value const& value, std::string_view subject, std::int64_t low, std::int64_t high) {
  if (auto const v = integer_within(value, low, high)) return *v;
  throw wrong(subject, value.is_number_integer() ? "out of range" : "wrong type", describe(value),
              "an integer from " + std::to_string(low) + " to " + std::to_string(high));
}

double to_number(json_value const& value, std::string_view subject, double low, double high) {
  std::string const expected = "a number from " + plain(low) + " to " + plain(high);
  if (!value.is_number()) throw wrong(subject, "wrong type", describe(value), expected);
  auto const v = value.get<double>();
  if (!(v >= low && v <= high)) throw wrong(subject, "out of range", describe(value), expected);
  return v;
}

std::int64_t json_fields::integer(char const* key, std::int64_t low, std::int64_t high) const {
  return to_integer(at(key, "an integer"), file_ + ": " + (path_.empty() ? "" : path_ + ".") + key, low, high);
}

std::int64_t json_fields::integer_or(char const* key, std::int64_t low, std::int64_t high,
                                     std::int64_t fallback) const {
  return has(key) ? integer(key, low, high) : fallback;
}

double json_fields::number(char const* key, double low, double high) const {
  return to_number(at(key, "a number"), file_ + ": " + (path_.empty() ? "" : path_ + ".") + key, low, high);
}

double json_fields::number_or(char const* key, double low, double high, double fallback) const {
  return has(key) ? number(key, low, high) : fallback;
}

bool json_fields::flag_or(char const* key, bool fallback) const {
  auto const* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) throw wrong(key, "wrong type", describe(*value), "true or false");
  return value->get<bool>();
}

std::string json_fields::text(char const* key) const {
  auto const& value = at(key, "a string");
  if (!value.is_string()) throw wrong(key, "wrong type", describe(value), "a string");
  return value.get<std::string>();
}

std::string json_fields::text_or(char const* key, std::string fallback) const {
  return has(key) ? text(key) : std::move(fallback);
}

json_fields json_fields::fields(char const* key) const {
  return {at(key, "an object"), file_, path_.empty() ? key : path_ + "." + key};
}

}  // namespace tenon::engine
