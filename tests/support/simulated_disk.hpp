/// A file system in memory that fails on demand, and that can lose power: what was not flushed is then kept, lost or
/// half-written, as a seed decides.
///
/// The rules are the weakest that file systems promise. Bytes of a file last once it has been flushed, names in a folder
/// once the folder has been flushed; before, each file's end and each change of a name may or may not have reached the
/// disk, in any order.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/io/file_system.hpp"

namespace aeth::test {

/// What happens at a call.
enum class Fault {
  none,
  error,        ///< that call fails; the next ones are fine
  all_errors,   ///< that call and all after it
  short_write,  ///< a write takes one byte; other calls are fine
  crash,        ///< the power is gone: that call and all after it do nothing and fail
};

class SimulatedDisk : public io::FileSystem {
 public:
  /// How a crash treats what was not flushed.
  enum class Loss {
    nothing,     ///< as when only the process is killed
    everything,  ///< neither bytes nor names
    bytes,       ///< names are there, of files that are empty
    halves,      ///< names are there; files have their length, and zeros instead of their second half
    chance,      ///< each name and each file decides for itself
  };

  /// The n-th call from now on, counted from 1, meets a fault.
  void plan(Fault fault, std::uint64_t n, int error = EIO) {
    Inside const here(*this);
    fault_ = fault;
    at_ = n;
    error_ = error;
    calls_ = 0;
  }
  /// Calls since plan().
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  /// The disk after the power is back; locks and open files are gone.
  void restart(Loss loss, std::uint64_t seed = 0) {
    Random random(seed, RandomUse::test);
    lose(*root_, loss, random);
    open_.clear();
    fault_ = Fault::none;
  }
  /// The same disk, for another outcome of the same crash; nothing is open or planned.
  [[nodiscard]] std::unique_ptr<SimulatedDisk> clone() const {
    auto other = std::make_unique<SimulatedDisk>();
    std::map<Node const*, std::shared_ptr<Node>> made;
    other->root_ = copy_of(root_, made);
    return other;
  }

  /// Whether this thread is in one of the calls below: it must get memory then.
  [[nodiscard]] static bool is_inside() noexcept { return depth_ > 0; }

  /// All files below the root with their content, and folders with nothing behind their slash.
  [[nodiscard]] std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> all;
    add_contents(*root_, "", all);
    return all;
  }
  /// The content of a file, to be looked at or damaged behind everyone's back.
  [[nodiscard]] std::string& content(std::string const& path) {
    auto const node = find(path);
    if (!node || node->folder) throw std::runtime_error("no file " + path);
    return node->bytes;
  }
  /// Copies a file or a folder.
  void copy(std::string const& from, std::string const& to) {
    std::map<Node const*, std::shared_ptr<Node>> made;
    parent_of(to)->names[last_of(to)] = copy_of(find(from), made);
  }
  void make_link(std::string const& path) {
    auto const node = std::make_shared<Node>();
    node->link = true;
    parent_of(path)->names[last_of(path)] = node;
  }

