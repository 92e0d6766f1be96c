# check_quotes.cmake accepts a true quote and refuses a false one, a missing source and a missing marker.
#
#   cmake -D WORK=<scratch folder> -P self_test.cmake
cmake_minimum_required(VERSION 3.25)

function(quote source block passes)
  file(WRITE ${WORK}/examples/a.cpp "int a;\n// [begin part]\nint b[2];  // ;\n\nint c;\n// [end part]\n")
  file(WRITE ${WORK}/README.md "Text\n\n<!-- quote: ${source} -->\n```cpp\n${block}```\n")
  execute_process(COMMAND ${CMAKE_COMMAND} -D ROOT=${WORK} -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check_quotes.cmake
    OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(passes)
    set(expected "1 quotes agree")
  else()
    set(expected "README.md: ")
  endif()
  if(NOT output MATCHES "${expected}")
    message(FATAL_ERROR "self_test: quote of ${source} should give '${expected}':\n${output}")
  endif()
endfunction()

quote("examples/a.cpp part" "int b[2];  // ;\n\nint c;\n" TRUE)
quote("examples/a.cpp part" "int b[3];  // ;\n\nint c;\n" FALSE)
quote("examples/a.cpp other" "int b[2];  // ;\n\nint c;\n" FALSE)
quote("examples/b.cpp part" "int b[2];  // ;\n\nint c;\n" FALSE)
