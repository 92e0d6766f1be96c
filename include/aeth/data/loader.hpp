/// Training batches without end, prepared by a thread of its own, from a position that can be saved.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/data/rows.hpp"
#include "aeth/io/hash.hpp"

namespace aeth::data {

struct LoaderOptions {
  RowOptions rows{};         ///< length, lookahead and isolation
  Index batch_rows = 8;      ///< B
  std::uint64_t seed = 0;    ///< of the order
  bool shuffle_rows = true;  ///< see RowCutter::shuffle()
  Index prefetch = 2;        ///< batches kept ready
};

/// Where a loader stands. All batches after it follow from it, the data and the options.
struct LoaderPosition {
  std::uint64_t epoch = 0;  ///< epochs finished
  Index row = 0;            ///< rows of this epoch that were given out
  std::uint64_t data = 0;   ///< fingerprint of the corpus
  std::uint64_t order = 0;  ///< hash of what the order of rows depends on: seed, length, shuffle_rows
  bool operator==(LoaderPosition const&) const = default;
};

/// Endless batches of a corpus. Each epoch has its own order; its last rows that do not fill a batch are left
/// out. One user thread at a time.
///
/// memory   `prefetch` batches and the corpus' order, taken when it is made; next() allocates only if the
///          vectors that it is given are too small for a batch
class Loader {
 public:
  /// The corpus must outlive the loader.
  ///
  /// errors   UsageError for options below 1; DataError if the corpus has less than one batch, and as check_documents()
  [[gnu::cold]] Loader(TokenCorpus const& corpus, LoaderOptions const& options)
      : options_(options),
        cutter_(corpus, options.rows),
        rows_(cutter_.full_rows()),
        data_(corpus.fingerprint != 0 ? corpus.fingerprint : corpus.hash()) {
    expect<UsageError>(options.batch_rows >= 1 && options.prefetch >= 1, "loader: batch_rows is ",
                       options.batch_rows, " and prefetch is ", options.prefetch,
                       "; both must be at least 1");
    expect<DataError>(rows_ >= options.batch_rows, "loader: the data set has ", corpus.size(),
                      " tokens, one batch needs ", options.batch_rows, " rows of ", options.rows.length,
                      " = ", options.batch_rows * options.rows.length,
                      "; add text, or make rows or batches smaller");
    given_ = {0, 0, data_, order_hash()};
    ready_.reserve(to_size(options.prefetch));
    spare_.reserve(to_size(options.prefetch));
    start(given_);
  }
  Loader(TokenCorpus&&, LoaderOptions const&) = delete;
  Loader(Loader const&) = delete;
  Loader(Loader&&) = delete;
  Loader& operator=(Loader const&) = delete;
  Loader& operator=(Loader&&) = delete;
  ~Loader() { stop(); }

  /// Swaps the next batch into `batch`; the vectors that were in it are used again, and what they held is lost
  /// even if this throws. Waits if none is ready.
  /// Errors of the thread are thrown here, then and at every later call until restore().
  void next(Batch& batch) {
    resize(batch);  // here and not in the thread, so that when it allocates is no matter of chance
    std::unique_lock lock(mutex_);
    ready_changed_.wait(lock, [&] { return !ready_.empty() || error_; });
    if (ready_.empty()) std::rethrow_exception(error_);
    std::swap(batch, ready_.front().batch);
    given_ = ready_.front().after;
    spare_.push_back(std::move(ready_.front().batch));
    ready_.erase(ready_.begin());
    lock.unlock();
    space_changed_.notify_one();
  }

  /// Where the next call of next() continues. A batch that is only prepared does not count.
  [[nodiscard]] LoaderPosition position() const noexcept { return given_; }

