#pragma once
//  What the debug information of a program says of its data: which variable stands at an address, and which members of
//  its type some bytes are: bytes [508, 512) of a storage are `.a[1][37][8]`.
//
//  Reads DWARF 4 and 5 as g++ and clang write it into one executable (not compressed, not split into .dwo files), and the
//  ELF symbols of thread-local variables. Everything is read within bounds: a damaged file gives no names, nothing worse.
//
//  DWARF Debugging Information Format, version 5, dwarfstd.org: section 7 has the numbers.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tenon::simt::checked {

namespace dwarf {

using bytes = std::span<unsigned char const>;

// clang-format off
enum tag : unsigned {
  tag_array = 0x01, tag_class = 0x02, tag_member = 0x0d, tag_pointer = 0x0f, tag_structure = 0x13, tag_typedef = 0x16,
  tag_union = 0x17, tag_inheritance = 0x1c, tag_subrange = 0x21, tag_const = 0x26, tag_subprogram = 0x2e,
  tag_variable = 0x34, tag_volatile = 0x35, tag_restrict = 0x37, tag_atomic = 0x47,
};
enum attribute : unsigned {
  at_location = 0x02, at_name = 0x03, at_byte_size = 0x0b, at_bit_offset = 0x0c, at_bit_size = 0x0d,
  at_upper_bound = 0x2f, at_abstract_origin = 0x31, at_count = 0x37, at_member_location = 0x38, at_external = 0x3f,
  at_specification = 0x47, at_type = 0x49, at_signature = 0x69, at_data_bit_offset = 0x6b, at_str_offsets_base = 0x72,
  at_addr_base = 0x73,
};
enum form : unsigned {
  form_addr = 0x01, form_block2 = 0x03, form_block4 = 0x04, form_data2 = 0x05, form_data4 = 0x06, form_data8 = 0x07,
  form_string = 0x08, form_block = 0x09, form_block1 = 0x0a, form_data1 = 0x0b, form_flag = 0x0c, form_sdata = 0x0d,
  form_strp = 0x0e, form_udata = 0x0f, form_ref_addr = 0x10, form_ref1 = 0x11, form_ref2 = 0x12, form_ref4 = 0x13,
  form_ref8 = 0x14, form_ref_udata = 0x15, form_indirect = 0x16, form_sec_offset = 0x17, form_exprloc = 0x18,
  form_flag_present = 0x19, form_strx = 0x1a, form_addrx = 0x1b, form_ref_sup4 = 0x1c, form_strp_sup = 0x1d,
  form_data16 = 0x1e, form_line_strp = 0x1f, form_ref_sig8 = 0x20, form_implicit_const = 0x21, form_loclistx = 0x22,
  form_rnglistx = 0x23, form_ref_sup8 = 0x24, form_strx1 = 0x25, form_strx2 = 0x26, form_strx3 = 0x27,
  form_strx4 = 0x28, form_addrx1 = 0x29, form_addrx2 = 0x2a, form_addrx3 = 0x2b, form_addrx4 = 0x2c,
  form_gnu_ref_alt = 0x1f20, form_gnu_strp_alt = 0x1f21,
};
enum operation : unsigned {
  op_addr = 0x03, op_const4u = 0x0c, op_const8u = 0x0e, op_plus_uconst = 0x23, op_tls_address = 0x9b, op_addrx = 0xa1,
  op_constx = 0xa2, op_gnu_tls_address = 0xe0,  // the last one in DWARF 4 and clang's DWARF 5
};
// clang-format on

/// Little-endian numbers within bounds. After a step beyond the end everything is zero, and good() says so.
class reader {
 public:
  reader() = default;
  explicit reader(bytes all, std::size_t at = 0) : all_(all), at_(at) {
    if (at > all.size()) fail();
  }

  bool        good() const { return good_; }
  bool        more() const { return good_ && at_ < all_.size(); }
  std::size_t at() const { return at_; }

