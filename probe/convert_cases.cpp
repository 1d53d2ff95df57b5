#include "probe.hpp"
std::vector<probe::entry> probe::convert_cases() { return {}; }
