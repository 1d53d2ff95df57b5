#pragma once
//  Matrix products: dense ones, and those with packed weights. gemm/dequantized_gemm.hpp, which joins the two, is apart: it
//  compiles both.
#include <tenon/gemm/gemm.hpp>
#include <tenon/gemm/packed_gemm.hpp>