  std::uint64_t number(std::size_t n) {
    bytes const   b = take(n);
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < b.size() && i < 8; ++i) v |= std::uint64_t{b[i]} << (8 * i);
    return v;
  }
  std::uint64_t uleb() {
    std::uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
      auto const b = number(1);
      if (shift < 64) v |= (b & 0x7f) << shift;
      if (!(b & 0x80)) return v;
    }
  }
  std::int64_t sleb() {
    std::uint64_t v = 0;
    for (unsigned shift = 0;;) {
      auto const b = number(1);
      if (shift < 64) v |= (b & 0x7f) << shift;
      shift += 7;
      if (b & 0x80) continue;
      if ((b & 0x40) && shift < 64) v |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(v);
    }
  }
  bytes take(std::uint64_t n) {
    if (!good_ || n > all_.size() - at_) {
      fail();
      return {};
    }
    bytes const b = all_.subspan(at_, static_cast<std::size_t>(n));
    at_ += static_cast<std::size_t>(n);
    return b;
  }
  std::string_view text() {
    if (!more()) {
      fail();
      return {};
    }
    auto const* const begin = all_.data() + at_;
    auto const* const end   = static_cast<unsigned char const*>(std::memchr(begin, 0, all_.size() - at_));
    if (!end) {
      fail();
      return {};
    }
    at_ += static_cast<std::size_t>(end - begin) + 1;
    return {reinterpret_cast<char const*>(begin), static_cast<std::size_t>(end - begin)};
  }

 private:
  void fail() { good_ = false, at_ = all_.size(); }

  bytes       all_;
  std::size_t at_   = 0;
  bool        good_ = true;
};

/// The sections of an ELF file that are of use here; empty where there are none.
struct sections {
  bytes info, abbreviations, strings, line_strings, string_offsets, addresses, symbols, symbol_names;

  sections() = default;
  explicit sections(bytes file) {
    Elf64_Ehdr h;
    if (!copy(file, 0, h) || std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
        h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_shentsize != sizeof(Elf64_Shdr))
      return;
    Elf64_Shdr names;
    if (!copy(file, h.e_shoff + std::uint64_t{h.e_shstrndx} * sizeof names, names)) return;
    bytes const titles = part(file, names.sh_offset, names.sh_size);
    for (unsigned i = 0; i < h.e_shnum; ++i) {
      Elf64_Shdr s;
      if (!copy(file, h.e_shoff + std::uint64_t{i} * sizeof s, s)) return;
      if ((s.sh_flags & SHF_COMPRESSED) || s.sh_type == SHT_NOBITS) continue;
      auto const                                name  = reader(titles, s.sh_name).text();
      std::pair<std::string_view, bytes*> const all[] = {
          {".debug_info", &info},      {".debug_abbrev", &abbreviations},
          {".debug_str", &strings},    {".debug_line_str", &line_strings},
          {".debug_addr", &addresses}, {".debug_str_offsets", &string_offsets},
          {".symtab", &symbols},       {".strtab", &symbol_names},
      };
      for (auto const& [title, to] : all)
        if (name == title) *to = part(file, s.sh_offset, s.sh_size);
    }
  }

 private:
  static bytes part(bytes file, std::uint64_t offset, std::uint64_t size) {
    if (offset > file.size() || size > file.size() - offset) return {};
    return file.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  }
  template <class T>
  static bool copy(bytes file, std::uint64_t offset, T& to) {
    bytes const b = part(file, offset, sizeof to);
    if (b.size() != sizeof to) return false;
    std::memcpy(&to, b.data(), sizeof to);
    return true;
  }
};

}  // namespace dwarf

/// A variable as the symbol table knows it.
struct data_symbol {
  std::uint64_t offset = 0, bytes = 0;  // in the program's thread-local block, or its address
  std::string   name;                   // mangled
};

class debug_info {
 public:
  /// A type by the place of its description; 0 is none.
  using type = std::size_t;

  struct variable {
    std::string   name, function;  // function is empty for one of namespace scope
    type          of    = 0;
    std::uint64_t begin = 0;
    std::uint64_t bytes = 0;
    explicit      operator bool() const { return of != 0; }
  };
  /// Bytes as the program would name them.
  struct named {
    std::string path;  // ".a[1][37][8]"; members of a union that overlap are joined by " | "
    std::string type;  // "float"; empty where the bytes are of several types
  };

  debug_info()                             = default;
  debug_info(debug_info const&)            = delete;
  debug_info& operator=(debug_info const&) = delete;
  /// Of an ELF file in memory, which must stay there.
  explicit debug_info(dwarf::bytes file) : s_(file) {}

  /// The running program's.
  static debug_info& of_this_program() {
    static auto* const i = new debug_info(map("/proc/self/exe"));
    return *i;
  }

