//  What cuDNN's attention does with the same numbers: its graph of two products around a softmax, over dense operands, in the
//  plan that its heuristic proposes first and in the next few. The library is opened at run time: a build wants its headers
//  alone, a run goes on without it.
//
//  The graph is the one that NVIDIA/cudnn-frontend lowers attention to (CompositeSDPANode, include/cudnn_frontend/node):
//    s = q k^T scale; s = mask(s); m = max s; e = exp(s - m); p = e / sum e; o = p v
//  with m + log sum e beside it, which nobody stores: without these two steps its engines do not know the graph.
#include "operands.hpp"

#if TENON_CUDA && __has_include(<cudnn.h>)
#  include <cudnn.h>
#  include <dlfcn.h>

#  include <limits>

namespace {

using bench::attention_call, bench::cell, bench::index_t;

/// The functions of the library; without it, none.
struct library {
  decltype(&cudnnGetVersion)               version  = nullptr;
  decltype(&cudnnCreate)                   create   = nullptr;
  decltype(&cudnnSetStream)                stream   = nullptr;
  decltype(&cudnnGetErrorString)           words    = nullptr;
  decltype(&cudnnBackendCreateDescriptor)  make     = nullptr;
  decltype(&cudnnBackendDestroyDescriptor) destroy  = nullptr;
  decltype(&cudnnBackendSetAttribute)      set      = nullptr;
  decltype(&cudnnBackendGetAttribute)      get      = nullptr;
  decltype(&cudnnBackendFinalize)          finalize = nullptr;
  decltype(&cudnnBackendExecute)           execute  = nullptr;
  cudnnHandle_t                            handle   = nullptr;

  library() {
    void* const opened = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    if (!opened) return;
    bool       all  = true;
    auto const take = [&](auto& function, char const* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(opened, name));
      all      = all && function;
    };
    take(version, "cudnnGetVersion"), take(create, "cudnnCreate"), take(stream, "cudnnSetStream");
    take(words, "cudnnGetErrorString"), take(make, "cudnnBackendCreateDescriptor");
    take(destroy, "cudnnBackendDestroyDescriptor"), take(set, "cudnnBackendSetAttribute");
    take(get, "cudnnBackendGetAttribute"), take(finalize, "cudnnBackendFinalize"), take(execute, "cudnnBackendExecute");
    if (!all || create(&handle) != CUDNN_STATUS_SUCCESS) handle = nullptr;
  }
};

library const& cudnn() {
  static library const opened;
  return opened;
}

/// A descriptor under construction; the first step that is refused is kept.
class descriptor {
 public:
  descriptor(cudnnBackendDescriptorType_t type, char const* name) : name_(name) { note(cudnn().make(type, &of_)); }
  descriptor(descriptor&& other) noexcept
      : of_(std::exchange(other.of_, nullptr)), name_(other.name_), status_(other.status_) {}
  descriptor(descriptor const&) = delete;
  ~descriptor() {
    if (of_) cudnn().destroy(of_);
  }

  template <class T>
  descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::vector<T> const& values) {
    if (ok()) note(cudnn().set(of_, name, type, static_cast<std::int64_t>(values.size()), values.data()));
    return *this;
  }
  template <class T>
  descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, T const& value) {
    if (ok()) note(cudnn().set(of_, name, type, 1, &value));
    return *this;
  }
  descriptor& set(cudnnBackendAttributeName_t name, descriptor const& value) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, value.of_);
  }
  descriptor& finalize() {
    if (ok()) note(cudnn().finalize(of_));
    return *this;
  }
  bool                     ok() const { return status_ == CUDNN_STATUS_SUCCESS; }
  cudnnBackendDescriptor_t raw() const { return of_; }
  std::string              why() const { return std::string(name_) + ": " + cudnn().words(status_); }

 private:
  void note(cudnnStatus_t s) {
    if (status_ == CUDNN_STATUS_SUCCESS) status_ = s;
  }

  cudnnBackendDescriptor_t of_     = nullptr;
  char const*              name_   = "";
  cudnnStatus_t            status_ = CUDNN_STATUS_SUCCESS;
};

using shape = std::vector<std::int64_t>;

/// Attention's graph in the making. Tensors are (batch, heads, rows, columns).
class graph {
 public:
  enum id : std::int64_t { q = 1, k, v, o, scale, below, queries, keys, window, first_between };