  int open(char const* path, int flags) noexcept override {
    Inside const here(*this);
    if (fails()) return -1;
    auto node = find(path);
    if (node && (flags & O_EXCL) != 0) return fail(EEXIST);
    if (node && node->link) return fail((flags & O_NOFOLLOW) != 0 ? ELOOP : ENOENT);
    if (node && (flags & O_DIRECTORY) != 0 && !node->folder) return fail(ENOTDIR);
    if (node && node->folder && (flags & (O_WRONLY | O_RDWR)) != 0) return fail(EISDIR);
    if (!node) {
      auto const parent = parent_of(path);
      if ((flags & O_CREAT) == 0 || !parent) return fail(ENOENT);
      node = std::make_shared<Node>();
      change(*parent, last_of(path), node);
    }
    open_.push_back({node, 0, false, true});
    return static_cast<int>(open_.size()) - 1 + first_descriptor;
  }
  int close(int file) noexcept override {
    Inside const here(*this);
    if (at(file)) at(file)->used = false;  // also where it fails
    return fails() ? -1 : 0;
  }
  ::ssize_t read(int file, void* to, std::size_t count) noexcept override {
    Inside const here(*this);
    if (fails()) return -1;
    Open& open = *at(file);
    count = std::min(count, open.node->bytes.size() - std::min(open.place, open.node->bytes.size()));
    std::copy_n(open.node->bytes.data() + open.place, count, static_cast<char*>(to));
    open.place += count;
    return static_cast<::ssize_t>(count);
  }
  ::ssize_t write(int file, void const* from, std::size_t count) noexcept override {
    Inside const here(*this);
    bool const is_short = fault_ == Fault::short_write && calls_ + 1 == at_;
    if (fails()) return -1;
    if (is_short) count = std::min(count, std::size_t{1});
    Open& open = *at(file);
    std::string& bytes = open.node->bytes;
    bytes.resize(std::max(bytes.size(), open.place + count));
    std::copy_n(static_cast<char const*>(from), count, bytes.data() + open.place);
    open.place += count;
    return static_cast<::ssize_t>(count);
  }
  std::int64_t size(int file) noexcept override {
    Inside const here(*this);
    if (fails(false)) return -1;
    return at(file)->node->folder ? fail(EINVAL) : static_cast<std::int64_t>(at(file)->node->bytes.size());
  }
  int flush(int file) noexcept override {
    Inside const here(*this);
    if (fails()) return -1;
    Node& node = *at(file)->node;
    node.safe_bytes = node.bytes;
    node.safe_names = node.names;
    node.changes.clear();
    return 0;
  }
  int lock(int file) noexcept override {
    Inside const here(*this);
    if (fails()) return -1;
    for (Open const& other : open_)
      if (other.used && other.locked && other.node == at(file)->node) return fail(EWOULDBLOCK);
    at(file)->locked = true;
    return 0;
  }
  int rename(char const* from, char const* to) noexcept override {
    Inside const here(*this);
    if (fails(false)) return -1;
    auto const node = find(from), old = find(to);
    auto const parent = parent_of(from);
    if (!node || parent != parent_of(to)) return fail(node ? EXDEV : ENOENT);
    if (old && old->folder && !old->names.empty()) return fail(ENOTEMPTY);
    if (old && old->folder != node->folder) return fail(node->folder ? ENOTDIR : EISDIR);
    parent->changes.push_back({last_of(from), last_of(to), node});
    parent->names.erase(last_of(from));
    parent->names[last_of(to)] = node;
    return 0;
  }
  int remove_file(char const* path) noexcept override {
    Inside const here(*this);
    if (fails(false)) return -1;
    auto const node = find(path);
    if (!node || node->folder) return fail(node ? EISDIR : ENOENT);
    change(*parent_of(path), last_of(path), nullptr);
    return 0;
  }
  int make_folder(char const* path) noexcept override {
    Inside const here(*this);
    if (fails(false)) return -1;
    auto const parent = parent_of(path);
    if (find(path) || !parent) return fail(parent ? EEXIST : ENOENT);
    auto const node = std::make_shared<Node>();
    node->folder = true;
    change(*parent, last_of(path), node);
    return 0;
  }
  int remove_folder(char const* path) noexcept override {
    Inside const here(*this);
    if (fails(false)) return -1;
    auto const node = find(path);
    if (!node || !node->folder || !node->names.empty())
      return fail(!node ? ENOENT : node->folder ? ENOTEMPTY : ENOTDIR);
    change(*parent_of(path), last_of(path), nullptr);
    return 0;
  }
  int list(char const* path, std::vector<std::string>& names) override {
    Inside const here(*this);
    if (fails()) return -1;
    auto const node = find(path);
    if (!node || !node->folder) return fail(node ? ENOTDIR : ENOENT);
    for (auto const& [name, child] : node->names) names.push_back(name);
    return 0;
  }

 private:
  struct Node;
  using Names = std::map<std::string, std::shared_ptr<Node>>;
  /// A change of a folder's names: `from` is empty where something was made, the node is null where it was removed.
  struct Change {
    std::string from, to;
    std::shared_ptr<Node> node;
  };
  struct Node {
    bool folder = false, link = false;
    std::string bytes, safe_bytes;
    Names names, safe_names;
    std::vector<Change> changes;  // since the folder was flushed
  };
  struct Open {
    std::shared_ptr<Node> node;
    std::size_t place;
    bool locked, used;
  };

  /// Marks a call, and keeps calls of several threads apart.
  struct Inside {
    std::lock_guard<std::recursive_mutex> lock;
    explicit Inside(SimulatedDisk& disk) : lock(disk.mutex_) { ++depth_; }
    Inside(Inside const&) = delete;
    Inside& operator=(Inside const&) = delete;
    ~Inside() { --depth_; }
  };

  static constexpr int first_descriptor = 100;
  static inline thread_local int depth_ = 0;