  /// The file's bytes, for as long as the program runs.
  static dwarf::bytes map(char const* path) {
    int const   file = ::open(path, O_RDONLY | O_CLOEXEC);
    struct stat about {};
    void*       m = MAP_FAILED;
    if (file >= 0 && fstat(file, &about) == 0 && about.st_size > 0)
      m = mmap(nullptr, static_cast<std::size_t>(about.st_size), PROT_READ, MAP_PRIVATE, file, 0);
    if (file >= 0) close(file);
    if (m == MAP_FAILED) return {};
    return {static_cast<unsigned char const*>(m), static_cast<std::size_t>(about.st_size)};
  }

  /// The variable that begins at this address, counted as the linker does.
  variable at_address(std::uint64_t address) { return look_up(indexed().by_address, address); }
  /// The thread-local variable that begins at this offset of the program's thread-local block.
  variable thread_local_at(std::uint64_t offset) { return look_up(indexed().by_thread_offset, offset); }

  /// What a pointer or array type points to or consists of; 0 for others.
  type target(type t) {
    auto const d = described(stripped(t).first);
    return d.tag == dwarf::tag_pointer || d.tag == dwarf::tag_array ? reference(d, dwarf::at_type) : 0;
  }

  std::uint64_t size_of(type t) { return size_of(t, 0); }

  std::string name_of(type t) { return name_of(t, 0); }

  /// The bytes [offset, offset + bytes) of an object of this type and name. One that is covered whole is not looked into.
  named name(type t, std::uint64_t offset, std::uint64_t bytes, std::string const& object = {}) {
    search found;
    find(t, offset, bytes ? bytes : 1, object, found, 0);
    if (found.spans) {
      search first, last;
      find(t, offset, 1, object, first, 0);
      find(t, offset + bytes - 1, 1, object, last, 0);
      if (first.names.empty() || last.names.empty()) return {};
      return {first.names[0].path + " to " + last.names[0].path, ""};
    }
    named all;
    for (auto const& n : found.names) {
      all.path += (all.path.empty() ? "" : " | ") + n.path;
      all.type = &n == found.names.data() || all.type == n.type ? n.type : "";
    }
    if (found.more) all.path += " | ...";
    return all;
  }

  /// The program's thread-local variables, from its symbol table, by offset; none where local symbols were stripped.
  std::vector<data_symbol> thread_locals() const {
    bool local = false;
    auto all   = symbols(STT_TLS, local);
    if (!local) all.clear();
    return all;
  }

  /// The program's global variables, at addresses as the linker counts them; none where it was stripped.
  std::vector<data_symbol> globals() const {
    bool local = false;
    return symbols(STT_OBJECT, local);
  }

  /// Whether a file of this name was compiled into the program; true where that cannot be told.
  bool mentions_file(std::string_view name) const {
    if (s_.info.empty() || name.empty()) return true;
    for (auto const b : {s_.line_strings, s_.strings})
      if (!b.empty() && memmem(b.data(), b.size(), name.data(), name.size())) return true;
    return s_.line_strings.empty();  // DWARF 4 keeps them in the line tables
  }

 private:
  /// Defined symbols of a type, in the order of their addresses or offsets; `local`: local ones are among all that there are.
  std::vector<data_symbol> symbols(unsigned kind, bool& local) const {
    std::vector<data_symbol> all;
    for (dwarf::reader r(s_.symbols); r.more();) {
      auto const b = r.take(sizeof(Elf64_Sym));
      Elf64_Sym  one{};
      if (b.size() != sizeof one) break;
      std::memcpy(&one, b.data(), sizeof one);
      local |= ELF64_ST_TYPE(one.st_info) == STT_FILE;
      if (ELF64_ST_TYPE(one.st_info) == kind && one.st_shndx != SHN_UNDEF)
        all.push_back({one.st_value, one.st_size, std::string(dwarf::reader(s_.symbol_names, one.st_name).text())});
    }
    std::sort(all.begin(), all.end(), [](auto const& a, auto const& b) { return a.offset < b.offset; });
    return all;
  }

  static constexpr int         deepest      = 48;
  static constexpr std::size_t most_members = 4096, most_names = 3;

