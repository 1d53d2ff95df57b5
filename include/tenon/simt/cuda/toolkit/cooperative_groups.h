#pragma once
//  The toolkit's name for what simt/cuda.hpp has.
#include <tenon/simt/cuda.hpp>
