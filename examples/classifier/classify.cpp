//  A convolutional classifier of handwritten digits: trained with three branches per block, folded into one, and run in
//  int8 and int4 with scales from observers and from training.
//  $ ./classify          prints:
//    450 images, not seen in training
//
//                               right as folded    bytes
//    three branches              449       450    85544
//    folded                      449       450    73768
//      logits differ by at most 1e-5 of the largest one: yes
//    w8a8 largest                449       450    20236
//    w8a8 percentile             449       450    20236
//    w8a8 squared error          449       450    20236
//    w8a8 entropy                449       450    20236
//    w8a8 learned                448       449    20236
//      weights on the grid of their learned scales: 100.0 %
//    w4a4 largest                427       428    11236
//    w4a4 percentile             434       433    11236
//    w4a4 squared error          422       423    11236
//    w4a4 entropy                432       433    11236
//    w4a4 learned                447       448    11236
//      weights on the grid of their learned scales: 100.0 %
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "classifier/folded_network.hpp"
#include "classifier/network_file.hpp"
#include "classifier/observe.hpp"
#include "classifier/quantised_network.hpp"
#include "classifier/rep_vgg_network.hpp"
#include "engine/error.hpp"

namespace {

using classifier::image_set, classifier::index_t;

/// The most likely digit of each image.
std::vector<int> digits_of(std::vector<float> const& logits) {
  std::vector<int> digits;
  for (auto row = logits.begin(); row != logits.end(); row += classifier::head::classes)
    digits.push_back(static_cast<int>(std::max_element(row, row + classifier::head::classes) - row));
  return digits;
}

template <class Network>
std::vector<float> logits_of(Network const& network, image_set const& images) {
  return network(tenon::context{}, images, 0, images.count());
}

/// A line of the table: images that are right, images on which two networks agree.
void line(char const* name, std::vector<int> const& digits, image_set const& images, std::vector<int> const& other,
          std::size_t bytes) {
  int right = 0, same = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    right += digits[i] == images.labels[i];
    same += digits[i] == other[i];
  }
  std::printf("%-26s %4d %9d %8zu\n", name, right, same, bytes);
}

constexpr index_t timed_images = 384;  // whole batches of 32

/// Images per second in batches: the median of eleven passes.
template <class Network>
double rate(Network const& network, image_set const& images, index_t batch) {
  using clock = std::chrono::steady_clock;
  std::vector<double> rates;
  for (int pass = 0; pass < 12; ++pass) {
    auto const start = clock::now();
    for (index_t first = 0; first < timed_images; first += batch) network(tenon::context{}, images, first, batch);
    double const seconds = std::chrono::duration<double>(clock::now() - start).count();
    if (pass > 0) rates.push_back(static_cast<double>(timed_images) / seconds);
  }
  std::nth_element(rates.begin(), rates.begin() + 5, rates.end());
  return rates[5];
}

template <class Network>
void time_line(char const* name, Network const& network, image_set const& images) {
  double const one = rate(network, images, 1), many = rate(network, images, 32);
  std::printf("%-26s %9.0f %9.0f %6.2f\n", name, one, many, many / one);
}

int run(std::string const& directory, bool timed) {
  classifier::network_file const digits(directory + "/digits.safetensors");
  image_set const                test{digits.bytes("test.images", {-1, 8, 8}), digits.bytes("test.labels", {-1})};
  image_set const                calibration{digits.bytes("calibration.images", {-1, 8, 8}), {}};
  if (test.count() != static_cast<index_t>(test.labels.size()))
    throw tenon::engine::wrong(directory, "has other labels than images", std::to_string(test.labels.size()),
                               std::to_string(test.count()));
  if (timed && test.count() < timed_images)
    throw tenon::engine::wrong(directory, "has too few images to time", std::to_string(test.count()),
                               "at least " + std::to_string(timed_images));

  // As trained, and folded: the same function up to rounding.
  classifier::rep_vgg_network const trained(classifier::network_file(directory + "/model.safetensors"));
  classifier::folded_network const  folded(trained);
  auto const                        before = logits_of(trained, test), after = logits_of(folded, test);
  double                            largest = 0, error = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(before[i])));
    error   = std::max(error, std::abs(static_cast<double>(after[i]) - static_cast<double>(before[i])));
  }
  bool const exact    = error <= 1e-5 * largest;
  auto const expected = digits_of(after);
  std::printf("%lld images, not seen in training\n\n%-26s %4s %9s %8s\n", static_cast<long long>(test.count()), "",
              "right", "as folded", "bytes");
  line("three branches", digits_of(before), test, expected, trained.bytes());
  line("folded", expected, test, expected, folded.bytes());
  std::printf("  logits differ by at most 1e-5 of the largest one: %s\n", exact ? "yes" : "NO");

  // In integers.
  auto const seen = classifier::observe(tenon::context{}, folded, calibration);
  struct {
    char const*         name;
    tenon::range_method method;
  } const rules[] = {{"largest", tenon::range_method::max},
                     {"percentile", tenon::range_method::percentile},
                     {"squared error", tenon::range_method::squared_error},
                     {"entropy", tenon::range_method::entropy}};
  bool on_grid    = true;
  for (int const bits : {8, 4}) {
    std::string const precision = "w" + std::to_string(bits) + "a" + std::to_string(bits);
    for (auto const& rule : rules) {
      classifier::quantised_network const q(folded, bits, bits, classifier::input_scales(seen, rule.method, bits));
      line((precision + " " + rule.name).c_str(), digits_of(logits_of(q, test)), test, expected, q.bytes());
    }
    classifier::quantised_network const learned(
        classifier::network_file(directory + "/qat_" + precision + ".safetensors"), bits, bits);
    line((precision + " learned").c_str(), digits_of(logits_of(learned, test)), test, expected, learned.bytes());
    std::printf("  weights on the grid of their learned scales: %.1f %%\n", 100 * learned.grid().on_grid_part());
    on_grid = on_grid && learned.grid().on_grid_part() == 1;
  }

  if (timed) {
    classifier::quantised_network const q(folded, 8, 8, classifier::input_scales(seen, tenon::range_method::max, 8));
    std::printf("\n%-26s %9s %9s %6s\n", "images per second, batch", "1", "32", "ratio");
    time_line("three branches", trained, test);
    time_line("folded", folded, test);
    time_line("w8a8", q, test);
    std::printf("logits differ by %.2e of the largest one\n", error / largest);
  }
  return exact && on_grid ? 0 : 1;
}

}  // namespace

// classify [--time] [DIRECTORY]
int main(int argc, char** argv) try {
  std::string directory = CLASSIFIER_MODEL;
  bool        timed     = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--time") == 0) timed = true;
    else directory = argv[i];
  }
  return run(directory, timed);
} catch (std::exception const& e) {
  std::fprintf(stderr, "classify: %s\n", e.what());
  return 1;
}
