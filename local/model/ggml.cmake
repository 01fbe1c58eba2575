# Included after project(ggml): the part of llama.cpp that multiplies matrices is optimised in full.
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
