# SPDX-License-Identifier: Apache-2.0
# How every target of the project is compiled: C++20, warnings as errors,
# ccache and a fast linker where they are installed, a precompiled header for
# the standard library and Abseil.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(NFMETER_UNITY "Compile up to eight sources as one: half the time for all
  of them, but thrice for one. OFF for who edits" ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# Line tables are enough for stack traces and halve the build's memory.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
if(NFMETER_SANITIZE)
  # Reports keep their frames, and the build takes less time.
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
endif()

# One setting for libraries and programs, so that they can share the
# precompiled header.
add_compile_options(-fPIC -pthread)

# A privileged server that reads bytes of others: what the compiler and the
# linker can do against memory errors. tests/system/hardening_test.cc looks at
# the result.
if(NOT NFMETER_SANITIZE)
  add_compile_options(-U_FORTIFY_SOURCE $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>
                      -fstack-protector-strong -fstack-clash-protection
                      $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>)
endif()
add_link_options($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>
                 LINKER:-z,relro,-z,now,-z,noexecstack,-z,separate-code)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A precompiled header fills what gcc holds at first, and it looks for garbage
  # again and again: without that a test compiles in a fifth less time.
  add_compile_options("SHELL:--param ggc-min-heapsize=1048576")
endif()

find_program(NFMETER_CCACHE ccache)
if(NFMETER_CCACHE)
  # pch_defines and time_macros are what ccache's manual asks for with
  # precompiled headers. The base directory lets build folders share entries, and
  # that the locale counts for nothing, a container and its host. With the cache
  # of inodes it reads a precompiled header, hundreds of MB, once and not for
  # each source: of what it has already it finds thirty times as much a second.
  set(launcher ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,locale
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_INODECACHE=1
      ${NFMETER_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

find_program(NFMETER_MOLD mold)
if(NFMETER_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

if(NFMETER_SANITIZE)
  add_compile_options(-fsanitize=${NFMETER_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${NFMETER_SANITIZE})
endif()

set(NFMETER_WARNINGS -Wall -Wextra -Werror -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # For ccache with precompiled headers.
  list(APPEND NFMETER_WARNINGS -fpch-preprocess)
else()
  # Handlers have the names of the generated methods that they answer.
  list(APPEND NFMETER_WARNINGS -Wno-overloaded-virtual)
  # For ccache, too: else each precompiled header is another one.
  list(APPEND NFMETER_WARNINGS "SHELL:-Xclang -fno-pch-timestamp")
endif()

# nfmeter_library(NAME SOURCES... [ALONE SOURCES...] [DEPS targets...]) adds one
# static library for a folder. Headers are included by their path below server/
# or client/. ALONE: sources that can't be compiled together with others.
function(nfmeter_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;ALONE;DEPS" ${ARGN})
  if(NFMETER_UNITY)
    nfmeter_unite(arg_SOURCES ${name} ${arg_SOURCES})
  endif()
  add_library(${name} STATIC ${arg_SOURCES} ${arg_ALONE})
  target_link_libraries(${name} PUBLIC ${arg_DEPS})
  nfmeter_target(${name})
endfunction()

# Few sources that include all of these, by relative paths: CMake's own
# (UNITY_BUILD) have absolute ones, and then ccache shares nothing between
# folders.
function(nfmeter_unite out name)
  set(together 8)
  set(united)
  list(LENGTH ARGN count)
  math(EXPR last "${count} - 1")
  foreach(first RANGE 0 ${last} ${together})
    list(SUBLIST ARGN ${first} ${together} sources)
    # glibc's and the kernel's headers agree in this order only.
    set(text "#include <netinet/in.h>\n")
    foreach(source IN LISTS sources)
      file(RELATIVE_PATH path ${CMAKE_CURRENT_BINARY_DIR}
           ${CMAKE_CURRENT_SOURCE_DIR}/${source})
      string(APPEND text "#include \"${path}\"\n")
    endforeach()
    list(LENGTH united number)
    set(file ${CMAKE_CURRENT_BINARY_DIR}/${name}_${number}.cc)
    file(CONFIGURE OUTPUT ${file} CONTENT "${text}")
    list(APPEND united ${file})
  endforeach()
  set(${out} ${united} PARENT_SCOPE)
endfunction()

# Flags for a target of ours, and the precompiled header that NFMETER_PCH names
# in its folder.
function(nfmeter_target name)
  target_compile_options(${name} PRIVATE ${NFMETER_WARNINGS})
  target_precompile_headers(${name} REUSE_FROM ${NFMETER_PCH})
endfunction()

# nfmeter_precompiled_header(NAME HEADERS... [DEPS targets...]): gcc wants the
# flags of whoever uses a precompiled header to be those it was made with, so it
# is made once, by a target of its own.
function(nfmeter_precompiled_header name)
  cmake_parse_arguments(arg "" "" "HEADERS;DEPS" ${ARGN})
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc "")
  add_library(${name} STATIC ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc)
  target_link_libraries(${name} PRIVATE ${arg_DEPS})
  target_compile_options(${name} PRIVATE ${NFMETER_WARNINGS})
  target_precompile_headers(${name} PRIVATE ${arg_HEADERS})
endfunction()

set(NFMETER_PCH_HEADERS
  <algorithm> <array> <cstdint> <functional> <map> <memory> <optional>
  <string> <utility> <variant> <vector>
  <absl/container/flat_hash_map.h> <absl/status/statusor.h>
  <absl/strings/str_cat.h> <absl/synchronization/mutex.h> <absl/time/time.h>
  <absl/types/span.h>)
nfmeter_precompiled_header(nfmeter_pch HEADERS ${NFMETER_PCH_HEADERS})
set(NFMETER_PCH nfmeter_pch)
