#pragma once
//  The machine under a kernel, one instruction family per file, twice: cuda/ is inline PTX, host/ is the same semantics
//  lane by lane. This is the only place where a target is chosen; both sides offer the same names and signatures (the
//  host's take one more, defaulted argument: the place of the call).
//
//    thread   lane(), warp()                                         shared   the block's dynamic shared memory
//    sync     block and warp barriers, fences                        memory   vectorised loads and stores, cache hints
//    warp     shuffles, votes, reductions, matches                   cp_async global -> shared copies in groups
//    matrix   ldmatrix, stmatrix, mma.sync                           atomic   atomics and acquire/release accesses
//    named_barrier  barriers of part of a block                      mbarrier barriers in memory that count bytes too
//    bulk     copies by the copy engine                              registers  handed between warpgroups
//    integer  bit functions of registers                             convert  between number formats
//    math     exp2, rsqrt, ... as the machine has them               launch   a kernel onto a context
//    half     f16 and bf16 in pairs                              dependency  launches that overlap
//    stripe   elements of a row in registers of one thread           run      what one load brings of a row, in stripes
#include <tenon/config.hpp>
#if TENON_CUDA
#  include <tenon/arch/cuda/atomic.cuh>
#  include <tenon/arch/cuda/bulk.cuh>
#  include <tenon/arch/cuda/convert.cuh>
#  include <tenon/arch/cuda/cp_async.cuh>
#  include <tenon/arch/cuda/dependency.cuh>
#  include <tenon/arch/cuda/half.cuh>
#  include <tenon/arch/cuda/integer.cuh>
#  include <tenon/arch/cuda/launch.cuh>
#  include <tenon/arch/cuda/math.cuh>
#  include <tenon/arch/cuda/matrix.cuh>
#  include <tenon/arch/cuda/mbarrier.cuh>
#  include <tenon/arch/cuda/memory.cuh>
#  include <tenon/arch/cuda/named_barrier.cuh>
#  include <tenon/arch/cuda/registers.cuh>
#  include <tenon/arch/cuda/run.cuh>
#  include <tenon/arch/cuda/shared.cuh>
#  include <tenon/arch/cuda/stripe.cuh>
#  include <tenon/arch/cuda/sync.cuh>
#  include <tenon/arch/cuda/warp.cuh>
#else
#  include <tenon/arch/host/atomic.cuh>
#  include <tenon/arch/host/bulk.cuh>
#  include <tenon/arch/host/convert.cuh>
#  include <tenon/arch/host/cp_async.cuh>
#  include <tenon/arch/host/dependency.cuh>
#  include <tenon/arch/host/half.cuh>
#  include <tenon/arch/host/integer.cuh>
#  include <tenon/arch/host/launch.cuh>
#  include <tenon/arch/host/math.cuh>
#  include <tenon/arch/host/matrix.cuh>
#  include <tenon/arch/host/mbarrier.cuh>
#  include <tenon/arch/host/memory.cuh>
#  include <tenon/arch/host/named_barrier.cuh>
#  include <tenon/arch/host/registers.cuh>
#  include <tenon/arch/host/run.cuh>
#  include <tenon/arch/host/shared.cuh>
#  include <tenon/arch/host/stripe.cuh>
#  include <tenon/arch/host/sync.cuh>
#  include <tenon/arch/host/warp.cuh>
#endif
