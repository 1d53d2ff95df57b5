// error: tenon::tile::block_reduce: Threads must be 1 or a multiple of 32 up to 1024
#include <tenon/tile/reduce.cuh>
tenon::tile::block_reduce<48>::storage s;
