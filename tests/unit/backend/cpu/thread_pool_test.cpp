// The pool under many rounds, uneven tasks and exceptions; meant to be run with the thread sanitizer too.
#include "aeth/backend/cpu/thread_pool.hpp"

#include <atomic>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using aeth::Index;
using aeth::ThreadPool;
using aeth::to_size;

TEST_CASE("each task runs once, in any number of threads", "[backend]") {
  for (int const threads : {-1, 0, 1, 2, 4, 7}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == aeth::max(threads, 1));
    for (Index const count : {-3, 0, 1, 2, 3, 100}) {
      std::vector<int> runs(to_size(aeth::max(count, Index{0})));
      std::atomic<int> bad_threads{0};
      pool.run(count, [&](Index i, int thread) {
        ++runs[to_size(i)];  // not atomic: no other task has this element
        if (thread < 0 || thread >= pool.size()) ++bad_threads;
      });
      for (int const n : runs) CHECK(n == 1);
      CHECK(bad_threads == 0);
    }
  }
}

TEST_CASE("what tasks wrote is seen after the round, and what was written before it in the tasks",
          "[backend]") {
  ThreadPool pool(4);
  std::vector<long> values(64, 1);
  for (int round = 0; round < 3000; ++round) {
    long const add = round;  // written by the caller, read by all
    pool.run(64, [&](Index i, int) { values[to_size(i)] += add; });
    pool.run(63, [&](Index i, int) {
      if (i % 2 == 0) std::swap(values[to_size(i)], values[to_size(i + 1)]);
    });
  }
  for (long const v : values) CHECK(v == 1 + 3000L * 2999 / 2);
}

TEST_CASE("one slow task does not hold up the others", "[backend]") {
  ThreadPool pool(4);
  std::atomic<Index> work{0};
  std::vector<Index> per_thread(4, 0);
  pool.run(200, [&](Index i, int thread) {
    // The first task is a thousand times as long; the counter gives the rest to the other threads.
    Index volatile sink = 0;
    for (Index n = 0; n < (i == 0 ? 1'000'000 : 1000); ++n) sink = sink + n;
    ++per_thread[to_size(thread)];
    work += 1;
  });
  CHECK(work == 200);
  Index total = 0;
  for (Index const n : per_thread) total += n;
  CHECK(total == 200);
}

TEST_CASE("a thread has its own scratch", "[backend]") {
  ThreadPool pool(4);
  std::vector<std::vector<Index>> scratch(4);
  for (int round = 0; round < 200; ++round) {
    pool.run(40, [&](Index i, int thread) { scratch[to_size(thread)].push_back(i); });
    Index total = 0;
    for (auto& list : scratch) {
      for (std::size_t i = 1; i < list.size(); ++i) CHECK(list[i - 1] < list[i]);  // ascending per thread
      total += static_cast<Index>(list.size());
      list.clear();
    }
    CHECK(total == 40);
  }
}

TEST_CASE("the first exception of a round comes back, and the pool goes on", "[backend]") {
  for (int const threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 300; ++round) {
      std::atomic<int> runs{0};
      auto const failing = [&](Index i, int) {
        ++runs;
        if (i == 5 || i == 6) throw std::runtime_error("task failed");
      };
      CHECK_THROWS_AS(pool.run(20, failing), std::runtime_error);
      CHECK(runs >= 6);
      runs = 0;
      pool.run(20, [&](Index, int) { ++runs; });
      CHECK(runs == 20);
    }
    CHECK_THROWS_AS(pool.run(1, [](Index, int) { throw std::logic_error("alone"); }), std::logic_error);
  }
}

TEST_CASE("pools come and go, used or not", "[backend]") {
  for (int i = 0; i < 100; ++i) {
    ThreadPool pool(4);
    std::atomic<int> runs{0};
    if (i % 2 == 0) pool.run(9, [&](Index, int) { ++runs; });
    CHECK(runs == (i % 2 == 0 ? 9 : 0));
  }
}