  struct specification {
    unsigned     attribute, form;
    std::int64_t constant;
  };
  struct abbreviation {
    unsigned                   tag      = 0;
    bool                       children = false;
    std::vector<specification> all;
  };
  using abbreviations = std::vector<abbreviation>;
  struct unit {
    std::size_t          begin = 0, first = 0, end = 0;
    unsigned             version = 0, offset_bytes = 4, address_bytes = 8;
    std::uint64_t        signature = 0, string_offsets = 8, addresses = 8;
    std::size_t          signed_type = 0;
    abbreviations const* codes       = nullptr;
  };
  struct value {
    unsigned      form   = 0;  // 0: there is none
    std::uint64_t number = 0;
    dwarf::bytes  block;
  };
  struct die {
    unsigned            tag      = 0;  // 0 ends a list of children
    bool                children = false;
    std::size_t         at = 0, next = 0;
    unit const*         of   = nullptr;
    abbreviation const* code = nullptr;
  };
  struct entry {
    std::size_t at, function;
  };
  struct index {
    bool                           made = false;
    std::vector<unit>              units;
    std::map<std::uint64_t, entry> by_address, by_thread_offset;
  };
  struct search {
    std::vector<named> names;
    bool               spans = false, more = false;
    void               add(std::string path, std::string of) {
                    if (names.size() < most_names) names.push_back({std::move(path), std::move(of)});
      else more = true;
    }
  };
  struct member {
    std::string   name;
    type          of;
    std::uint64_t begin, bytes;
  };

  // ---- units, entries, attributes -----------------------------------------------------------------------------------

  abbreviations const* codes_at(std::uint64_t offset) {
    auto const [place, fresh] = codes_.try_emplace(offset);
    if (!fresh) return &place->second;
    auto&         all = place->second;
    dwarf::reader r(s_.abbreviations,
                    static_cast<std::size_t>(std::min<std::uint64_t>(offset, s_.abbreviations.size())));
    while (r.more()) {
      auto const code = r.uleb();
      if (code == 0 || code > 1u << 16) break;
      abbreviation a;
      a.tag      = static_cast<unsigned>(r.uleb());
      a.children = r.number(1) != 0;
      while (r.good()) {
        auto const   attribute = static_cast<unsigned>(r.uleb()), form = static_cast<unsigned>(r.uleb());
        std::int64_t constant = 0;
        if (form == dwarf::form_implicit_const) constant = r.sleb();
        if (attribute == 0 && form == 0) break;
        a.all.push_back({attribute, form, constant});
      }
      if (all.size() <= code) all.resize(static_cast<std::size_t>(code) + 1);
      all[static_cast<std::size_t>(code)] = std::move(a);
    }
    return &all;
  }

  die entry_at(unit const& u, std::size_t at) const {
    dwarf::reader r(s_.info.first(u.end), at);
    auto const    code = r.uleb();
    die           d;
    d.at = at, d.next = r.at(), d.of = &u;
    if (code == 0 || code >= u.codes->size()) return d;
    d.code     = &(*u.codes)[static_cast<std::size_t>(code)];
    d.tag      = d.code->tag;
    d.children = d.code->children;
    return d;
  }
  die described(std::size_t at) {
    auto const& all = indexed().units;
    auto u = std::upper_bound(all.begin(), all.end(), at, [](std::size_t a, unit const& x) { return a < x.begin; });
    if (at == 0 || u == all.begin()) return {};
    --u;
    return at < u->first || at >= u->end ? die{} : entry_at(*u, at);
  }

  /// Calls with(attribute, value) for each; returns where the entry ends, 0 where it cannot be read.
  template <class With>
  std::size_t each_attribute(die const& d, With const& with) const {
    if (!d.code) return d.next;
    unit const&   u = *d.of;
    dwarf::reader r(s_.info.first(u.end), d.next);
    for (auto const& a : d.code->all) {
      value v;
      v.form = a.form;
      if (v.form == dwarf::form_indirect) v.form = static_cast<unsigned>(r.uleb());
      if (!read(v, a.constant, u, r)) return 0;
      with(a.attribute, v);
    }
    return r.good() ? r.at() : 0;
  }

