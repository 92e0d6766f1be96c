/// A disk that is full after some bytes: the process may write no longer files while this lives.
#pragma once

#include <sys/resource.h>

#include <csignal>

namespace aeth::test {

class FileSizeLimit {
 public:
  explicit FileSizeLimit(::rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &saved_);
    struct ::rlimit limit = saved_;
    limit.rlim_cur = bytes;  // a write that crosses it is short, the next one fails
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(FileSizeLimit const&) = delete;
  FileSizeLimit& operator=(FileSizeLimit const&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &saved_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  struct ::rlimit saved_ {};
  void (*handler_)(int);
};

}  // namespace aeth::test