  graph(cell const& c, cudnnDataType_t type) : batch_(static_cast<std::int64_t>(c.keys.size())) {
    std::int64_t const rows = c.queries[0], columns = c.keys[0], d = c.head_dim, h = c.heads, g = c.kv_heads;
    scores_       = {batch_, h, rows, columns};
    auto const& s = between({}, CUDNN_DATA_FLOAT);
    multiply(tensor(q, {batch_, h, rows, d}, {rows * h * d, d, h * d, 1}, type),
             tensor(k, {batch_, g, d, columns}, {columns * g * d, d, 1, g * d}, type), s);
    descriptor const* last =
        &pointwise(CUDNN_POINTWISE_MUL, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, s, &number(scale, CUDNN_DATA_FLOAT));
    // A single query behind its keys sees all of them, and needs no mask but that of a window.
    if (c.causal && rows > 1) {
      auto const* row    = &index(*last, 2);
      auto const* column = &index(*last, 3);
      if (rows != columns) {
        row = &pointwise(CUDNN_POINTWISE_ADD, CUDNN_DATA_INT32, CUDNN_DATA_INT32, *row, &number(keys, CUDNN_DATA_INT32),
                         3);
        row = &pointwise(CUDNN_POINTWISE_SUB, CUDNN_DATA_INT32, CUDNN_DATA_INT32, *row,
                         &number(queries, CUDNN_DATA_INT32), 3);
      }
      last = &select(*last, pointwise(CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN, CUDNN_DATA_BOOLEAN, *row, column));
    }
    if (c.window > 0) {
      auto const& row    = index(*last, 2);
      auto const& column = pointwise(CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, index(*last, 3),
                                     &number(window, CUDNN_DATA_FLOAT), 3);
      last = &select(*last, pointwise(CUDNN_POINTWISE_CMP_GT, CUDNN_DATA_BOOLEAN, CUDNN_DATA_BOOLEAN, column, &row));
    }
    auto const& most = reduce(CUDNN_REDUCE_TENSOR_MAX, *last);
    auto const& e    = pointwise(CUDNN_POINTWISE_EXP, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT,
                                 pointwise(CUDNN_POINTWISE_SUB, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, *last, &most));
    auto const& sum  = reduce(CUDNN_REDUCE_TENSOR_ADD, e);
    shape const one_each{batch_, h, rows, 1};
    auto const& log = pointwise(CUDNN_POINTWISE_LOG, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, sum, nullptr, -1, one_each);
    pointwise(CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, most, &log, -1, one_each);
    auto const& p = pointwise(CUDNN_POINTWISE_DIV, CUDNN_DATA_FLOAT, type, e, &sum);
    multiply(p, tensor(v, {batch_, g, columns, d}, {columns * g * d, d, g * d, 1}, type),
             tensor(o, {batch_, h, rows, d}, {rows * h * d, d, h * d, 1}, type));
    std::vector<cudnnBackendDescriptor_t> all;
    for (auto const& operation : operations_) all.push_back(operation->raw());
    whole_ = std::make_unique<descriptor>(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "operation graph");
    whole_->set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, all)
        .set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, cudnn().handle)
        .finalize();
    note(*whole_);
  }

  std::string const&               why() const { return why_; }
  descriptor const&                whole() const { return *whole_; }
  std::vector<std::int64_t> const& by_value() const { return by_value_; }

 private:
  void note(descriptor const& d) {
    if (why_.empty() && !d.ok()) why_ = d.why();
  }
  descriptor const& keep(descriptor d) {
    note(d);
    parts_.push_back(std::make_unique<descriptor>(std::move(d)));
    return *parts_.back();
  }
  void operation(descriptor d) {
    note(d);
    operations_.push_back(std::make_unique<descriptor>(std::move(d)));
  }
  descriptor const& tensor(std::int64_t name, shape const& extent, shape const& stride, cudnnDataType_t type,
                           bool is_between = false, bool is_value = false) {
    descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "tensor");
    d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, extent)
        .set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, stride)
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, name)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, std::int64_t{16});
    if (is_between) d.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, true);
    if (is_value) d.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, true);
    d.finalize();
    return keep(std::move(d));
  }
  /// What one operation hands to the next; as large as the scores, or the extent given.
  descriptor const& between(shape extent, cudnnDataType_t type) {
    if (extent.empty()) extent = scores_;
    shape const stride{extent[1] * extent[2] * extent[3], extent[2] * extent[3], extent[3], 1};
    return tensor(next_++, extent, stride, type, true);
  }
  descriptor const& number(std::int64_t name, cudnnDataType_t type) {
    by_value_.push_back(name);
    return tensor(name, {1, 1, 1, 1}, {1, 1, 1, 1}, type, false, true);
  }
  void multiply(descriptor const& a, descriptor const& b, descriptor const& c) {
    descriptor how(CUDNN_BACKEND_MATMUL_DESCRIPTOR, "product");
    how.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT).finalize();
    descriptor d(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, "product");
    d.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, a).set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    d.set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, c).set(CUDNN_ATTR_OPERATION_MATMUL_DESC, keep(std::move(how))).finalize();
    operation(std::move(d));
  }
  descriptor const& mode(cudnnPointwiseMode_t of, cudnnDataType_t in, std::int64_t axis) {
    descriptor how(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "pointwise");
    how.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, of)
        .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, in);
    if (axis >= 0) how.set(CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, axis);
    how.finalize();
    return keep(std::move(how));
  }
  descriptor const& pointwise(cudnnPointwiseMode_t of, cudnnDataType_t in, cudnnDataType_t to, descriptor const& x,
                              descriptor const* b = nullptr, std::int64_t axis = -1, shape const& extent = {}) {
    descriptor const& y = between(extent, to);
    descriptor        d(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "pointwise operation");
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, mode(of, in, axis))
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b) d.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y).finalize();
    operation(std::move(d));
    return y;
  }
  descriptor const& index(descriptor const& x, std::int64_t axis) {
    return pointwise(CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_FLOAT, CUDNN_DATA_INT32, x, nullptr, axis);
  }
  /// x where `kept`, else minus infinity
  descriptor const& select(descriptor const& x, descriptor const& kept) {
    descriptor const& y = between({}, CUDNN_DATA_FLOAT);
    if (!below_) below_ = &number(below, CUDNN_DATA_FLOAT);
    descriptor d(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "mask");
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, mode(CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, -1))
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *below_)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, kept)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y)
        .finalize();
    operation(std::move(d));
    return y;
  }
  descriptor const& reduce(cudnnReduceTensorOp_t of, descriptor const& x) {
    descriptor const& y = between({batch_, scores_[1], scores_[2], 1}, CUDNN_DATA_FLOAT);
    descriptor        how(CUDNN_BACKEND_REDUCTION_DESCRIPTOR, "reduction");
    how.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, of)
        .set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
        .finalize();
    descriptor d(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, "reduction operation");
    d.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x)
        .set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y)
        .set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, keep(std::move(how)))
        .finalize();
    operation(std::move(d));
    return y;
  }

  std::int64_t                             batch_, next_ = first_between;
  shape                                    scores_;
  std::vector<std::unique_ptr<descriptor>> parts_, operations_;
  std::unique_ptr<descriptor>              whole_;
  std::vector<std::int64_t>                by_value_;
  descriptor const*                        below_ = nullptr;
  std::string                              why_;
};

