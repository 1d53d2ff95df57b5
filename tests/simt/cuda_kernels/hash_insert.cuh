// Distinct keys: each key takes the first free slot of an open-addressed table, or finds itself there.
// Planted: the slot is tested and taken in two steps.
#include <tenon/simt/cuda.hpp>

constexpr unsigned hash_slots = 256, hash_empty = 0xffffffffu;

__global__ void hash_insert(unsigned* table, unsigned* distinct, unsigned const* keys, int n) {
  int const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned const key = keys[i];
  for (unsigned slot = key * 2654435761u % hash_slots;; slot = (slot + 1) % hash_slots) {
#if PLANTED
    unsigned const found = table[slot];          // [test]
    if (found == hash_empty) table[slot] = key;  // [take]
#else
    unsigned const found = atomicCAS(&table[slot], hash_empty, key);
#endif
    if (found == hash_empty) atomicAdd(distinct, 1u);
    if (found == hash_empty || found == key) return;
  }
}