  static bool read(value& v, std::int64_t constant, unit const& u, dwarf::reader& r) {
    using namespace dwarf;
    // clang-format off
    switch (v.form) {
      case form_data1: case form_ref1: case form_flag: case form_strx1: case form_addrx1: v.number = r.number(1); break;
      case form_data2: case form_ref2: case form_strx2: case form_addrx2: v.number = r.number(2); break;
      case form_strx3: case form_addrx3: v.number = r.number(3); break;
      case form_data4: case form_ref4: case form_ref_sup4: case form_strx4: case form_addrx4: v.number = r.number(4); break;
      case form_data8: case form_ref8: case form_ref_sup8: case form_ref_sig8: v.number = r.number(8); break;
      case form_data16: r.take(16); break;
      case form_addr: v.number = r.number(u.address_bytes); break;
      case form_ref_addr: v.number = r.number(u.version <= 2 ? u.address_bytes : u.offset_bytes); break;
      case form_strp: case form_line_strp: case form_strp_sup: case form_sec_offset: case form_gnu_ref_alt:
      case form_gnu_strp_alt: v.number = r.number(u.offset_bytes); break;
      case form_sdata: v.number = static_cast<std::uint64_t>(r.sleb()); break;
      case form_udata: case form_ref_udata: case form_strx: case form_addrx: case form_loclistx: case form_rnglistx:
        v.number = r.uleb(); break;
      case form_string: {
        auto const t = r.text();
        v.block      = {reinterpret_cast<unsigned char const*>(t.data()), t.size()};
        break;
      }
      case form_block1: v.block = r.take(r.number(1)); break;
      case form_block2: v.block = r.take(r.number(2)); break;
      case form_block4: v.block = r.take(r.number(4)); break;
      case form_block: case form_exprloc: v.block = r.take(r.uleb()); break;
      case form_flag_present: v.number = 1; break;
      case form_implicit_const: v.number = static_cast<std::uint64_t>(constant); break;
      default: return false;
    }
    // clang-format on
    return r.good();
  }

  value attribute(die const& d, unsigned which) const {
    value found;
    each_attribute(d, [&](unsigned a, value const& v) {
      if (a == which) found = v;
    });
    return found;
  }

  std::size_t reference(die const& d, unsigned which) {
    value const v = attribute(d, which);
    switch (v.form) {
      case 0: return 0;
      case dwarf::form_ref1:
      case dwarf::form_ref2:
      case dwarf::form_ref4:
      case dwarf::form_ref8:
      case dwarf::form_ref_udata: return v.number < d.of->end - d.of->begin ? d.of->begin + v.number : 0;
      case dwarf::form_ref_addr: return static_cast<std::size_t>(v.number);
      case dwarf::form_ref_sig8:
        for (auto const& u : indexed().units)
          if (u.signature == v.number && u.signed_type) return u.signed_type;
        return 0;
      default: return 0;
    }
  }

  std::string_view text(die const& d, unsigned which) const {
    value const v = attribute(d, which);
    auto const  s = [&](dwarf::bytes all, std::uint64_t at) {
      return at < all.size() ? dwarf::reader(all, static_cast<std::size_t>(at)).text() : std::string_view{};
    };
    switch (v.form) {
      case dwarf::form_string: return {reinterpret_cast<char const*>(v.block.data()), v.block.size()};
      case dwarf::form_strp: return s(s_.strings, v.number);
      case dwarf::form_line_strp: return s(s_.line_strings, v.number);
      case dwarf::form_strx:
      case dwarf::form_strx1:
      case dwarf::form_strx2:
      case dwarf::form_strx3:
      case dwarf::form_strx4:
        return s(s_.strings, from_table(s_.string_offsets, d.of->string_offsets, v.number, d.of->offset_bytes));
      default: return {};
    }
  }
  static std::uint64_t from_table(dwarf::bytes table, std::uint64_t base, std::uint64_t i, unsigned width) {
    if (base > table.size() || i > table.size() / width) return ~std::uint64_t{0};
    dwarf::reader       r(table, static_cast<std::size_t>(std::min<std::uint64_t>(base + i * width, table.size())));
    std::uint64_t const v = r.number(width);
    return r.good() ? v : ~std::uint64_t{0};
  }

  /// An attribute of this entry, or of the one that it completes.
  template <class Get>
  auto inherited(die d, Get const& get) -> decltype(get(d)) {
    for (int i = 0; i < 4 && d.code; ++i) {
      if (auto const v = get(d); v != decltype(get(d)){}) return v;
      std::size_t next = reference(d, dwarf::at_specification);
      if (!next) next = reference(d, dwarf::at_abstract_origin);
      d = described(next);
    }
    return {};
  }

  // ---- the index ----------------------------------------------------------------------------------------------------

  index& indexed() {
    if (index_.made) return index_;
    index_.made = true;
    read_units();
    for (auto const& u : index_.units) read_variables(u);
    return index_;
  }