/// What plans read besides tensors, from memory of the host.
struct numbers {
  float        scale, below, window;
  std::int32_t queries, keys;
};

/// One plan over rotated operands. Descriptors live as long as the call.
struct plan {
  std::shared_ptr<graph const>             of;
  std::shared_ptr<numbers const>           values;
  std::shared_ptr<descriptor const>        built;
  std::vector<std::shared_ptr<descriptor>> packs;  // one for each set

  tenon::status operator()(tenon::context const& where, int set) const {
    cudnn().stream(cudnn().handle, where.stream);
    if (cudnn().execute(cudnn().handle, built->raw(), packs[static_cast<std::size_t>(set)]->raw()) !=
        CUDNN_STATUS_SUCCESS)
      return {tenon::errc::unsupported, "cudnn", "plan"};
    return {};
  }
};

/// Configurations of engines in the order of cuDNN's heuristic, at most `count`.
std::vector<std::shared_ptr<descriptor>> configurations(graph const& of, std::int64_t count) {
  std::vector<std::shared_ptr<descriptor>> found;
  descriptor                               heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristic");
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, of.whole())
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A)
      .finalize();
  if (!heuristic.ok()) return found;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < count; ++i) {
    found.push_back(std::make_shared<descriptor>(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "configuration"));
    raw.push_back(found.back()->raw());
  }
  std::int64_t given = 0;
  if (cudnn().get(heuristic.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &given,
                  raw.data()) != CUDNN_STATUS_SUCCESS)
    given = 0;
  found.resize(static_cast<std::size_t>(std::min(given, count)));
  return found;
}

