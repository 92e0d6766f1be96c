# Runs PLAIN and FUSED and fails unless they print the same.
#
#   cmake -D PLAIN=<program> -D FUSED=<program> -P compare.cmake
cmake_minimum_required(VERSION 3.25)

foreach(name IN ITEMS PLAIN FUSED)
  execute_process(COMMAND ${${name}} OUTPUT_VARIABLE ${name}_bits RESULT_VARIABLE result)
  if(result EQUAL 77)
    message("skipped: this machine has no FMA")
    return()
  endif()
  if(NOT result EQUAL 0 OR ${name}_bits STREQUAL "")
    message(FATAL_ERROR "flags: ${${name}} ended with ${result}")
  endif()
endforeach()
if(NOT PLAIN_bits STREQUAL FUSED_bits)
  message(FATAL_ERROR "flags: gradients depend on compiler flags:\n  plain ${PLAIN_bits}  fused ${FUSED_bits}"
                      "A multiplication feeds an addition without std::fma.")
endif()
message("the same bits: ${PLAIN_bits}")
