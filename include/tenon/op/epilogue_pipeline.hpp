#pragma once
//  How the stages of an epilogue are joined and run; the stages themselves are in op/epilogue.hpp.
//
//  A stage is any callable  float(float v, index_t row, index_t column);  row and column are those of D. It holds plain
//  data (factors, views), is copied into the kernel's parameters, and runs on both targets (TENON_HD).
//
//  Pair mode. A stage that takes two values,  float(float gate, float up, index_t row, index_t column),  makes a gated
//  unit of a GEMM: B holds the rows of both weight matrices, interleaved in groups of eight (gemm/interleave.hpp)
//
//    B rows   0..7 gate 0..7    8..15 up 0..7    16..23 gate 8..15    24..31 up 8..15    ...
//
//  so that gate and up of one column meet in one tile of every kernel. Stages before the pair see gate and up each with
//  its B row as `column`; the pair and the stages after it see D's column.
//
//  Two more kinds of stages exist for matrix products, whose kernels finish whole runs of a row at a time (epilogue::run):
//
//    along a row       void along(segment, float (&v)[N], row, column, count) const      and  static constexpr int segment
//                      sees `count` neighbours v[0..count) and, through `segment`, sums or maxima over all columns of the
//                      aligned run of `segment` columns that they belong to: sums of squares, quantised stores
//    with a row value  float with_row(v, row, column, value) const  and  float row_term(row, first, step), row_value(sum)
//                      `value` is made once per row and block: row_value of the sum of row_term(row, l, lanes) over lanes l
#include <tenon/config.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace tenon {

/// f(v, row, column): the fp32 value to store, given the fp32 value computed there.
template <class F>
concept elementwise = std::copyable<F> && requires(F const f, float v, index_t row, index_t column) {
  { f(v, row, column) } -> std::convertible_to<float>;
};

/// f(gate, up, row, column): one value of two.
template <class F>
concept pairwise = std::copyable<F> && requires(F const f, float v, index_t row, index_t column) {
  { f(v, v, row, column) } -> std::convertible_to<float>;
};

/// v
struct identity {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return v; }
};
static_assert(elementwise<identity> && !pairwise<identity>);

/// Rows of one group of gate or up in an interleaved B.
inline constexpr int pair_group = 8;

/// B rows that hold the gate and the up of D's column.
TENON_HD constexpr index_t gate_row(index_t column) {
  return column / pair_group * (2 * pair_group) + column % pair_group;
}
TENON_HD constexpr index_t up_row(index_t column) { return gate_row(column) + pair_group; }

/// Rows of an interleaved B for `columns` columns of D.
TENON_HD constexpr index_t paired_rows(index_t columns) { return 2 * round_up(columns, pair_group); }

}  // namespace tenon

namespace tenon::epilogue {

/// A whole run of columns in one thread's hands: what stages that look along a row see on the host.
struct own_segment {
  template <int>
  TENON_HD float sum(float v) const {
    return v;
  }
  template <int>
  TENON_HD float largest(float v) const {
    return v;
  }
  template <int>
  TENON_HD bool leads() const {
    return true;
  }
};

/// Looks along a row.
template <class S>
concept along_row = std::copyable<S> &&
    requires(S const s, own_segment const& segment, float (&v)[4], index_t row, index_t column) {
  { S::segment } -> std::convertible_to<int>;
  s.along(segment, v, row, column, 4);
};

/// Has a value for each row.
template <class S>
concept with_row_value = std::copyable<S> && requires(S const s, float v, index_t row, index_t column) {
  { s.with_row(v, row, column, v) } -> std::convertible_to<float>;
  { s.row_term(row, 0, 1) } -> std::convertible_to<float>;
  { s.row_value(v) } -> std::convertible_to<float>;
};

template <class T>
concept stage = elementwise<T> || pairwise<T> || along_row<T> || with_row_value<T>;

namespace detail {

template <int Index, class Stage>
struct slot {
  Stage stage;
};

template <class Stage>
constexpr int segment_of() {
  if constexpr (along_row<Stage>) return Stage::segment;
  else return 1;
}

/// Whether a stage has a form of its own for N neighbours, `count` of them inside D.
template <class Stage, int N>
concept has_run = requires(Stage const s, float (&v)[N], index_t i) {
  s.run(v, i, i);
};

template <class Index, class... Stage>
struct slots;
template <int... Index, class... Stage>
struct slots<std::integer_sequence<int, Index...>, Stage...> : slot<Index, Stage>... {
  constexpr slots(Stage const&... s) : slot<Index, Stage>{s}... {}

