#pragma once
//  Random requests through a scheduler and the hash model, watched at every step. No GoogleTest: the mutations use it, too.
#include <tenon/kv/kv_blocks.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/schedule/scheduler.hpp"
#include "hash_model.hpp"
#include "schedule_scenario.hpp"

namespace test {

struct world_result {
  std::string     fault;  // empty: all is well
  schedule_counts counts;
  std::int64_t    steps = 0;
};

/// One scenario from its first arrival to the end of its last request.
class world {
 public:
  explicit world(scenario const& o) : o_(o), random_(o.seed) { make_requests(); }

  world_result run() {
    auto const         row = static_cast<tenon::block_id>((longest_ + o_.block_size - 1) / o_.block_size);
    tenon::kv_blocks<> pages({.blocks                  = row + o_.spare_blocks,
                              .block_size              = o_.block_size,
                              .max_sequences           = o_.schedule.max_sequences,
                              .max_blocks_per_sequence = row + o_.spare_blocks + 9,
                              .prefix_cache            = o_.prefix_cache});
    scheduler          s(o_.schedule, pages, o_.cost);
    pages_ = &pages, s_ = &s;
    model_ = hash_model(pages.blocks(), o_.block_size);
    refuse_what_never_fits();

    world_result result;
    while (fault_.empty() && step()) {
      if (++result.steps > bound()) blame("livelock: the bound of steps is passed");
    }
    if (fault_.empty()) check_results();
    if (!fault_.empty())
      result.fault = "seed " + std::to_string(o_.seed) + ", step " + std::to_string(result.steps) + ": " + fault_;
    result.counts = s.counts();
    return result;
  }

 private:
  static constexpr double never = std::numeric_limits<double>::infinity();

  struct request;
  struct completion {
    request*                  of    = nullptr;
    int                       which = 0;
    std::vector<std::int32_t> ids;
    bool                      ended = false, decoding = false;
    std::int64_t              fed      = -1;  // tokens; -1: not since it was admitted
    std::int32_t              sequence = -1;  // while it runs
    sequence_end              reason{};
  };
  struct request {
    std::uint64_t             tag;
    std::vector<std::int32_t> prompt;
    int                       max_tokens, n, priority;
    std::uint32_t             tenant;
    std::uint64_t             salt;
    double                    arrival, deadline, cancel_at;
    std::vector<completion>   completions;
  };
  using completions = std::vector<completion*>;

