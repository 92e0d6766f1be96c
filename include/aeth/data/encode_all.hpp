/// Encodes many texts on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/data/word_cache.hpp"

namespace aeth::data {

/// The ids of each text, in the order of the texts; the same for any number of threads.
///
/// threads  0: one per core. Each takes the next text that nobody has taken, so texts should outnumber threads
/// errors   UsageError for fewer than 0 threads; of the texts that cannot be encoded, the error of the first, after
///          all threads have ended
[[nodiscard]] inline std::vector<std::vector<std::int32_t>> encode_all(Tokenizer const& tokenizer,
                                                                       std::span<std::string const> texts,
                                                                       int threads = 0,
                                                                       EncodeOptions options = {}) {
  expect<UsageError>(threads >= 0, "encode_all: threads is ", threads, "; ask for 0 (all cores) or more");
  if (threads == 0) threads = static_cast<int>((std::max)(1u, std::thread::hardware_concurrency()));
  std::vector<std::vector<std::int32_t>> ids(texts.size());
  std::vector<std::exception_ptr> errors(texts.size());
  std::atomic<std::size_t> next{0};
  auto const work = [&] {
    std::optional<WordCache> cache;
    for (std::size_t i; (i = next++) < texts.size();) {
      try {
        if (!cache) cache.emplace();
        tokenizer.encode(texts[i], ids[i], *cache, options);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < (std::min)(static_cast<std::size_t>(threads), texts.size()); ++i)
      helpers.emplace_back(work);
    work();
  }
  for (std::exception_ptr const& error : errors)
    if (error) std::rethrow_exception(error);
  return ids;
}

}  // namespace aeth::data
