//  The cells of the attention benchmark and their goals.
#include "cell.hpp"

#include <random>

namespace {

using bench::call_kind, bench::cell, bench::cell_group, bench::goal, bench::index_t, bench::aim;

std::vector<index_t> same(index_t count, index_t value) {
  return std::vector<index_t>(static_cast<std::size_t>(count), value);
}

/// "4k", "96"
std::string short_of(index_t n) { return n % 1024 == 0 ? std::to_string(n / 1024) + "k" : std::to_string(n); }

/// `requests` requests of one new token and `keys` keys.
cell decode(std::string const& name, index_t requests, index_t heads, index_t kv_heads, index_t keys,
            index_t head_dim = 128) {
  cell c;
  c.name = name, c.heads = heads, c.kv_heads = kv_heads, c.head_dim = head_dim;
  c.queries = same(requests, 1), c.keys = same(requests, keys);
  return c;
}
/// `requests` whole prompts, keys in a row.
cell prefill(std::string const& name, index_t requests, index_t heads, index_t kv_heads, index_t length,
             index_t head_dim, bool causal) {
  cell c    = decode(name, requests, heads, kv_heads, length, head_dim);
  c.queries = c.keys, c.page = 0, c.causal = causal, c.compute = true;
  return c;
}
cell with(cell c, std::string const& name, std::string const& cache, std::string const& beside,
          std::vector<goal> goals = {}) {
  c.name = name, c.cache = cache, c.beside = beside, c.goals = std::move(goals), c.rival = false;
  return c;
}
cell in_pages(cell c, std::string const& name, index_t page, std::string const& beside, std::vector<goal> goals = {}) {
  c.name = name, c.page = page, c.beside = beside, c.goals = std::move(goals), c.rival = false;
  return c;
}
/// The same call with every block's keys in one piece.
cell unsplit(cell c, std::string const& beside) {
  c.name = "unsplit", c.how = call_kind::unsplit, c.beside = beside, c.goals.clear(), c.rival = false;
  return c;
}

/// TFLOP/s that are asked for at 1k, 2k, 4k, 8k and 16k.
struct prefill_row {
  index_t head_dim;
  bool    causal;
  double  must[5], best[5];
  double  cudnn, cudnn_best;  // times as quick as cuDNN
};
constexpr prefill_row prefill_rows[] = {
    {128, true, {420, 480, 580, 630, 660}, {450, 530, 620, 665, 710}, 0.97, 1.05},
    {128, false, {560, 620, 655, 675, 685}, {590, 650, 690, 710, 725}, 0.97, 1.05},
    {64, true, {270, 360, 410, 440, 455}, {300, 400, 450, 485, 510}, 1.1, 1.25},
    {64, false, {380, 440, 460, 480, 480}, {400, 480, 500, 540, 540}, 1.1, 1.25},
    {256, true, {410, 520, 580, 610, 625}, {450, 560, 630, 650, 690}, 1.2, 1.25},
    {256, false, {600, 660, 690, 700, 710}, {650, 715, 740, 755, 770}, 1.2, 1.25},
};
constexpr index_t prefill_lengths[] = {1024, 2048, 4096, 8192, 16384};

void add_prefill(std::vector<cell_group>& groups) {
  for (auto const& row : prefill_rows)
    for (int i = 0; i < 5; ++i) {
      index_t const     length = prefill_lengths[i], heads = 2048 / row.head_dim;
      std::string const title =
          "prefill d" + std::to_string(row.head_dim) + (row.causal ? " causal " : " full ") + short_of(length);
      cell bf16        = prefill("bf16", 16384 / length, heads, heads, length, row.head_dim, row.causal);
      bf16.goals       = {{aim::least_tflops, row.must[i], row.best[i]}, {aim::times_cudnn, row.cudnn, row.cudnn_best}};
      bf16.rival       = true;
      cell f16         = with(bf16, "f16", "f16", "bf16");
      f16.rival        = row.head_dim == 128;
      bool const first = row.head_dim == 128 && length >= 4096;
      groups.push_back({title, first ? 0 : 1, {bf16, f16}});
    }
  {  // grouped heads of a large model, one prompt
    for (index_t const length : {index_t{4096}, index_t{16384}}) {
      cell bf16  = prefill("bf16", 1, 64, 8, length, 128, true);
      bf16.rival = true;
      bf16.goals = {{aim::times_cudnn, 0.97, 1.05}};
      groups.push_back({"prefill 64/8 causal " + short_of(length), 0, {bf16}});
    }
  }
  {  // what pages, log-sum-exps, caps and windows cost
    cell const dense = prefill("in a row", 2, 32, 8, 8192, 128, true);
    cell       lse   = with(dense, "with lse", "bf16", "in a row", {{aim::most_time, 1.01, 1.0}});
    cell       cap   = with(dense, "soft cap 50", "bf16", "in a row", {{aim::most_time, 1.06, 1.03}});
    lse.lse = true, cap.cap = 50;
    groups.push_back({"prefill variants 8k",
                      0,
                      {dense, in_pages(dense, "pages of 16", 16, "in a row", {{aim::most_time, 1.05, 1.01}}),
                       in_pages(dense, "pages of 64", 64, "in a row", {{aim::most_time, 1.03, 1.01}}),
                       in_pages(dense, "pages of 256", 256, "in a row", {{aim::most_time, 1.03, 1.01}}), lse, cap}});
    for (index_t const head_dim : {index_t{64}, index_t{128}}) {
      cell window   = prefill("window 1024", 1, 2048 / head_dim, 2048 / head_dim, 16384, head_dim, true);
      window.window = 1024, window.rival = true;
      window.goals = {{aim::least_tflops, 400, 0}};
      groups.push_back({"prefill d" + std::to_string(head_dim) + " window 16k", 1, {window}});
    }
  }
  {  // 512 new tokens behind 32k
    cell chunk    = decode("bf16", 1, 64, 8, 32768 + 512);
    chunk.queries = {512}, chunk.compute = true, chunk.rival = true;
    chunk.goals = {{aim::least_tflops, 600, 0}};
    groups.push_back({"prefill chunk of 512 on 32k",
                      0,
                      {chunk, in_pages(chunk, "pages of 64", 64, "bf16", {{aim::most_time, 1.03, 1.01}}),
                       with(chunk, "fp8", "fp8", "bf16"), with(chunk, "int8", "int8", "bf16"),
                       with(chunk, "int4", "int4", "bf16"), unsplit(chunk, "bf16")}});
  }
  {  // lengths uniform in 1..8k beside the longest for all
    cell const   padded = prefill("padded", 8, 32, 8, 8192, 128, true);
    cell         ragged = with(padded, "ragged", "bf16", "padded", {{aim::least_rate, 0.95, 1.0}});
    std::mt19937 draw(5);
    for (auto& length : ragged.keys) length = 1 + static_cast<index_t>(draw() % 8192);
    ragged.queries = ragged.keys, ragged.page = 16;
    groups.push_back({"prefill lengths uniform to 8k", 1, {padded, ragged}});
  }
}

void add_decode(std::vector<cell_group>& groups) {
  {  // one request
    struct row {
      index_t keys;
      double  must, best;
    };
    for (row const r : {row{1024, 8, 6}, row{4096, 11, 8}, row{32768, 30, 24}, row{131072, 80, 68}}) {
      cell bf16  = decode("bf16", 1, 32, 4, r.keys);
      bf16.goals = {{aim::most_us, r.must, r.best}}, bf16.rival = true;
      groups.push_back({"decode B1 32/4 " + short_of(r.keys),
                        0,
                        {bf16, with(bf16, "fp8", "fp8", "bf16"), with(bf16, "int8", "int8", "bf16"),
                         with(bf16, "int4", "int4", "bf16"), unsplit(bf16, "bf16")}});
    }
  }
  auto const formats = [&](std::string const& title, int importance, cell bf16, std::vector<goal> goals, bool large) {
    bf16.goals = std::move(goals), bf16.rival = true;
    auto const quick = [&](double must, double best) {
      return large ? std::vector<goal>{{aim::times_as_quick, must, best}} : std::vector<goal>{};
    };
    groups.push_back(
        {title,
         importance,
         {bf16, with(bf16, "fp8", "fp8", "bf16", quick(1.75, 1.9)), with(bf16, "int8", "int8", "bf16", quick(1.7, 1.9)),
          with(bf16, "int4", "int4", "bf16", quick(2.4, 3.2)), with(bf16, "k16v8", "k16v8", "bf16")}});
  };
  formats("decode B32 32/8 4k", 0, decode("bf16", 32, 32, 8, 4096), {{aim::least_of_copy, 88, 95}}, true);
  for (index_t const requests : {index_t{64}, index_t{128}, index_t{256}})
    for (index_t const keys : {index_t{2048}, index_t{8192}})
      formats("decode B" + std::to_string(requests) + " 64/8 " + short_of(keys), requests == 64 && keys == 2048 ? 0 : 1,
              decode("bf16", requests, 64, 8, keys), {{aim::least_of_copy, 88, 95}}, true);
  {
    cell fp8  = with(decode("fp8", 128, 64, 8, 2048), "fp8", "fp8", "");
    fp8.goals = {{aim::least_of_copy, 82, 92}};
    groups.push_back({"decode B128 64/8 2k fp8", 0, {fp8}});
  }
  formats("decode MHA 32/32 B16 2k", 0, decode("bf16", 16, 32, 32, 2048), {{aim::least_of_copy, 85, 93}}, true);
  formats("decode d64 B32 32/8 4k", 1, decode("bf16", 32, 32, 8, 4096, 64), {}, true);
  formats("decode d256 B32 16/4 4k", 1, decode("bf16", 32, 16, 4, 4096, 256), {}, true);
  for (std::string const cache : {"bf16", "fp8", "int8", "int4"}) {  // heads that share a cached head
    std::vector<cell> cells;
    for (index_t const group : {8, 1, 4, 5, 6, 7, 16}) {
      cell c = with(decode("", 32, 8 * group, 8, 4096), "group " + std::to_string(group), cache,
                    group == 8 ? "" : "group 8");
      if (group > 4) c.goals = {{aim::most_time, 1.03, 1.01}};
      if (group == 8) c.goals.clear();
      cells.push_back(c);
    }
    groups.push_back({"decode groups " + cache, cache == "bf16" ? 0 : 1, cells});
  }
  for (std::string const cache : {"bf16", "fp8", "int4"}) {
    cell row = with(decode("", 32, 32, 8, 4096), "in a row", cache, "");
    row.page = 0;
    groups.push_back({"decode pages " + cache,
                      cache == "bf16" ? 0 : 1,
                      {row, in_pages(row, "pages of 64", 64, "in a row", {{aim::most_time, 1.03, 1.01}}),
                       in_pages(row, "pages of 16", 16, "in a row", {{aim::most_time, 1.03, 1.01}})}});
  }
  for (index_t const longest : {index_t{65536}, index_t{131072}}) {  // one long request among short ones
    cell ragged        = decode("ragged", 32, 32, 8, 4096);
    ragged.keys[7]     = longest;
    index_t const all  = longest + 31 * 4096;
    cell          even = decode("even", 32, 32, 8, all / 32);
    ragged.beside = "even", ragged.goals = {{aim::most_time, 1.15, 1.05}};
    cell fp8 = with(ragged, "ragged fp8", "fp8", "even fp8", {{aim::most_time, 1.15, 1.05}});
    groups.push_back({"decode ragged " + short_of(longest) + " + 31 x 4k",
                      0,
                      {even, ragged, unsplit(ragged, "ragged"), with(even, "even fp8", "fp8", ""), fp8}});
  }
  for (std::string const cache : {"bf16", "fp8", "int4"}) {  // several new tokens per request
    std::vector<cell> cells;
    for (index_t const queries : {1, 2, 4, 8}) {
      cell c    = with(decode("", 32, 32, 8, 4096), std::to_string(queries) + (queries == 1 ? " query" : " queries"),
                       cache, queries == 1 ? "" : "1 query");
      c.queries = same(32, queries);
      if (queries > 1) c.goals = {{aim::most_time, 1.1, 1.03}};
      cells.push_back(c);
    }
    groups.push_back({"decode queries " + cache, cache == "bf16" ? 0 : 1, cells});
  }
  {  // what partial states and their reduction cost: a split call beside one that needs no split
    cell lse = decode("with lse", 32, 32, 8, 4096);
    lse.lse = true, lse.beside = "bf16", lse.goals = {{aim::most_more_us, 3, 1}};
    cell const bf16    = decode("bf16", 32, 32, 8, 4096);
    cell       chunked = with(bf16, "chunks of 512", "bf16", "bf16");
    chunked.how        = call_kind::chunked;
    groups.push_back({"decode lse and split", 1, {bf16, lse, unsplit(bf16, "bf16"), chunked}});
    cell const full   = decode("bf16", 128, 32, 8, 2048);
    cell       window = decode("window 1024", 32, 32, 8, 8192);
    window.window     = 1024;
    groups.push_back({"decode full machine", 1, {full, unsplit(full, "bf16"), window}});
  }
  {  // 64 requests behind one prefix
    cell flat   = decode("flat", 64, 64, 8, 8192 + 256);
    flat.shared = 8192, flat.page = 64;
    cell cascaded = flat;
    cascaded.name = "cascade", cascaded.how = call_kind::cascaded, cascaded.beside = "flat";
    double const ideal = 64. * (8192 + 256) / (8192 + 64 * 256);
    cascaded.goals     = {{aim::times_as_quick, 8, 0.85 * ideal}};
    groups.push_back({"decode shared prefix 8k x 64", 0, {flat, cascaded}});
  }
}

void add_merge(std::vector<cell_group>& groups, index_t requests, index_t heads, index_t head_dim) {
  std::vector<cell> cells;
  for (index_t const parts : {2, 8, 32})
    for (std::string const type : {"f32", "bf16"}) {
      cell c = with(decode("", requests, heads, heads, 1, head_dim), std::to_string(parts) + " of " + type, type, "");
      c.how = call_kind::merged, c.parts = parts;
      cells.push_back(c);
    }
  groups.push_back({"merge of " + std::to_string(requests) + " x " + std::to_string(heads) + " rows", 1, cells});
}

void add_append(std::vector<cell_group>& groups) {
  for (index_t const tokens : {index_t{16384}, index_t{64}}) {
    cell c = decode("", tokens, 32, 8, 1);
    c.how  = call_kind::append;
    auto goals =
        tokens > 1000 ? std::vector<goal>{{aim::least_of_copy, 75, 88}} : std::vector<goal>{{aim::most_us, 4, 0}};
    std::vector<cell> cells;
    for (std::string const cache : {"bf16", "fp8", "int8", "int4"}) {
      cells.push_back(with(c, cache, cache, cache == "bf16" ? "" : "bf16", goals));
    }
    groups.push_back({"append of " + std::to_string(tokens) + " tokens", 1, cells});
  }
}

void add_host(std::vector<cell_group>& groups) {
  cell const bf16 = decode("bf16", 2, 8, 2, 512, 64);
  groups.push_back(
      {"decode B2 8/2 512",
       0,
       {bf16, with(bf16, "f16", "f16", "bf16"), with(bf16, "fp8", "fp8", "bf16"), with(bf16, "int8", "int8", "bf16"),
        with(bf16, "int4", "int4", "bf16"), with(bf16, "k16v8", "k16v8", "bf16")}});
  cell row = decode("in a row", 2, 8, 2, 512, 64);
  row.page = 0;
  groups.push_back(
      {"decode pages bf16",
       0,
       {row, in_pages(row, "pages of 16", 16, "in a row", {{aim::most_time, 1.1, 0}}), unsplit(row, "in a row")}});
  cell ragged    = decode("ragged", 4, 8, 2, 64, 64);
  ragged.keys[1] = 512, ragged.beside = "even";
  groups.push_back({"decode ragged 512 + 3 x 64", 0, {decode("even", 4, 8, 2, 176, 64), ragged}});
  cell const prompt = prefill("bf16", 1, 4, 2, 128, 64, true);
  cell       full = with(prompt, "full", "bf16", "bf16"), window = with(prompt, "window 32", "bf16", "bf16"),
       cap    = with(prompt, "soft cap 50", "bf16", "bf16");
  full.causal = false, window.window = 32, cap.cap = 50, cap.lse = true;
  groups.push_back({"prefill d64 causal 128", 1, {prompt, full, window, cap}});
  cell flat     = decode("flat", 4, 8, 2, 256 + 16, 64);
  flat.shared   = 256;
  cell cascaded = flat;
  cascaded.name = "cascade", cascaded.how = call_kind::cascaded, cascaded.beside = "flat";
  groups.push_back({"decode shared prefix 256 x 4", 1, {flat, cascaded}});
  cell append = decode("", 64, 8, 2, 1, 64);
  append.how  = call_kind::append;
  groups.push_back(
      {"append of 64 tokens", 1, {with(append, "bf16", "bf16", ""), with(append, "int8", "int8", "bf16")}});
}

}  // namespace

std::vector<bench::cell_group> bench::attention_cells(bool of_gpu) {
  std::vector<cell_group> groups;
  if (of_gpu) add_decode(groups), add_prefill(groups), add_append(groups), add_merge(groups, 64, 32, 128);
  else add_host(groups), add_merge(groups, 4, 8, 64);
  return groups;
}
