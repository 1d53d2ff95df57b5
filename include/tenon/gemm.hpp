#pragma once
//  Matrix products.
#include <tenon/gemm/gemm.hpp>
