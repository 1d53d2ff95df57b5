#pragma once
//  A small Llama in plain loops, read from a llama2.c file: a real model for the tests of calibration, whose layers
//  stop at each linear input and let the test look at the rows and change the weights.
#include <tenon/core/tensor_view.hpp>
#include <tenon/precision/logits_error.hpp>

#include "../support/expect_status.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace test {

using tenon::index_t;

struct linear_layer {
  index_t            rows = 0, columns = 0;
  std::vector<float> w;  // (rows, columns)

  tenon::tensor_view<float, 2>       view() { return tenon::dense(w.data(), rows, columns); }
  tenon::tensor_view<float const, 2> view() const { return tenon::dense(w.data(), rows, columns); }
};

/// The four inputs of a layer's linear parts.
enum class linear_input { attention, output, mlp, down };

struct small_llama {
  struct layer {
    std::vector<float> attention_gain, mlp_gain;
    linear_layer       q, k, v, o, gate, up, down;
  };
  index_t            dim = 0, hidden = 0, heads = 0, kv_heads = 0, vocabulary = 0;
  std::vector<layer> layers;
  linear_layer       embedding;  // and head
  std::vector<float> final_gain;
};

/// llama2.c, version 0, tied head.
inline small_llama read_llama2c(std::filesystem::path const& path) {
  std::ifstream file(path, std::ios::binary);
  std::int32_t  header[7] = {};
  file.read(reinterpret_cast<char*>(header), sizeof header);
  small_llama m;
  m.dim = header[0], m.hidden = header[1], m.heads = header[3], m.kv_heads = header[4], m.vocabulary = header[5];
  m.layers.resize(static_cast<std::size_t>(header[2]));
  index_t const kv   = m.dim / m.heads * m.kv_heads;
  auto const    read = [&](std::vector<float>& v, index_t n) {
    v.resize(static_cast<std::size_t>(n));
    file.read(reinterpret_cast<char*>(v.data()), static_cast<std::streamsize>(v.size() * sizeof(float)));
  };
  auto const matrix = [&](linear_layer& l, index_t rows, index_t columns) {
    l.rows = rows, l.columns = columns;
    read(l.w, rows * columns);
  };
  matrix(m.embedding, m.vocabulary, m.dim);
  for (auto& l : m.layers) read(l.attention_gain, m.dim);
  for (auto& l : m.layers) matrix(l.q, m.dim, m.dim);
  for (auto& l : m.layers) matrix(l.k, kv, m.dim);
  for (auto& l : m.layers) matrix(l.v, kv, m.dim);
  for (auto& l : m.layers) matrix(l.o, m.dim, m.dim);
  for (auto& l : m.layers) read(l.mlp_gain, m.dim);
  for (auto& l : m.layers) matrix(l.gate, m.hidden, m.dim);
  for (auto& l : m.layers) matrix(l.down, m.dim, m.hidden);
  for (auto& l : m.layers) matrix(l.up, m.hidden, m.dim);
  read(m.final_gain, m.dim);
  return m;
}

/// The token ids of each text of a golden file: every "ids": [..] in it.
inline std::vector<std::vector<int>> read_ids(std::filesystem::path const& path) {
  std::ifstream                 file(path);
  std::string const             text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::vector<int>> all;
  for (std::size_t at = 0; (at = text.find("\"ids\": [", at)) != std::string::npos;) {
    at += 8;
    std::vector<int> ids;
    while (text[at] != ']') {
      std::size_t length = 0;
      ids.push_back(std::stoi(text.substr(at, 12), &length));
      at += length;
      while (text[at] == ',' || text[at] == ' ') ++at;
    }
    all.push_back(ids);
  }
  return all;
}

/// out(t,:) = l x(t,:), four tokens at a time
inline std::vector<float> product(linear_layer const& l, std::vector<float> const& x) {
  auto const n = static_cast<std::size_t>(l.columns), m = static_cast<std::size_t>(l.rows), tokens = x.size() / n;
  std::vector<float> y(tokens * m);
  for (std::size_t first = 0; first < tokens; first += 4) {
    float const* row[4];
    for (std::size_t k = 0; k < 4; ++k) row[k] = x.data() + std::min(first + k, tokens - 1) * n;
    for (std::size_t i = 0; i < m; ++i) {
      float const* const w = l.w.data() + i * n;
      float              a = 0, b = 0, c = 0, d = 0;
      for (std::size_t j = 0; j < n; ++j)
        a += row[0][j] * w[j], b += row[1][j] * w[j], c += row[2][j] * w[j], d += row[3][j] * w[j];
      float const sum[4] = {a, b, c, d};
      for (std::size_t k = 0; k < 4 && first + k < tokens; ++k) y[(first + k) * m + i] = sum[k];
    }
  }
  return y;
}