  static constexpr int  pairs      = (0 + ... + (pairwise<Stage> ? 1 : 0));
  static constexpr int  row_values = (0 + ... + (with_row_value<Stage> ? 1 : 0));
  static constexpr bool rowless    = row_values == 0 && (... && !along_row<Stage>);
  static constexpr int  segment() {
     int widest = 1;
     ((widest = segment_of<Stage>() > widest ? segment_of<Stage>() : widest), ...);
     return widest;
  }
  /// Index of the pair stage; the number of stages where there is none.
  TENON_HD static constexpr int pair_index() {
    int  at = 0, i = 0;
    bool found = false;
    ((found = found || pairwise<Stage>, at = found ? at : ++i), ...);
    return at;
  }
  /// How many stages before `last` have a row value.
  TENON_HD static constexpr int row_values_before(int last) {
    int n = 0;
    ((n += Index < last && with_row_value<Stage>), ...);
    return n;
  }

  /// Stages [First, Last) on v.
  template <int First, int Last>
  TENON_HD constexpr float apply(float v, index_t row, index_t column) const {
    ((v = apply_one<First, Last, Index>(static_cast<slot<Index, Stage> const&>(*this).stage, v, row, column)), ...);
    return v;
  }
  TENON_HD constexpr float apply_pair(float gate, float up, index_t row, index_t column) const {
    float v = 0;
    ((v = apply_if_pair(static_cast<slot<Index, Stage> const&>(*this).stage, v, gate, up, row, column)), ...);
    return v;
  }

  /// Stages [First, Last) on neighbours.
  template <int First, int Last, class Segment, int N>
  TENON_HD void run(Segment const& segment, float (&v)[N], index_t row, index_t column, int count,
                    float const* values) const {
    (run_one<First, Last, Index>(static_cast<slot<Index, Stage> const&>(*this).stage, segment, v, row, column, count,
                                 values),
     ...);
  }
  template <int N>
  TENON_HD void run_pair(float (&gate)[N], float const (&up)[N], index_t row, index_t column, int count) const {
    (run_if_pair(static_cast<slot<Index, Stage> const&>(*this).stage, gate, up, row, column, count), ...);
  }

  /// f(stage, i) for each stage with a row value, i counting them.
  template <class F>
  TENON_HD void each_row_value(F const& f) const {
    (row_value_one<Index>(static_cast<slot<Index, Stage> const&>(*this).stage, f), ...);
  }

 private:
  template <int First, int Last, int At, class S>
  TENON_HD static constexpr float apply_one(S const& s, float v, index_t row, index_t column) {
    if constexpr (At >= First && At < Last && !pairwise<S>) return static_cast<float>(s(v, row, column));
    return v;
  }
  template <class S>
  TENON_HD static constexpr float apply_if_pair(S const& s, float v, float gate, float up, index_t row,
                                                index_t column) {
    if constexpr (pairwise<S>) return static_cast<float>(s(gate, up, row, column));
    return v;
  }
  template <int First, int Last, int At, class S, class Segment, int N>
  TENON_HD static void run_one(S const& s, Segment const& segment, float (&v)[N], index_t row, index_t column,
                               int count, float const* values) {
    if constexpr (At < First || At >= Last) {
      return;
    } else if constexpr (along_row<S>) {
      if constexpr (N > S::segment) {  // several of its segments in one thread's hands
        for (int first = 0; first < N; first += S::segment)
          s.along(segment, *reinterpret_cast<float(*)[S::segment]>(v + first), row, column + first, count - first);
      } else {
        s.along(segment, v, row, column, count);
      }
    } else if constexpr (with_row_value<S>) {
      float const value = values[row_values_before(At)];
      TENON_UNROLL_DEVICE
      for (int e = 0; e < N; ++e)
        if (e < count) v[e] = s.with_row(v[e], row, column + e, value);
    } else {
      if (count == N) {
        if constexpr (has_run<S, N>) {
          s.run(v, row, column);
        } else {
          TENON_UNROLL_DEVICE
          for (int e = 0; e < N; ++e) v[e] = s(v[e], row, column + e);
        }
      } else {
        TENON_UNROLL_DEVICE
        for (int e = 0; e < N; ++e)
          if (e < count) v[e] = s(v[e], row, column + e);
      }
    }
  }
  template <class S, int N>
  TENON_HD static void run_if_pair(S const& s, float (&gate)[N], float const (&up)[N], index_t row, index_t column,
                                   int count) {
    if constexpr (pairwise<S>) {
      if (count == N) {
        TENON_UNROLL_DEVICE
        for (int e = 0; e < N; ++e) gate[e] = s(gate[e], up[e], row, column + e);
      } else {
        TENON_UNROLL_DEVICE
        for (int e = 0; e < N; ++e)
          if (e < count) gate[e] = s(gate[e], up[e], row, column + e);
      }
    }
  }
  template <int At, class S, class F>
  TENON_HD static void row_value_one(S const& s, F const& f) {
    if constexpr (with_row_value<S>) f(s, row_values_before(At));
  }
};

}  // namespace detail

/// Stages in order; made by `|`. With one pairwise stage among them the pipeline is paired.
template <stage... Stage>
struct pipeline {
  using slots = detail::slots<std::make_integer_sequence<int, sizeof...(Stage)>, Stage...>;
  static_assert(slots::pairs <= 1, "tenon::epilogue: at most one stage may take a gate and an up");
  static constexpr bool paired     = slots::pairs == 1;
  static constexpr int  segment    = slots::segment();   // columns of D, aligned, that one run of stages must see
  static constexpr int  row_values = slots::row_values;  // values that each row wants before its first run
  slots                 stages;