  void read_units() {
    for (std::size_t at = 0; at < s_.info.size();) {
      unit          u;
      dwarf::reader r(s_.info, at);
      std::uint64_t length = r.number(4);
      if (length == 0xffffffffu) u.offset_bytes = 8, length = r.number(8);
      if (!r.good() || length > s_.info.size() - r.at() || length < 7) return;
      u.begin   = at;
      u.end     = r.at() + static_cast<std::size_t>(length);
      at        = u.end;
      u.version = static_cast<unsigned>(r.number(2));
      if (u.version < 2 || u.version > 5) continue;
      std::uint64_t codes = 0, signed_type = 0;
      if (u.version == 5) {
        auto const what = r.number(1);
        u.address_bytes = static_cast<unsigned>(r.number(1));
        codes           = r.number(u.offset_bytes);
        if (what == 4 || what == 5) r.take(8);  // skeleton, split
        if (what == 2 || what == 6) u.signature = r.number(8), signed_type = r.number(u.offset_bytes);
      } else {
        codes           = r.number(u.offset_bytes);
        u.address_bytes = static_cast<unsigned>(r.number(1));
      }
      if (!r.good() || r.at() >= u.end || u.address_bytes > 8) continue;
      u.first = r.at();
      if (signed_type && signed_type < u.end - u.begin) u.signed_type = u.begin + static_cast<std::size_t>(signed_type);
      u.codes              = codes_at(codes);
      std::uint64_t string = 8, address = 8;
      each_attribute(entry_at(u, u.first), [&](unsigned a, value const& v) {
        if (a == dwarf::at_str_offsets_base) string = v.number;
        if (a == dwarf::at_addr_base) address = v.number;
      });
      u.string_offsets = string, u.addresses = address;
      index_.units.push_back(u);
    }
  }

  void read_variables(unit const& u) {
    struct scope {
      std::size_t depth, function;
    };
    std::vector<scope> functions{{0, 0}};
    std::size_t        depth = 0;
    for (std::size_t at = u.first; at < u.end;) {
      die const d = entry_at(u, at);
      if (!d.code) {
        if (d.next != at + 1 || depth == 0 || --depth == 0) return;  // the end, or not to be read
        at = d.next;
        continue;
      }
      dwarf::bytes      location;
      std::size_t const next = each_attribute(d, [&](unsigned a, value const& v) {
        if (a == dwarf::at_location && d.tag == dwarf::tag_variable) location = v.block;
      });
      if (next == 0 || next <= at) return;
      while (functions.back().depth > depth) functions.pop_back();
      if (!location.empty()) note(u, at, location, functions.back().function);
      if (d.children) {
        ++depth;
        if (d.tag == dwarf::tag_subprogram) functions.push_back({depth, at});
      } else if (depth == 0) {
        return;
      }
      at = next;
    }
  }

  void note(unit const& u, std::size_t at, dwarf::bytes location, std::size_t function) {
    dwarf::reader r(location);
    std::uint64_t where = 0;
    switch (r.number(1)) {
      case dwarf::op_addr:
      case dwarf::op_const8u: where = r.number(8); break;
      case dwarf::op_const4u: where = r.number(4); break;
      case dwarf::op_addrx:
      case dwarf::op_constx: where = from_table(s_.addresses, u.addresses, r.uleb(), u.address_bytes); break;
      default: return;
    }
    if (!r.good()) return;
    auto const follows = r.more() ? r.number(1) : 0;
    if (follows == dwarf::op_tls_address || follows == dwarf::op_gnu_tls_address)
      index_.by_thread_offset.try_emplace(where, entry{at, function});
    else if (follows == 0 && where) index_.by_address.try_emplace(where, entry{at, function});
  }

  variable look_up(std::map<std::uint64_t, entry> const& all, std::uint64_t where) {
    auto const found = all.find(where);
    if (found == all.end()) return {};
    die const d = described(found->second.at);
    variable  v;
    v.begin    = where;
    v.name     = inherited(d, [&](die const& x) { return text(x, dwarf::at_name); });
    v.of       = inherited(d, [&](die const& x) { return reference(x, dwarf::at_type); });
    v.function = inherited(described(found->second.function), [&](die const& x) { return text(x, dwarf::at_name); });
    v.bytes    = v.of ? size_of(v.of) : 0;
    return v;
  }

