// Buffers and arenas.
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "aeth/core/arena.hpp"
#include "aeth/core/buffer.hpp"
#include "support/catch.hpp"

using namespace aeth;

namespace {
bool aligned(void const* p) {
  return reinterpret_cast<std::uintptr_t>(p) % buffer_alignment == 0;
}
}  // namespace

TEST_CASE("a buffer is zeroed, aligned and keeps its address when moved", "[core]") {
  Buffer<float> a(1001);
  REQUIRE(a.size() == 1001);
  CHECK(aligned(a.data()));
  for (float const x : a.view()) REQUIRE(x == 0.0f);
  a[1000] = 3.0f;
  float* const address = a.data();
  Buffer<float> b(std::move(a));
  CHECK(b.data() == address);
  CHECK(b[1000] == 3.0f);
  Buffer<float> c;
  CHECK(c.empty());
  c = std::move(b);
  CHECK(c.data() == address);
  c.clear();
  CHECK(c[1000] == 0.0f);
}

TEST_CASE("an empty buffer has no memory and can be cleared", "[core]") {
  Buffer<double> a, b(0);
  CHECK(a.data() == nullptr);
  CHECK(b.data() == nullptr);
  a.clear();
  b = std::move(a);
  CHECK(b.view().size == 0);
}

TEST_CASE("an arena that reserved room does not grow until that is used up", "[core]") {
  Arena arena;
  Index const room = Index{5} << 20, part = Index{1} << 19;
  (void)arena.take<std::byte>(part);
  Arena::Mark const begin = arena.mark();
  arena.reserve(room);
  Index const held = arena.capacity();
  for (int round = 0; round < 2; ++round) {
    arena.release(begin);
    for (Index taken = 0; taken < room; taken += part) (void)arena.take<std::byte>(part);
    CHECK(arena.capacity() == held);
    arena.release(begin);
    arena.reserve(room);  // is there already
    CHECK(arena.capacity() == held);
  }
  arena.reserve(2 * room);
  CHECK(arena.capacity() == held + 2 * room);
}

TEST_CASE("an arena hands out aligned, disjoint memory", "[core]") {
  Arena arena;
  auto const a = arena.vector<float>(3);
  auto const b = arena.vector<double>(17);
  auto const c = arena.matrix<std::int32_t>(5, 7);
  CHECK(aligned(a.data));
  CHECK(aligned(b.data));
  CHECK(aligned(c.data));
  for (float& x : a) x = 1.0f;
  for (double& x : b) x = 2.0;
  for (Index i = 0; i < 35; ++i) c.data[i] = 3;
  for (float const x : a) CHECK(x == 1.0f);
  for (double const x : b) CHECK(x == 2.0);
  CHECK(c.stride == 7);
}

TEST_CASE("an arena gives the same addresses and takes no memory on the second pass", "[core]") {
  Arena arena;
  auto const pass = [&] {
    arena.release({});
    std::vector<void*> addresses;
    // Small and large pieces: some need blocks of their own.
    for (Index const count : {10, 100'000, 7, 3'000'000, 1, 200'000, 0, 5})
      addresses.push_back(arena.take<float>(count));
    return addresses;
  };
  auto const first = pass();
  Index const capacity = arena.capacity();
  CHECK(capacity >= 4 * 3'300'000);
  for (int i = 0; i < 3; ++i) {
    CHECK(pass() == first);
    CHECK(arena.capacity() == capacity);
  }
}

TEST_CASE("an arena scope returns what it took", "[core]") {
  Arena arena;
  float* const before = arena.take<float>(8);
  void* inside = nullptr;
  {
    ArenaScope const scope(arena);
    inside = arena.take<float>(8);
    {
      ArenaScope const inner(arena);
      (void)arena.take<double>(1'000'000);
    }
    CHECK(arena.take<float>(8) == static_cast<float*>(inside) + 16);
  }
  CHECK(arena.take<float>(8) == inside);
  CHECK(inside == before + 16);
}