  static int fail(int error) noexcept {
    errno = error;
    return -1;
  }

  /// Counts a call and says whether it is to fail. Calls that only change names are never interrupted.
  bool fails(bool can_be_interrupted = true) noexcept {
    ++calls_;
    if (error_ == EINTR && !can_be_interrupted) return false;
    bool const now = calls_ == at_, since = calls_ >= at_;
    bool const failing =
        (fault_ == Fault::error && now) || ((fault_ == Fault::all_errors || fault_ == Fault::crash) && since);
    if (failing) errno = error_;
    return failing;
  }

  Open* at(int file) noexcept {
    auto const index = static_cast<std::size_t>(file - first_descriptor);
    return index < open_.size() ? &open_[index] : nullptr;
  }

  static void change(Node& parent, std::string const& name, std::shared_ptr<Node> const& node) {
    parent.changes.push_back({"", name, node});
    if (node)
      parent.names[name] = node;
    else
      parent.names.erase(name);
  }

  [[nodiscard]] std::shared_ptr<Node> find(std::string_view path) const {
    std::shared_ptr<Node> node = root_;
    while (node && !path.empty()) {
      std::size_t const end = path.find('/');
      std::string const name(path.substr(0, end));
      path.remove_prefix(end == path.npos ? path.size() : end + 1);
      if (name.empty() || name == ".") continue;
      auto const child = node->names.find(name);
      node = child == node->names.end() ? nullptr : child->second;
    }
    return node;
  }
  [[nodiscard]] std::shared_ptr<Node> parent_of(std::string_view path) const {
    std::size_t const slash = path.rfind('/');
    return slash == path.npos ? root_ : find(path.substr(0, slash));
  }
  [[nodiscard]] static std::string last_of(std::string_view path) {
    return std::string(path.substr(path.rfind('/') + 1));
  }

  static void lose(Node& node, Loss loss, Random& random) {
    if (loss == Loss::everything) node.names = node.safe_names;
    if (loss == Loss::chance) {
      node.names = node.safe_names;
      for (Change const& change : node.changes) {
        auto const moved = node.names.find(change.from);
        bool const possible = change.from.empty() || moved != node.names.end();
        if (!possible || random.below(2) == 0) continue;
        if (!change.from.empty()) node.names.erase(moved);
        if (change.node)
          node.names[change.to] = change.node;
        else
          node.names.erase(change.to);
      }
    }
    auto const choice = loss == Loss::chance ? random.below(4) : 0;
    if (node.bytes != node.safe_bytes) {
      std::size_t const safe = node.safe_bytes.size();
      if (loss == Loss::everything || loss == Loss::bytes || choice == 1) node.bytes = node.safe_bytes;
      if (loss == Loss::halves || choice == 2)
        std::fill(node.bytes.begin() + static_cast<std::ptrdiff_t>((safe + node.bytes.size()) / 2),
                  node.bytes.end(), '\0');
      if (choice == 3) node.bytes.resize((safe + node.bytes.size()) / 2);
    }
    node.safe_bytes = node.bytes;
    node.safe_names = node.names;
    node.changes.clear();
    for (auto const& [name, child] : node.names) lose(*child, loss, random);
  }

  static std::shared_ptr<Node> copy_of(std::shared_ptr<Node> const& node,
                                       std::map<Node const*, std::shared_ptr<Node>>& made) {
    if (!node) return nullptr;
    std::shared_ptr<Node>& copy = made[node.get()];
    if (copy) return copy;
    copy = std::make_shared<Node>(*node);
    for (Names* const names : {&copy->names, &copy->safe_names})
      for (auto& [name, child] : *names) child = copy_of(child, made);
    for (Change& change : copy->changes) change.node = copy_of(change.node, made);
    return copy;
  }

  static void add_contents(Node const& node, std::string const& path,
                           std::map<std::string, std::string>& all) {
    for (auto const& [name, child] : node.names) {
      if (child->folder) all[path + name + "/"];
      if (child->folder)
        add_contents(*child, path + name + "/", all);
      else
        all[path + name] = child->bytes;
    }
  }

  std::shared_ptr<Node> root_ = [] {
    auto node = std::make_shared<Node>();
    node->folder = true;
    return node;
  }();
  std::recursive_mutex mutex_;
  std::vector<Open> open_;
  Fault fault_ = Fault::none;
  std::uint64_t at_ = 0, calls_ = 0;
  int error_ = 0;
};

}  // namespace aeth::test
