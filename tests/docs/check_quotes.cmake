# Code in README.md and docs/ that is marked as a quote equals the source it quotes:
#
#   <!-- quote: examples/01_quickstart.cpp quickstart -->      in the page, right before a ```cpp block
#   // [begin quickstart] ... // [end quickstart]              in the source
#
#   cmake -D ROOT=<repository> -P check_quotes.cmake
cmake_minimum_required(VERSION 3.25)

# between(TEXT BEGIN END OUT): what stands between the line that ends with BEGIN and the text END.
function(between text begin end out)
  string(FIND "${text}" "${begin}\n" position)
  if(position EQUAL -1)
    set(${out} "NOTFOUND" PARENT_SCOPE)
    return()
  endif()
  string(LENGTH "${begin}\n" length)
  math(EXPR position "${position} + ${length}")
  string(SUBSTRING "${text}" ${position} -1 text)
  string(FIND "${text}" "${end}" length)
  string(SUBSTRING "${text}" 0 ${length} text)
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

set(count 0)
file(GLOB_RECURSE pages ${ROOT}/docs/*.md)
foreach(page IN LISTS pages ITEMS ${ROOT}/README.md)
  file(READ ${page} page_text)
  string(REGEX MATCHALL "<!-- quote: [^ \n]+ [^ \n]+ -->" markers "${page_text}")
  foreach(marker IN LISTS markers)
    string(REGEX MATCH "quote: ([^ ]+) ([^ ]+) " _ "${marker}")
    set(source ${CMAKE_MATCH_1})
    set(name ${CMAKE_MATCH_2})
    if(NOT EXISTS ${ROOT}/${source})
      message(FATAL_ERROR "${page}: quotes ${source}, which does not exist")
    endif()
    file(READ ${ROOT}/${source} source_text)
    between("${page_text}" "${marker}\n```cpp" "```" quoted)
    between("${source_text}" "// [begin ${name}]" "// [end ${name}]" original)
    # Where the end marker is indented, so is what precedes it.
    string(REGEX REPLACE "[ \t]+$" "" original "${original}")
    if(original STREQUAL "NOTFOUND")
      message(FATAL_ERROR "${page}: ${source} has no '// [begin ${name}]'")
    elseif(NOT quoted STREQUAL original)
      message(FATAL_ERROR "${page}: the block under '${marker}' differs from the source, which says:\n${original}")
    endif()
    math(EXPR count "${count} + 1")
  endforeach()
endforeach()
message(STATUS "docs: ${count} quotes agree with their sources")
