#include "probe.hpp"
std::vector<probe::entry> probe::matrix_cases() { return {}; }
