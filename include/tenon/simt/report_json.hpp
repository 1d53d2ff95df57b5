#pragma once
//  Reports for other programs: JSON of our own, and SARIF 2.1.0, which code hosts show beside the lines
//  (OASIS, "Static Analysis Results Interchange Format", 2020).
#include <tenon/simt/causes.hpp>
#include <tenon/simt/report.hpp>
#include <tenon/version.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::simt {

/// Changes when a field changes its meaning or goes away; new fields may come without.
inline constexpr int report_schema_version = 1;

namespace detail {

/// JSON text; bytes that are no UTF-8 become U+FFFD.
inline std::string quoted(std::string_view text) {
  std::string out  = "\"";
  auto const  byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  for (std::size_t i = 0; i < text.size();) {
    unsigned const c = byte(i);
    if (c == '"' || c == '\\') {
      out += '\\', out += static_cast<char>(c), ++i;
    } else if (c == '\n') {
      out += "\\n", ++i;
    } else if (c < 0x20 || c == 0x7f) {
      char const* const hex = "0123456789abcdef";
      out += "\\u00", out += hex[c >> 4], out += hex[c & 15], ++i;
    } else if (c < 0x80) {
      out += static_cast<char>(c), ++i;
    } else {
      // Shortest forms only, no surrogates, nothing beyond U+10FFFF.
      std::size_t const n    = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
      bool              good = n != 0;
      for (std::size_t k = 1; k < n; ++k) good &= (byte(i + k) & 0xc0) == 0x80;
      unsigned const second = byte(i + 1);
      if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
          (c == 0xf4 && second > 0x8f))
        good = false;
      if (good) out += text.substr(i, n), i += n;
      else out += "\xef\xbf\xbd", ++i;
    }
  }
  return out + '"';
}

/// An object or array under construction.
class json_writer {
 public:
  explicit json_writer(std::string& out, char close) : out_(out), close_(close) { out_ += close == '}' ? '{' : '['; }
  json_writer(json_writer const&)            = delete;
  json_writer& operator=(json_writer const&) = delete;
  ~json_writer() { out_ += close_; }

  std::string& next() {
    if (!first_) out_ += ',';
    first_ = false;
    return out_;
  }
  std::string& key(std::string_view name) { return next() += quoted(name) + ":"; }
  void         text(std::string_view name, std::string_view v) { key(name) += quoted(v); }
  void         number(std::string_view name, std::uint64_t v) { key(name) += std::to_string(v); }
  void         truth(std::string_view name, bool v) { key(name) += v ? "true" : "false"; }

 private:
  std::string& out_;
  char         close_;
  bool         first_ = true;
};

inline void put(std::string& out, place const& p) {
  json_writer o(out, '}');
  o.text("what", p.what);
  if (!p.file.empty()) o.text("file", p.file), o.number("line", p.line);
  if (!p.text.empty()) o.text("text", p.text);
  if (!p.thread.empty()) o.text("thread", p.thread);
}

inline void put(std::string& out, std::vector<finding> const& all);
inline void put(std::string& out, finding const& f) {
  json_writer o(out, '}');
  o.text("kind", name_of(f.what));
  o.text("level", to_string(f.severity));
  o.text("title", to_string(f.what));
  o.number("times", f.times);
  if (f.here.known()) put(o.key("here"), f.here);
  if (f.there.known()) put(o.key("there"), f.there);
  if (!f.bytes.empty()) o.text("bytes", f.bytes);
  if (!f.path.empty()) o.text("path", f.path);
  if (!f.memory.empty()) o.text("memory", f.memory);
  if (!f.missing.empty()) o.text("missing", f.missing);
  if (!f.message.empty()) o.text("message", f.message);
  if (!f.also.empty()) put(o.key("also"), f.also);
}
inline void put(std::string& out, std::vector<finding> const& all) {
  json_writer a(out, ']');
  for (auto const& f : all) put(a.next(), f);
}

inline void put(std::string& out, report const& r) {
  json_writer o(out, '}');
  o.number("schema", report_schema_version);
  o.truth("clean", r.clean());
  o.number("seed", r.seed);
  o.text("schedule", to_string(r.schedule));
  o.text("delivery", to_string(r.delivery));
  {
    json_writer c(o.key("counters"), '}');
    c.number("launches", r.launches);
    c.number("accesses", r.accesses);
    c.number("wavefronts", r.wavefronts);
    c.number("ideal_wavefronts", r.ideal);
    c.number("bank_conflicts", r.bank_conflicts());
    c.number("requests", r.requests);
    c.number("sectors", r.sectors);
    c.number("ideal_sectors", r.ideal_sectors);
  }
  if (!r.operations.empty()) {
    json_writer all(o.key("operations"), ']');
    for (auto const& operation : r.operations) {
      json_writer one(all.next(), '}');
      one.text("name", operation.name);
      one.text("file", operation.at.file);
      one.number("line", operation.at.line);
      one.number("times", operation.times);
    }
  }
  put(o.key("findings"), r.findings);
  put(o.key("accepted"), r.accepted);
}

