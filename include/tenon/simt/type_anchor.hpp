#pragma once
//  A variable per type. A checked program hands its address to the machine; when there is something to report, the debug
//  information of the variable at that address tells what the type's members are called (checked/debug_info.hpp).
#include <type_traits>

namespace tenon::simt {

template <class T>
inline T* type_anchor = nullptr;

/// nullptr for bytes, of which a report could say no more than where they are.
template <class T>
void const* anchor_of() {
  using bare = std::remove_cv_t<T>;
  if constexpr (sizeof(bare) == 1 && !std::is_class_v<bare>) return nullptr;
  else return &type_anchor<bare>;
}

}  // namespace tenon::simt
