#pragma once
namespace cuda::std {}
namespace std {
using namespace cuda::std;
}