  // ---- types --------------------------------------------------------------------------------------------------------

  /// Without typedefs and qualifiers, and the typedef's name that the program used.
  std::pair<type, std::string> stripped(type t) {
    std::string name;
    for (int i = 0; i < deepest; ++i) {
      die const d = described(t);
      switch (d.tag) {
        case dwarf::tag_typedef:
          if (name.empty()) {
            name = text(d, dwarf::at_name);
            if (name.starts_with('_') || name == "type" || name == "value_type") name.clear();
          }
          [[fallthrough]];
        case dwarf::tag_const:
        case dwarf::tag_volatile:
        case dwarf::tag_restrict:
        case dwarf::tag_atomic: t = reference(d, dwarf::at_type); break;
        default:
          if (auto const whole = reference(d, dwarf::at_signature)) t = whole;  // of a type unit of its own
          else return {t, name};
      }
    }
    return {0, ""};
  }

  std::vector<die> children(die const& parent) {
    std::vector<die> all;
    if (!parent.code || !parent.children) return all;
    std::size_t depth = 1, at = each_attribute(parent, [](unsigned, value const&) {});
    while (at && at < parent.of->end && all.size() < most_members) {
      die const d = entry_at(*parent.of, at);
      if (!d.code) {
        if (d.next != at + 1 || --depth == 0) break;
        at = d.next;
        continue;
      }
      if (depth == 1) all.push_back(d);
      depth += d.children;
      at = each_attribute(d, [](unsigned, value const&) {});
    }
    return all;
  }

  /// Extents of an array, outermost first; 0 where it has none.
  std::vector<std::uint64_t> extents(die const& d) {
    std::vector<std::uint64_t> all;
    for (auto const& c : children(d)) {
      if (c.tag != dwarf::tag_subrange) continue;
      std::uint64_t n = 0;
      if (auto const v = attribute(c, dwarf::at_count); v.form && v.block.empty()) n = v.number;
      else if (auto const u = attribute(c, dwarf::at_upper_bound); u.form && u.block.empty()) n = u.number + 1;
      all.push_back(n);
    }
    return all;
  }

  std::uint64_t size_of(type t, int depth) {
    die const d = described(stripped(t).first);
    if (depth > deepest || !d.code) return 0;
    if (auto const v = attribute(d, dwarf::at_byte_size); v.form) return v.number;
    if (d.tag == dwarf::tag_pointer) return d.of->address_bytes;
    if (d.tag != dwarf::tag_array) return 0;
    std::uint64_t n = size_of(reference(d, dwarf::at_type), depth + 1);
    for (auto const e : extents(d)) n *= e;
    return n;
  }

  std::string name_of(type t, int depth) {
    auto const [bare, used] = stripped(t);
    die const d             = described(bare);
    if (depth > 8 || !d.code) return "";
    if (d.tag == dwarf::tag_pointer) {
      std::string const to = name_of(reference(d, dwarf::at_type), depth + 1);
      return (to.empty() ? "void" : to) + "*";
    }
    if (d.tag == dwarf::tag_array) {
      std::string n = name_of(reference(d, dwarf::at_type), depth + 1);
      for (auto const e : extents(d)) n += "[" + (e ? std::to_string(e) : "") + "]";
      return n;
    }
    return used.empty() ? std::string(text(d, dwarf::at_name)) : used;
  }

  std::vector<member> members(die const& d) {
    std::vector<member> all;
    for (auto const& c : children(d)) {
      bool const base = c.tag == dwarf::tag_inheritance;
      if (!base && (c.tag != dwarf::tag_member || attribute(c, dwarf::at_external).number)) continue;
      member m{base ? std::string() : std::string(text(c, dwarf::at_name)), reference(c, dwarf::at_type), 0, 0};
      m.bytes = size_of(m.of);
      if (auto const v = attribute(c, dwarf::at_member_location); v.form) {
        m.begin = v.number;
        if (!v.block.empty()) {
          dwarf::reader r(v.block);
          m.begin = r.number(1) == dwarf::op_plus_uconst ? r.uleb() : 0;
        }
      }
      if (auto const bits = attribute(c, dwarf::at_bit_size); bits.form) {
        std::uint64_t first = 8 * m.begin;
        if (auto const v = attribute(c, dwarf::at_data_bit_offset); v.form) {
          first = v.number;
        } else if (auto const from_top = attribute(c, dwarf::at_bit_offset); from_top.form) {
          auto const    unit_size = attribute(c, dwarf::at_byte_size);
          std::uint64_t unit_bits = 8 * (unit_size.form ? unit_size.number : m.bytes);
          first += unit_bits - from_top.number - bits.number;
        }
        m.begin = first / 8;
        m.bytes = (first % 8 + bits.number + 7) / 8;
      }
      all.push_back(std::move(m));
    }
    return all;
  }