  /// Whether restore() would accept a position: of the same data and order; rows per batch may differ.
  ///
  /// errors   DataError if data or order differ, or if the row is outside the epoch
  void check(LoaderPosition const& position) const {
    expect<DataError>(
        position.data == data_ || position.data == unknown_data,
        "loader: the data differ from those of the saved position, so batches would repeat or be left "
        "out; bring back the same files and tokenizer, or start from the first batch");
    expect<DataError>(
        position.order == order_hash(),
        "loader: seed, row length or shuffle_rows differ from those of the saved position; use the "
        "saved options, or start from the first batch");
    expect<DataError>(position.row >= 0 && position.row <= rows_, "loader: the saved position is row ",
                      position.row, " of an epoch with ", rows_, " rows; the file is damaged");
  }

  /// Continues from a position. Errors: as check(), and the loader is unchanged then; or what the system
  /// says if it has no memory or thread to give, as next() does from then on.
  void restore(LoaderPosition const& position) {
    check(position);
    stop();
    given_ = position;
    given_.data = data_;
    start(given_);
  }

  [[nodiscard]] Index batches_per_epoch() const noexcept { return rows_ / options_.batch_rows; }

 private:
  /// In positions that earlier versions saved, of a corpus that was not sealed.
  static constexpr std::uint64_t unknown_data = 0;

  struct Prepared {
    Batch batch;
    LoaderPosition after;
  };

  [[nodiscard]] std::uint64_t order_hash() const noexcept {
    io::Hash64 hash;
    hash.add(options_.seed);
    hash.add(static_cast<std::uint64_t>(options_.rows.length));
    hash.add(std::uint64_t{options_.shuffle_rows});
    return hash.value();
  }

  void resize(Batch& batch) const {
    batch.resize(options_.batch_rows, options_.rows.length, options_.rows.lookahead);
  }

  /// Brings the spare batches back to `prefetch`: then the thread finds one whenever there is room for it.
  [[gnu::cold]] void start(LoaderPosition const& from) {
    error_ = nullptr;
    try {
      while (static_cast<Index>(spare_.size()) < options_.prefetch) resize(spare_.emplace_back());
      thread_ = std::jthread([this, from](std::stop_token const& token) { run(token, from); });
    } catch (...) {
      error_ = std::current_exception();  // without a thread next() would wait for ever
      throw;
    }
  }

  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    for (Prepared& prepared : ready_) spare_.push_back(std::move(prepared.batch));
    ready_.clear();
  }

  /// The thread: prepares batches until it is asked to stop.
  void run(std::stop_token const& token, LoaderPosition at) {
    try {
      cutter_.shuffle(options_.seed, at.epoch, options_.shuffle_rows);
      for (;;) {
        Batch batch;
        {
          std::unique_lock lock(mutex_);
          auto const has_space = [&] { return static_cast<Index>(ready_.size()) < options_.prefetch; };
          if (!space_changed_.wait(lock, token, has_space)) return;
          batch = std::move(spare_.back());
          spare_.pop_back();
        }
        if (token.stop_requested()) return;
        if (at.row + options_.batch_rows > rows_) {
          at.row = 0;
          cutter_.shuffle(options_.seed, ++at.epoch, options_.shuffle_rows);
        }
        resize(batch);
        for (Index slot = 0; slot < options_.batch_rows; ++slot) cutter_.fill(at.row++, slot, 0, batch);
        {
          std::lock_guard const lock(mutex_);
          ready_.push_back({std::move(batch), at});
        }
        ready_changed_.notify_one();
      }
    } catch (...) {
      {
        std::lock_guard const lock(mutex_);
        error_ = std::current_exception();
      }
      ready_changed_.notify_one();
    }
  }

  LoaderOptions options_;
  RowCutter cutter_;  // the thread's while it runs
  Index rows_;        // per epoch
  std::uint64_t data_;
  LoaderPosition given_;
  std::mutex mutex_;  // guards ready_, spare_ and error_
  std::condition_variable_any space_changed_;
  std::condition_variable ready_changed_;
  std::vector<Prepared> ready_;  // at most `prefetch`, the oldest first
  std::vector<Batch> spare_;
  std::exception_ptr error_;
  std::jthread thread_;  // last: joins before the rest goes
};

}  // namespace aeth::data