  constexpr explicit pipeline(Stage const&... s) : stages(s...) {}

  TENON_HD constexpr float operator()(float v, index_t row, index_t column) const
      requires(slots::pairs == 0 && slots::rowless) {
    return stages.template apply<0, sizeof...(Stage)>(v, row, column);
  }
  TENON_HD constexpr float operator()(float gate, float up, index_t row, index_t column) const
      requires(slots::pairs == 1 && slots::rowless) {
    constexpr int pair = slots::pair_index();
    gate               = stages.template apply<0, pair>(gate, row, gate_row(column));
    up                 = stages.template apply<0, pair>(up, row, up_row(column));
    return stages.template apply<pair + 1, sizeof...(Stage)>(stages.apply_pair(gate, up, row, column), row, column);
  }

  /// The first `count` of N neighbours of a row, columns column.. of D, in place. N divides pair_group or the other way
  /// round and column is a multiple of the smaller. `values`: row_values of them. Threads that share a segment call it
  /// together, those outside D with count <= 0.
  template <class Segment, int N>
  TENON_HD void run(Segment const& segment_, float (&v)[N], index_t row, index_t column, int count,
                    float const* values) const requires(!paired) {
    stages.template run<0, sizeof...(Stage)>(segment_, v, row, column, count, values);
  }
  /// The same of gates and ups; the results are in `gate`.
  template <class Segment, int N>
  TENON_HD void run(Segment const& segment_, float (&gate)[N], float (&up)[N], index_t row, index_t column, int count,
                    float const* values) const requires(paired) {
    constexpr int pair = slots::pair_index();
    if constexpr (pair > 0) {
      TENON_UNROLL_DEVICE
      for (int e = 0; e < N; ++e)
        if (e < count) {
          gate[e] = before_pair(gate[e], row, gate_row(column + e), values);
          up[e]   = before_pair(up[e], row, up_row(column + e), values);
        }
    }
    stages.run_pair(gate, up, row, column, count);
    stages.template run<pair + 1, sizeof...(Stage)>(segment_, gate, row, column, count, values);
  }

  /// f(stage, i) for each stage with a row value, i from 0 on.
  template <class F>
  TENON_HD void each_row_value(F const& f) const {
    stages.each_row_value(f);
  }

 private:
  TENON_HD float before_pair(float v, index_t row, index_t b_row, float const* values) const {
    float one[1] = {v};
    stages.template run<0, slots::pair_index()>(own_segment{}, one, row, b_row, 1, values);
    return one[0];
  }
};

namespace detail {
template <class Stage>
struct pipeline_of {
  using type = pipeline<Stage>;
};
template <class... Stage>
struct pipeline_of<pipeline<Stage...>> {
  using type = pipeline<Stage...>;
};
template <class Stage>
constexpr pipeline<Stage> as_pipeline(Stage const& s) {
  return pipeline<Stage>(s);
}
template <class... Stage>
constexpr pipeline<Stage...> as_pipeline(pipeline<Stage...> const& p) {
  return p;
}
template <class... A, class... B, int... Index, int... Later>
constexpr pipeline<A..., B...> join(pipeline<A...> const& a, pipeline<B...> const& b,
                                    std::integer_sequence<int, Index...>, std::integer_sequence<int, Later...>) {
  return pipeline<A..., B...>(static_cast<slot<Index, A> const&>(a.stages).stage...,
                              static_cast<slot<Later, B> const&>(b.stages).stage...);
}
template <class... A, class... B>
constexpr pipeline<A..., B...> join(pipeline<A...> const& a, pipeline<B...> const& b) {
  return join(a, b, std::make_integer_sequence<int, sizeof...(A)>{}, std::make_integer_sequence<int, sizeof...(B)>{});
}
template <class T>
inline constexpr bool is_pipeline = false;
template <class... Stage>
inline constexpr bool is_pipeline<pipeline<Stage...>> = true;
}  // namespace detail

/// One stage, or stages joined.
template <class T>
concept stages = stage<T> || detail::is_pipeline<T>;

/// The pipeline that a single stage is, a pipeline itself.
template <stages E>
using pipeline_of = typename detail::pipeline_of<E>::type;

/// first, then second. Found by its arguments: one of them is a stage of this namespace (or from(...) of your own).
template <stages First, stages Second>
constexpr auto operator|(First const& first, Second const& second) {
  return detail::join(detail::as_pipeline(first), detail::as_pipeline(second));
}

/// Your own callable as the start of a pipeline: from(mine) | bias(b).
template <stages Stage>
constexpr auto from(Stage const& s) {
  return detail::as_pipeline(s);
}

}  // namespace tenon::epilogue
