# tenon_add_checked_test(<name> <sources>... [LIBRARIES <targets>...])
#
# A program whose kernels run under the host target's checker: shared and global races, uninitialised reads, out of
# bounds, misaligned vectors, divergence, unwaited copies, deadlocks (docs/host_target.md). The sources are compiled with
# the compiler's ThreadSanitizer instrumentation, but tenon's own hooks are linked instead of libtsan. Works from a build
# tree and from an installed package; sources may be tenon operators or plain CUDA-style kernels with
# <tenon/simt/cuda.hpp>.
#
# By hand, which is all that it does:
#
#   g++ -std=c++20 -O2 -g -Iinclude -c include/tenon/simt/checked_runtime.cpp -o checked_runtime.o       # never instrumented
#   g++ -std=c++20 -O1 -g -fsanitize=thread -U_FORTIFY_SOURCE --param tsan-instrument-func-entry-exit=0 --param tsan-distinguish-volatile=1 \
#       -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset -Iinclude -c my_test.cpp -o my_test.o
#   g++ my_test.o checked_runtime.o -Wl,--wrap=memcpy,--wrap=memmove,--wrap=memset -lgtest -lgtest_main -lpthread -o my_test
#
# Without the -fno-builtin-* the compiler expands copies of odd sizes in line, where nothing sees them. Instead of the
# params, clang++ takes `-mllvm -tsan-instrument-func-entry-exit=0 -mllvm -tsan-instrument-read-before-write=1
# -mllvm -tsan-distinguish-volatile=1`. The link step must not have -fsanitize=thread. Every file of the program that
# contains kernels or launches must be instrumented.

# The runtime stands beside the headers: in a source tree, under an install prefix, or where tenon::tenon says.
function(tenon_find_checked_runtime result)
  set(folders "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../include" "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../../../include")
  foreach(property HEADER_DIRS INTERFACE_INCLUDE_DIRECTORIES)
    get_target_property(more tenon::tenon ${property})
    if(more)
      list(APPEND folders ${more})
    endif()
  endforeach()
  foreach(folder IN LISTS folders)
    string(REGEX REPLACE "^\\$<BUILD_INTERFACE:(.*)>$" "\\1" folder "${folder}")
    if(EXISTS "${folder}/tenon/simt/checked_runtime.cpp")
      get_filename_component(path "${folder}/tenon/simt/checked_runtime.cpp" ABSOLUTE)
      set(${result} "${path}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "tenon_add_checked_test: simt/checked_runtime.cpp is not beside tenon's headers")
endfunction()

# The program alone; tenon_add_checked_test() also makes it a test.
function(tenon_add_checked_program name)
  cmake_parse_arguments(PARSE_ARGV 1 checked "" "" "LIBRARIES")

  # One copy of the runtime for all checked programs of a build.
  if(NOT TARGET tenon_checked_runtime)
    tenon_find_checked_runtime(runtime)
    add_library(tenon_checked_runtime STATIC EXCLUDE_FROM_ALL "${runtime}")
    target_link_libraries(tenon_checked_runtime PUBLIC tenon::tenon)
    target_compile_options(tenon_checked_runtime PRIVATE -O2 -g -fno-sanitize=all)
    target_link_options(tenon_checked_runtime INTERFACE "LINKER:--wrap=memcpy,--wrap=memmove,--wrap=memset")
    # <cuda_fp16.h>, <cooperative_groups.h>, ... of kernels that include the toolkit's headers by name.
    get_filename_component(simt "${runtime}" DIRECTORY)
    target_include_directories(tenon_checked_runtime INTERFACE "${simt}/cuda/toolkit")
  endif()

  add_executable(${name} ${checked_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${checked_LIBRARIES} tenon_checked_runtime)
  target_compile_options(${name} PRIVATE
    -O1 -g -fsanitize=thread -U_FORTIFY_SOURCE -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset
    $<$<CXX_COMPILER_ID:GNU>:--param=tsan-instrument-func-entry-exit=0;--param=tsan-distinguish-volatile=1>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-unknown-pragmas>  # unroll
    "$<$<CXX_COMPILER_ID:Clang>:SHELL:-mllvm -tsan-instrument-func-entry-exit=0>"
    "$<$<CXX_COMPILER_ID:Clang>:SHELL:-mllvm -tsan-instrument-read-before-write=1>"
    "$<$<CXX_COMPILER_ID:Clang>:SHELL:-mllvm -tsan-distinguish-volatile=1>")
endfunction()

function(tenon_add_checked_test name)
  tenon_add_checked_program(${name} ${ARGN})
  add_test(NAME ${name} COMMAND ${name})
endfunction()