/// A file name as an URI, absolute ones with their scheme.
inline std::string uri_of(std::string const& file) {
  std::string out = file.starts_with('/') ? "file://" : "";
  for (char const c : file) {
    auto const u     = static_cast<unsigned char>(c);
    bool const plain = (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') ||
                       std::string_view("/._-~").find(c) != std::string_view::npos;
    char const* const hex = "0123456789ABCDEF";
    if (plain) out += c;
    else out += '%', out += hex[u >> 4], out += hex[u & 15];
  }
  return out;
}

inline void put_message(json_writer& o, std::string const& text) {
  json_writer m(o.key("message"), '}');
  m.text("text", text);
}
inline void put_location(std::string& out, place const& p, std::string const& message) {
  json_writer o(out, '}');
  {
    json_writer physical(o.key("physicalLocation"), '}');
    {
      json_writer artifact(physical.key("artifactLocation"), '}');
      artifact.text("uri", uri_of(p.file));
    }
    json_writer region(physical.key("region"), '}');
    region.number("startLine", p.line);
    if (!p.text.empty()) {
      json_writer snippet(region.key("snippet"), '}');
      snippet.text("text", p.text);
    }
  }
  if (!message.empty()) put_message(o, message);
}

inline void put_sarif_result(std::string& out, finding const& f, bool accepted) {
  json_writer o(out, '}');
  o.text("ruleId", name_of(f.what));
  o.text("level", f.severity == level::error ? "error" : f.severity == level::review ? "warning" : "note");
  std::string text = f.here.what + (f.here.thread.empty() ? "" : " by " + f.here.thread);
  if (f.there.known()) text += "; " + f.there.what + (f.there.thread.empty() ? "" : " by " + f.there.thread);
  for (auto const* part : {&f.bytes, &f.message})
    if (!part->empty()) text += (text.empty() ? "" : ". ") + *part;
  put_message(o, text.empty() ? to_string(f.what) : text);
  if (f.here.line) {
    json_writer all(o.key("locations"), ']');
    put_location(all.next(), f.here, "");
  }
  if (f.there.line) {
    json_writer all(o.key("relatedLocations"), ']');
    put_location(all.next(), f.there, f.there.what);
  }
  o.number("occurrenceCount", f.times);
  {
    // Lines move when files are edited; their text stays.
    json_writer prints(o.key("partialFingerprints"), '}');
    prints.text("tenonCause/v1", std::string(name_of(f.what)) + "|" + f.here.file + "|" + f.here.text + "|" +
                                     f.there.file + "|" + f.there.text);
  }
  if (accepted) {
    json_writer all(o.key("suppressions"), ']');
    json_writer one(all.next(), '}');
    one.text("kind", "external");
  }
}

}  // namespace detail

inline std::string to_json(report const& r) {
  std::string out;
  detail::put(out, r);
  return out;
}

/// Several reports of one program: {"schema": 1, "program": ..., "clean": ..., "reports": [...]}.
inline std::string to_json(std::vector<report> const& all, std::string_view program) {
  std::string out;
  bool        clean = true;
  for (auto const& r : all) clean &= r.clean();
  {
    detail::json_writer o(out, '}');
    o.number("schema", report_schema_version);
    o.text("program", program);
    o.truth("clean", clean);
    detail::json_writer a(o.key("reports"), ']');
    for (auto const& r : all) detail::put(a.next() += '\n', r);
  }
  return out + '\n';
}

/// One run of SARIF; a cause that several reports found is one result.
inline std::string to_sarif(std::vector<report> const& all) {
  report sum;
  for (auto const& r : all) {
    add_findings(sum, r.findings);
    sum.accepted.insert(sum.accepted.end(), r.accepted.begin(), r.accepted.end());
  }
  sum.accepted = by_cause(std::move(sum.accepted), false);
  std::string out;
  {
    using detail::json_writer;
    json_writer o(out, '}');
    o.text("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    o.text("version", "2.1.0");
    json_writer runs(o.key("runs"), ']');
    json_writer run(runs.next(), '}');
    {
      json_writer tool(run.key("tool"), '}');
      json_writer driver(tool.key("driver"), '}');
      driver.text("name", "tenon");
      driver.text("version", std::to_string(TENON_VERSION_MAJOR) + "." + std::to_string(TENON_VERSION_MINOR) + "." +
                                 std::to_string(TENON_VERSION_PATCH));
      json_writer rules(driver.key("rules"), ']');
      for (int k = 0; k <= static_cast<int>(kind::not_checked); ++k) {
        json_writer rule(rules.next(), '}');
        rule.text("id", name_of(static_cast<kind>(k)));
        json_writer words(rule.key("shortDescription"), '}');
        words.text("text", to_string(static_cast<kind>(k)));
      }
    }
    json_writer results(run.key("results"), ']');
    for (auto const& f : sum.findings) detail::put_sarif_result(results.next() += '\n', f, false);
    for (auto const& f : sum.accepted) detail::put_sarif_result(results.next() += '\n', f, true);
  }
  return out + '\n';
}

}  // namespace tenon::simt