  void blame(std::string const& what) {  // the first counts
    if (fault_.empty()) fault_ = what;
  }
  int  upto(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  bool happens(double p) { return std::bernoulli_distribution(p)(random_); }

  void make_requests() {
    std::vector<std::int32_t> common(static_cast<std::size_t>(o_.longest_prompt));
    for (auto& t : common) t = upto(o_.vocabulary);
    double arrival = 0;
    requests_.resize(static_cast<std::size_t>(o_.requests));
    for (request& r : requests_) {
      r.tag = requests_.size() * 7 + static_cast<std::uint64_t>(&r - requests_.data());
      r.prompt.resize(static_cast<std::size_t>(1 + upto(o_.longest_prompt)));
      auto const same = happens(o_.shared) ? static_cast<std::size_t>(upto(static_cast<int>(r.prompt.size()) + 1)) : 0;
      for (std::size_t t = 0; t < r.prompt.size(); ++t) r.prompt[t] = t < same ? common[t] : upto(o_.vocabulary);
      r.max_tokens = 1 + upto(o_.most_tokens);
      r.n          = 1 + upto(std::min(o_.most_n, o_.schedule.max_sequences));
      r.priority   = upto(o_.classes);
      r.tenant     = static_cast<std::uint32_t>(upto(o_.tenants));
      r.salt       = static_cast<std::uint64_t>(upto(o_.salts));
      arrival += std::exponential_distribution<double>(o_.rate)(random_);
      r.arrival   = arrival;
      r.deadline  = happens(o_.with_deadline) ? arrival + 0.2 * upto(10) / 10. : never;
      r.cancel_at = happens(o_.cancelled) ? arrival + 0.3 * upto(100) / 100. : never;
      r.completions.resize(static_cast<std::size_t>(r.n));
      for (int i = 0; i < r.n; ++i)
        r.completions[static_cast<std::size_t>(i)].of = &r, r.completions[static_cast<std::size_t>(i)].which = i;
      longest_       = std::max(longest_, static_cast<std::int64_t>(r.prompt.size()) + r.max_tokens - 1);
      by_tag_[r.tag] = &r;
      all_ += r.n;
    }
  }

  /// Steps after which all must have ended. The first in rank comes nearer to its end at every 17th step at least; where
  /// prompts go first, when all prompts that run are done. Before somebody ends it may be another once for each who is not
  /// done. See scheduler::state::plan_decodes.
  std::int64_t bound() const {
    std::int64_t const alone =
        o_.schedule.decode_first ? 17 * longest_ : longest_ * (1 + longest_ * o_.schedule.max_sequences);
    return alone * (all_ * (all_ + 1) / 2 + 1);
  }

  void refuse_what_never_fits() {
    auto const tokens = static_cast<std::size_t>(pages_->blocks()) * static_cast<std::size_t>(o_.block_size);
    std::vector<std::int32_t> text(tokens);
    if (s_->submit({.tag = 1, .prompt = text, .max_tokens = 2}) == refusal::none) blame("what never fits is taken");
  }

  /// False when all is over.
  bool step() {
    for (; next_ < requests_.size() && requests_[next_].arrival <= now_; ++next_) submit(requests_[next_]);
    for (std::size_t i = 0; i < next_; ++i)
      if (requests_[i].cancel_at <= now_ && !cancelled_[requests_[i].tag])
        s_->cancel(requests_[i].tag), cancelled_[requests_[i].tag] = true;
    completions const  before      = running();
    std::int64_t const preemptions = s_->counts().preemptions;
    step_plan const&   plan        = s_->schedule(now_);
    take_ended();
    check_audit("after schedule()");
    if (fault_.empty()) check_moves(before, running(), s_->counts().preemptions - preemptions);
    if (fault_.empty()) check_plan(plan);
    if (!fault_.empty()) return true;
    if (plan.empty()) return sleep();
    execute(plan);
    take_ended();
    check_audit("after commit()");
    now_ += std::uniform_real_distribution<double>(0, 0.01)(random_);
    return true;
  }

  bool sleep() {
    if (s_->idle() && next_ == requests_.size()) return false;
    double wake = s_->next_event(now_);
    if (!s_->idle() && (wake == never || o_.schedule.mode != batching::dynamic))
      blame("stuck: an empty plan while somebody waits");
    if (next_ < requests_.size()) wake = std::min(wake, requests_[next_].arrival);
    now_ = std::max(now_ + 1e-6, wake);
    return true;
  }

  void submit(request const& r) {
    refusal const why = s_->submit({.tag        = r.tag,
                                    .prompt     = r.prompt,
                                    .max_tokens = r.max_tokens,
                                    .n          = r.n,
                                    .priority   = r.priority,
                                    .tenant     = r.tenant,
                                    .salt       = r.salt,
                                    .arrival    = r.arrival,
                                    .deadline   = r.deadline});
    if (why != refusal::none) blame("a request that fits is refused: " + std::to_string(static_cast<int>(why)));
  }

  void check_audit(char const* when) {
    tenon::status const a = s_->audit();
    if (!a.ok())
      blame(std::string("audit ") + when + ": " + a.primitive + ": " + a.subject + ": got " + std::to_string(a.got) +
            ", want " + std::to_string(a.want));
  }

  completion& of(std::int32_t sequence) {
    return by_tag_.at(s_->tag(sequence))->completions.at(static_cast<std::size_t>(s_->completion(sequence)));
  }

  /// All that have a sequence, in order of their addresses.
  completions running() {
    completions all;
    for (std::int32_t q = 0; q < o_.schedule.max_sequences; ++q) {
      if (!pages_->is_open(q)) continue;
      all.push_back(&of(q));
      all.back()->sequence = q;
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  /// Who came and went in schedule().
  void check_moves(completions before, completions const& after, std::int64_t preemptions) {
    std::erase_if(before, [](completion const* c) { return c->ended; });
    completions gone, come;
    std::set_difference(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(gone));
    std::set_difference(after.begin(), after.end(), before.begin(), before.end(), std::back_inserter(come));
    if (static_cast<std::int64_t>(gone.size()) != preemptions) blame("other sequences are off than were taken off");
    if (!gone.empty() && !come.empty()) blame("an admission in a step that took somebody off");
    auto const rank = [](completion const* a, completion const* b) {
      return std::tuple(-a->of->priority, a->of, a->which) < std::tuple(-b->of->priority, b->of, b->which);
    };
    auto const first = std::min_element(before.begin(), before.end(), rank);
    if (!gone.empty() && std::find(gone.begin(), gone.end(), *first) != gone.end()) blame("the first in rank is off");
    for (completion* c : gone) c->sequence = -1, c->fed = -1, c->decoding = false;
    decoding_ = 0;
    for (completion* c : after) decoding_ += c->decoding;
  }

  void check_plan(step_plan const& plan) {
    std::int64_t              tokens = plan.padding, draws = 0;
    std::vector<std::int32_t> seen;
    for (std::size_t i = 0; i < plan.parts.size(); ++i) {
      planned const&    p      = plan.parts[i];
      completion const& c      = of(p.sequence);
      request const&    r      = *c.of;
      auto const        known  = s_->tokens(p.sequence);
      auto const        length = static_cast<std::int64_t>(r.prompt.size() + c.ids.size());
      tokens += p.count, draws += p.draws;
      seen.push_back(p.sequence);
      if (c.ended) blame("an ended sequence is fed");
      if (r.deadline <= now_) blame("a sequence is fed after its deadline");
      if (static_cast<std::int64_t>(known.size()) != length ||
          !std::equal(r.prompt.begin(), r.prompt.end(), known.begin()) ||
          !std::equal(c.ids.begin(), c.ids.end(), known.begin() + static_cast<std::ptrdiff_t>(r.prompt.size())))
        blame("a sequence's tokens are not its prompt and its ids");
      if (p.count < 1 || p.first + p.count > length) blame("a part feeds what is not known");
      if (c.fed >= 0 && p.first != c.fed) blame("a sequence goes on at the wrong position");
      if (p.draws != 0 && p.first + p.count != length) blame("ids are drawn inside a prompt");
      if (p.draws == 0 && p.first + p.count == length) blame("no id is drawn at the end of the tokens");
      if ((static_cast<int>(i) < plan.decodes) != c.decoding) blame("a decode and a prompt are taken for each other");
      if (c.decoding && p.count != 1) blame("a decode of several tokens");
    }
    bool const mixed = plan.decodes > 0 && plan.decodes < static_cast<int>(plan.parts.size());
    if (mixed && !o_.schedule.decode_first) blame("prompts and decodes in one step of prefill-first");
    if (plan.decodes != decoding_ && (o_.schedule.decode_first || plan.decodes > 0)) blame("a decode is left out");
    std::sort(seen.begin(), seen.end());
    if (std::adjacent_find(seen.begin(), seen.end()) != seen.end()) blame("a sequence is fed twice in a step");
    if (tokens > o_.schedule.max_batched_tokens) blame("more tokens than the budget");
    if (tokens != plan.load.tokens) blame("the load counts other tokens than the parts");
    if (draws != plan.draws) blame("the plan counts other draws than the parts");
  }

  void execute(step_plan const& plan) {
    model_.copy(pages_->copies());
    std::vector<planned> parts = plan.parts;
    std::shuffle(parts.begin(), parts.end(), random_);  // a pass writes its sequences side by side
    for (planned const& p : parts) model_.feed(s_->block_table(p.sequence), s_->tokens(p.sequence), p.first, p.count);
    std::vector<std::int32_t> ids;
    std::vector<std::uint8_t> stops;
    for (planned const& p : plan.parts) {
      completion&         c    = of(p.sequence);
      std::uint64_t const hash = model_.hash(s_->block_table(p.sequence), p.first + p.count);
      c.fed                    = p.first + p.count;
      for (int d = 0; d < p.draws; ++d) {
        completion& to        = p.draws == 1 ? c : c.of->completions.at(static_cast<std::size_t>(d));
        auto const [id, stop] = draw_from(hash, to.which, o_.vocabulary, o_.stop_every);
        ids.push_back(id), stops.push_back(stop);
        if (!stop) to.ids.push_back(id);
        to.decoding = true, to.fed = c.fed;
      }
    }
    s_->commit(ids, stops);
  }

  void take_ended() {
    for (ended_sequence const& e : s_->ended()) {
      completion& c = by_tag_.at(e.tag)->completions.at(static_cast<std::size_t>(e.completion));
      if (c.ended) blame("a sequence ends twice");
      c.ended = true, c.reason = e.reason, c.decoding = false, c.sequence = -1;
    }
    s_->clear_ended();
  }

  void check_results() {
    if (pages_->open_sequences() != 0) blame("sequences are open at the end");
    if (pages_->available() != pages_->blocks()) blame("pages are missing at the end");
    for (request const& r : requests_) {
      for (completion const& c : r.completions) {
        auto const want  = sequential(r.prompt, r.max_tokens, c.which, o_.vocabulary, o_.stop_every);
        bool const whole = c.reason == sequence_end::stop || c.reason == sequence_end::length;
        if (!c.ended) blame("a sequence never ended");
        if (c.reason == sequence_end::cancelled && r.cancel_at == never) blame("cancelled, and nobody asked for it");
        if (c.reason == sequence_end::deadline && r.deadline == never) blame("too late without a deadline");
        if (whole && c.ids != want) blame("another text than alone");
        if (whole && (c.reason == sequence_end::length) != (static_cast<int>(want.size()) == r.max_tokens))
          blame("ended for another reason than alone");
        if (c.ids.size() > want.size() || !std::equal(c.ids.begin(), c.ids.end(), want.begin()))
          blame("another beginning than alone");
      }
    }
  }

  scenario                                    o_;
  std::mt19937_64                             random_;
  std::vector<request>                        requests_;  // in order of arrival
  std::unordered_map<std::uint64_t, request*> by_tag_;
  std::unordered_map<std::uint64_t, bool>     cancelled_;
  std::int64_t                                longest_ = 1, all_ = 0, decoding_ = 0;
  tenon::kv_blocks<>*                         pages_ = nullptr;
  scheduler*                                  s_     = nullptr;
  hash_model                                  model_{1, 1};
  double                                      now_  = 0;
  std::size_t                                 next_ = 0;
  std::string                                 fault_;
};

}  // namespace test