inline std::vector<float> normalised(std::vector<float> const& x, std::vector<float> const& gain) {
  auto              y = x;
  std::size_t const n = gain.size();
  for (std::size_t t = 0; t < x.size(); t += n) {
    float squares = 0;
    for (std::size_t j = 0; j < n; ++j) squares += x[t + j] * x[t + j];
    float const scale = 1 / std::sqrt(squares / static_cast<float>(n) + 1e-5f);
    for (std::size_t j = 0; j < n; ++j) y[t + j] = x[t + j] * scale * gain[j];
  }
  return y;
}

/// Neighbouring pairs, as llama2.c has them.
inline void rotate(std::vector<float>& x, index_t width, index_t head, std::vector<index_t> const& positions) {
  for (std::size_t t = 0; t < positions.size(); ++t)
    for (index_t j = 0; j < width; j += 2) {
      auto const angle = static_cast<double>(positions[t]) *
                         std::pow(10000., -static_cast<double>(j % head) / static_cast<double>(head));
      auto const   c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
      float* const p = x.data() + static_cast<index_t>(t) * width + j;
      float const  a = p[0], b = p[1];
      p[0] = a * c - b * s, p[1] = a * s + b * c;
    }
}

/// Runs all tokens of all texts through the layers; returns logits (tokens, vocabulary). `stop(layer, input, rows)` may
/// change the rows, and the weights that read them.
template <class Stop>
std::vector<float> forward(small_llama& m, std::vector<std::vector<int>> const& texts, Stop&& stop) {
  std::vector<float>   x;
  std::vector<index_t> positions;
  for (auto const& text : texts)
    for (std::size_t t = 0; t < text.size(); ++t) {
      auto const row = m.embedding.w.begin() + text[t] * m.dim;
      x.insert(x.end(), row, row + m.dim);
      positions.push_back(static_cast<index_t>(t));
    }
  index_t const head = m.dim / m.heads, kv = head * m.kv_heads, per = m.heads / m.kv_heads;
  auto const    add = [&](std::vector<float> const& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  };
  for (std::size_t number = 0; number < m.layers.size(); ++number) {
    auto& l    = m.layers[number];
    auto  rows = normalised(x, l.attention_gain);
    stop(number, linear_input::attention, rows);
    auto       q = product(l.q, rows), k = product(l.k, rows);
    auto const v = product(l.v, rows);
    rotate(q, m.dim, head, positions), rotate(k, kv, head, positions);
    std::vector<float> mixed(x.size()), weight;
    for (index_t t = 0; t < static_cast<index_t>(positions.size()); ++t)
      for (index_t h = 0; h < m.heads; ++h) {
        index_t const first = t - positions[static_cast<std::size_t>(t)];
        weight.clear();
        float most = -1e30f, sum = 0;
        for (index_t u = first; u <= t; ++u) {
          float s = 0;
          for (index_t d = 0; d < head; ++d)
            s += q[static_cast<std::size_t>(t * m.dim + h * head + d)] *
                 k[static_cast<std::size_t>(u * kv + h / per * head + d)];
          weight.push_back(s / std::sqrt(static_cast<float>(head)));
          most = std::max(most, weight.back());
        }
        for (float& w : weight) sum += w = std::exp(w - most);
        for (index_t u = first; u <= t; ++u)
          for (index_t d = 0; d < head; ++d)
            mixed[static_cast<std::size_t>(t * m.dim + h * head + d)] +=
                weight[static_cast<std::size_t>(u - first)] / sum *
                v[static_cast<std::size_t>(u * kv + h / per * head + d)];
      }
    stop(number, linear_input::output, mixed);
    add(product(l.o, mixed));
    rows = normalised(x, l.mlp_gain);
    stop(number, linear_input::mlp, rows);
    auto       gate = product(l.gate, rows);
    auto const up   = product(l.up, rows);
    for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
    stop(number, linear_input::down, gate);
    add(product(l.down, gate));
  }
  return product(m.embedding, normalised(x, m.final_gain));
}

/// A changed model's logits against the original's, over all tokens but each text's last.
inline tenon::logits_error compare(std::vector<float> const& reference, std::vector<float> const& other,
                                   std::vector<std::vector<int>> const& texts, index_t vocabulary) {
  tenon::logits_error e;
  auto const          n   = static_cast<std::size_t>(vocabulary);
  std::size_t         row = 0;
  for (auto const& text : texts)
    for (std::size_t t = 0; t < text.size(); ++t, ++row)
      if (t + 1 < text.size())
        expect_ok(e.add(std::span(reference).subspan(row * n, n), std::span(other).subspan(row * n, n), text[t + 1]));
  return e;
}

/// Mean negative log likelihood of each next token.
inline double mean_nll(std::vector<float> const& logits, std::vector<int> const& text, index_t vocabulary) {
  auto const          n = static_cast<std::size_t>(vocabulary);
  std::vector<double> p;
  double              sum = 0;
  for (std::size_t t = 0; t + 1 < text.size(); ++t) {
    tenon::log_softmax(std::span(logits).subspan(t * n, n), p);
    sum -= p[static_cast<std::size_t>(text[t + 1])];
  }
  return sum / static_cast<double>(text.size() - 1);
}

}  // namespace test