template <class T>
attention_call dense_call(bench::arena& memory, cell const& c, cudnnDataType_t type, std::string& why) {
  attention_call made   = bench::call_of(c, sizeof(T));
  index_t const  tokens = bench::tokens_of(c), keys = c.keys[0], requests = static_cast<index_t>(c.keys.size());
  auto const     of = std::make_shared<graph>(c, type);
  if (!of->why().empty()) return why = of->why(), made;
  auto const values = std::make_shared<numbers>(
      numbers{1 / std::sqrt(static_cast<float>(c.head_dim)), -std::numeric_limits<float>::infinity(),
              static_cast<float>(c.window - keys + c.queries[0]), static_cast<std::int32_t>(c.queries[0]),
              static_cast<std::int32_t>(keys)});
  std::vector<std::vector<void*>> pointers;
  for (int set = 0; set < made.sets; ++set)
    pointers.push_back({bench::rows_operand<T>(memory, "q", tokens, c.heads, c.head_dim, set).data,
                        bench::pages_operand<T>(memory, "k", requests, keys, c.kv_heads, c.head_dim, set).data,
                        bench::pages_operand<T>(memory, "v", requests, keys, c.kv_heads, c.head_dim, set).data,
                        bench::rows_operand<T>(memory, "o", tokens, c.heads, c.head_dim, set, false).data});
  if (memory.full()) return made;
  for (auto const& configuration : configurations(*of, 8)) {
    auto const built = std::make_shared<descriptor>(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "plan");
    built->set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, *configuration)
        .set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, cudnn().handle)
        .finalize();
    if (!built->ok()) {
      why = built->why();
      continue;
    }
    plan         made_plan{of, values, built, {}};
    std::int64_t one = 0, workspace = 0;
    cudnn().get(built->raw(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one, &workspace);
    void* const scratch = workspace > 0 ? memory.operand<std::byte>("cudnn workspace " + std::to_string(workspace),
                                                                    workspace, [](std::byte*) {})
                                        : nullptr;
    if (memory.full()) return made;
    for (auto const& operands : pointers) {
      std::vector<std::int64_t> names{graph::q, graph::k, graph::v, graph::o};
      std::vector<void*>        at = operands;
      for (std::int64_t const name : of->by_value()) {
        names.push_back(name);
        at.push_back(const_cast<void*>(name == graph::scale     ? static_cast<void const*>(&values->scale)
                                       : name == graph::below   ? static_cast<void const*>(&values->below)
                                       : name == graph::window  ? static_cast<void const*>(&values->window)
                                       : name == graph::queries ? static_cast<void const*>(&values->queries)
                                                                : static_cast<void const*>(&values->keys)));
      }
      auto const pack = std::make_shared<descriptor>(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "variant pack");
      pack->set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, names)
          .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, at)
          .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, scratch)
          .finalize();
      if (!pack->ok()) why = pack->why();
      made_plan.packs.push_back(pack);
    }
    made.ways.push_back({made.ways.empty() ? "heuristic" : "plan " + std::to_string(made.ways.size()), made_plan});
  }
  if (!made.ways.empty()) why.clear();
  else if (why.empty()) why = "no plan";
  return made;
}

}  // namespace

bench::attention_call bench::cudnn_call(arena& memory, cell const& c, std::string& why) {
  if (!cudnn().handle) return {};
  bool const even = std::all_of(c.keys.begin(), c.keys.end(), [&](index_t n) { return n == c.keys[0]; }) &&
                    std::all_of(c.queries.begin(), c.queries.end(), [&](index_t n) { return n == c.queries[0]; });
  if (!even || c.cap > 0 || c.shared > 0) return why = "not asked for that", attention_call{};
  if (c.cache == "f16") return dense_call<tenon::f16>(memory, c, CUDNN_DATA_HALF, why);
  if (c.cache == "bf16") return dense_call<tenon::bf16>(memory, c, CUDNN_DATA_BFLOAT16, why);
  return {};
}

std::string bench::cudnn_version() {
  if (!cudnn().handle) return "";
  std::size_t const v = cudnn().version();
  return "cuDNN " + std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
}

#else
bench::attention_call bench::cudnn_call(arena&, cell const&, std::string&) { return {}; }
std::string           bench::cudnn_version() { return ""; }
#endif
