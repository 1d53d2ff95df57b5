#pragma once
//  What the host target does not model, by name: a kernel that uses it is told so by the compiler.
#include <type_traits>

namespace tenon::simt::detail {
template <class...>
inline constexpr bool modelled = false;
}

using cudaTextureObject_t = unsigned long long;
using cudaSurfaceObject_t = unsigned long long;

#define TENON_SIMT_REFUSE(NAME, WHAT)                                                    \
  template <class T = int, class... Arguments>                                           \
  T NAME(Arguments...) {                                                                 \
    static_assert(tenon::simt::detail::modelled<T, Arguments...>, "tenon::simt: " WHAT); \
    return T{};                                                                          \
  }
#define TENON_SIMT_REFUSE_ALL(WHAT, A, B, C, D) \
  TENON_SIMT_REFUSE(A, WHAT)                    \
  TENON_SIMT_REFUSE(B, WHAT)                    \
  TENON_SIMT_REFUSE(C, WHAT)                    \
  TENON_SIMT_REFUSE(D, WHAT)
#define TENON_SIMT_TEXTURES "textures are not modelled; read the buffer itself"
#define TENON_SIMT_SURFACES "surfaces are not modelled; read and write the buffer itself"
#define TENON_SIMT_CHILDREN "kernels cannot launch kernels here; launch from the host"
TENON_SIMT_REFUSE_ALL(TENON_SIMT_TEXTURES, tex1Dfetch, tex1D, tex2D, tex3D)
TENON_SIMT_REFUSE_ALL(TENON_SIMT_TEXTURES, tex2Dgather, tex1DLayered, tex2DLayered, texCubemap)
TENON_SIMT_REFUSE_ALL(TENON_SIMT_SURFACES, surf1Dread, surf2Dread, surf3Dread, surf2DLayeredread)
TENON_SIMT_REFUSE_ALL(TENON_SIMT_SURFACES, surf1Dwrite, surf2Dwrite, surf3Dwrite, surf2DLayeredwrite)
TENON_SIMT_REFUSE_ALL(TENON_SIMT_CHILDREN, cudaLaunchDevice, cudaGetParameterBuffer, cudaLaunchDeviceV2,
                      cudaGetParameterBufferV2)
#undef TENON_SIMT_TEXTURES
#undef TENON_SIMT_SURFACES
#undef TENON_SIMT_CHILDREN
#undef TENON_SIMT_REFUSE_ALL
#undef TENON_SIMT_REFUSE
