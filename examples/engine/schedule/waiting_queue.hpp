#pragma once
//  Who waits, and who of them is next: a heap for each tenant, whose order does not change while time passes.
//
//  Next is the highest class, in it the least key + fairness * service of its tenant, then the oldest. A key holds the arrival
//  instead of the time waited, so it is fixed; a tenant's service is the same for all of its own. A tenant that comes starts
//  at the least service of those that are here, or, where nobody is, at that of the one who left last: so nobody saves up
//  turns, and nobody is made to wait for what he had while he was alone. (VTC: Sheng et al., OSDI 2024)
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <unordered_map>
#include <vector>

namespace tenon::engine {

/// A sequence that waits.
struct waiting_sequence {
  double        key     = 0;  // tokens; less is sooner
  double        arrival = 0;  // seconds
  std::uint64_t age     = 0;  // order of submission
  std::int32_t  record = 0, tenant = 0, priority = 0;
  std::int32_t  rows      = 1;  // sequences that it will become
  bool          long_left = false;
};

class waiting_queue {
 public:
  explicit waiting_queue(double fairness) : fairness_(fairness) {}

  // ---- Tenants, by slot

  /// One sequence more of a tenant, whose slot is returned.
  std::int32_t enter(std::uint32_t tenant) {
    auto const [found, fresh] = slots_.try_emplace(tenant, 0);
    if (fresh) found->second = slot_for(tenant);
    tenant_queue& t = tenants_[static_cast<std::size_t>(found->second)];
    if (t.here++ == 0) t.service = std::max(t.service, least_service(found->second));
    return found->second;
  }
  void enter_again(std::int32_t slot) { ++tenants_[static_cast<std::size_t>(slot)].here; }
  void leave(std::int32_t slot) {
    tenant_queue& t = tenants_[static_cast<std::size_t>(slot)];
    if (--t.here == 0) left_ = t.service;
  }
  void charge(std::int32_t slot, std::int64_t tokens) {
    tenants_[static_cast<std::size_t>(slot)].service += static_cast<double>(tokens);
  }
  double      handicap(std::int32_t slot) const { return fairness_ * tenants_[static_cast<std::size_t>(slot)].service; }
  int         here(std::int32_t slot) const { return tenants_[static_cast<std::size_t>(slot)].here; }
  std::size_t tenants() const { return tenants_.size(); }

  // ---- The queue

  std::size_t size() const { return size_; }
  int         rows() const { return rows_; }

  void push(waiting_sequence const& w) {
    auto& heap = heap_of(w);
    heap.push_back(w);
    std::push_heap(heap.begin(), heap.end(), later);
    ++size_, rows_ += w.rows;
  }

  /// The next one, long ones left out unless `with_long`; nullptr where there is none.
  waiting_sequence const* best(bool with_long) const {
    waiting_sequence const* best = nullptr;
    if (size_ == 0) return best;
    for (tenant_queue const& t : tenants_) {
      if (!t.brief.empty()) best = better(best, t.brief.front());
      if (with_long && !t.extended.empty()) best = better(best, t.extended.front());
    }
    return best;
  }

  /// Takes out one that best() gave.
  void pop(waiting_sequence const& w) {
    size_ -= 1, rows_ -= w.rows;
    auto& heap = heap_of(w);
    std::pop_heap(heap.begin(), heap.end(), later);
    heap.pop_back();
  }

  template <class Predicate>
  void remove_if(Predicate gone) {
    for (tenant_queue& t : tenants_) {
      for (auto* heap : {&t.brief, &t.extended}) {
        if (std::erase_if(*heap, gone) != 0) std::make_heap(heap->begin(), heap->end(), later);
      }
    }
    size_ = 0, rows_ = 0;
    for_each([&](waiting_sequence const& w) { size_ += 1, rows_ += w.rows; });
  }

  template <class Function>
  void for_each(Function f) const {
    for (tenant_queue const& t : tenants_) {
      for (auto* heap : {&t.brief, &t.extended})
        for (waiting_sequence const& w : *heap) f(w);
    }
  }

  /// Seconds; infinity where nobody waits.
  double first_arrival() const {
    double first = std::numeric_limits<double>::infinity();
    for_each([&](waiting_sequence const& w) { first = std::min(first, w.arrival); });
    return first;
  }

 private:
  struct tenant_queue {
    std::uint32_t                 id      = 0;
    int                           here    = 0;  // sequences that wait or run
    double                        service = 0;  // tokens that it got
    std::vector<waiting_sequence> brief, extended;
  };

  static bool later(waiting_sequence const& a, waiting_sequence const& b) {
    if (a.priority != b.priority) return a.priority < b.priority;
    if (a.key != b.key) return a.key > b.key;
    return a.age > b.age;
  }
  waiting_sequence const* better(waiting_sequence const* a, waiting_sequence const& b) const {
    if (a == nullptr || b.priority > a->priority) return &b;
    if (b.priority < a->priority) return a;
    double const x = a->key + handicap(a->tenant), y = b.key + handicap(b.tenant);
    return y < x || (y == x && b.age < a->age) ? &b : a;
  }
  std::vector<waiting_sequence>& heap_of(waiting_sequence const& w) {
    tenant_queue& t = tenants_[static_cast<std::size_t>(w.tenant)];
    return w.long_left ? t.extended : t.brief;
  }

  double least_service(std::int32_t but) const {
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < tenants_.size(); ++i)
      if (tenants_[i].here > 0 && static_cast<std::int32_t>(i) != but) least = std::min(least, tenants_[i].service);
    return least < std::numeric_limits<double>::infinity() ? least : left_;
  }

  /// A new slot, or that of somebody who left: the table does not grow with everybody who ever came.
  std::int32_t slot_for(std::uint32_t tenant) {
    constexpr std::size_t plenty = 1024;
    if (tenants_.size() >= plenty) {
      for (std::size_t i = 0; i < tenants_.size(); ++i) {
        if (tenants_[i].here != 0) continue;
        slots_.erase(tenants_[i].id);
        tenants_[i].id = tenant, tenants_[i].service = 0;
        return static_cast<std::int32_t>(i);
      }
    }
    tenants_.emplace_back().id = tenant;
    return static_cast<std::int32_t>(tenants_.size() - 1);
  }

  double                                          fairness_;
  double                                          left_ = 0;  // service of the tenant that left last
  std::vector<tenant_queue>                       tenants_;
  std::unordered_map<std::uint32_t, std::int32_t> slots_;  // read when a request is submitted, never in a step
  std::size_t                                     size_ = 0;
  int                                             rows_ = 0;
};

}  // namespace tenon::engine