  static bool is_record(unsigned tag) {
    return tag == dwarf::tag_structure || tag == dwarf::tag_class || tag == dwarf::tag_union;
  }

  void find(type t, std::uint64_t offset, std::uint64_t bytes, std::string const& path, search& found, int depth) {
    die const           d    = described(stripped(t).first);
    std::uint64_t const size = size_of(t);
    if (depth > deepest || !d.code) return;
    bool const whole = offset == 0 && bytes >= size;
    if (d.tag == dwarf::tag_array && !(whole && size)) return find_element(d, offset, bytes, path, found, depth);
    bool const nameless = text(d, dwarf::at_name).empty();
    if (!is_record(d.tag) || (whole && !nameless)) return found.add(path, name_of(t));
    auto const all = members(d);
    if (whole && !all.empty()) {  // of an anonymous struct
      std::string names;
      for (auto const& m : all) names += (names.empty() ? "" : ", ") + m.name;
      return found.add(path + ".{" + names + "}", "");
    }
    if (all.empty()) return found.add(path, name_of(t));
    // A number in a struct of its own is the number.
    if (all.size() == 1 && all[0].bytes == size) {
      auto const inner = described(stripped(all[0].of).first).tag;
      if (!is_record(inner) && inner != dwarf::tag_array) return found.add(path, name_of(t));
    }
    std::vector<member const*> touched;
    member const*              before = nullptr;
    bool                       spans  = false;
    for (auto const& m : all) {
      if (m.begin < offset + bytes && offset < m.begin + m.bytes) {
        for (auto const* other : touched)
          spans |= m.begin >= other->begin + other->bytes || other->begin >= m.begin + m.bytes;
        touched.push_back(&m);
      } else if (m.begin + m.bytes <= offset && (!before || m.begin > before->begin)) {
        before = &m;
      }
    }
    if (touched.empty()) {
      bool const after = before && !before->name.empty();
      return found.add(after ? "padding after " + path + "." + before->name : "padding in " + path, "");
    }
    found.spans |= spans;
    for (auto const* m : touched) {
      std::uint64_t const from = std::max(offset, m->begin), to = std::min(offset + bytes, m->begin + m->bytes);
      bool const          silent = m->name.empty() || m->name.starts_with("_M_") || m->name.starts_with("__");
      find(m->of, from - m->begin, to - from, silent ? path : path + "." + m->name, found, depth + 1);
      if (found.more) return;
    }
  }

  void find_element(die const& d, std::uint64_t offset, std::uint64_t bytes, std::string const& path, search& found,
                    int depth) {
    type const          element = reference(d, dwarf::at_type);
    std::uint64_t const size    = size_of(element);
    auto                dims    = extents(d);
    if (size == 0 || dims.empty() || dims.size() > 16) return found.add(path, "");
    std::uint64_t const first = offset / size, last = (offset + bytes - 1) / size, row = dims.back();
    std::string         indices;
    std::uint64_t       rest = first;
    for (std::size_t i = dims.size(); i-- > 1;) {
      std::uint64_t const n = dims[i] ? dims[i] : 1;
      if (i + 1 < dims.size()) indices = "[" + std::to_string(rest % n) + "]" + indices;
      rest /= n;
    }
    if (dims.size() > 1) indices = "[" + std::to_string(rest) + "]" + indices;
    std::uint64_t const column = dims.size() > 1 && row ? first % row : first;
    indices                    = path + indices + "[" + std::to_string(column);
    if (first == last) return find(element, offset % size, bytes, indices + "]", found, depth + 1);
    if (dims.size() > 1 && row && first / row != last / row) {
      found.spans = true;
      return;
    }
    found.add(indices + ".." + std::to_string(column + last - first) + "]", name_of(element));
  }

  dwarf::sections                        s_;
  std::map<std::uint64_t, abbreviations> codes_;
  index                                  index_;
};

}  // namespace tenon::simt::checked
