/// Prefill and decoding: sequences that grow, with a cache of what attention needs of the past.
///
/// legend   T new tokens · S cached positions · C latent rank · R rotary size · D width · V vocabulary
/// source   DeepSeek-V2, arXiv:2405.04434, §2.1.2-2.1.3
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "aeth/core/arena.hpp"
#include "aeth/core/buffer.hpp"
#include "aeth/core/error.hpp"
#include "aeth/model/model.hpp"
#include "aeth/ops/embedding.hpp"
#include "aeth/ops/linear.hpp"
#include "aeth/ops/routing.hpp"

namespace aeth::infer {

/// What the cache holds of a past token.
enum class CacheForm {
  latent,    ///< C + R numbers per token and layer. Small; decodes in the absorbed form, fast at any depth
  expanded,  ///< keys and values of all heads. Large; decodes as in training, bit for bit
};

/// New tokens of one sequence.
struct Chunk {
  Index sequence = 0;
  VectorView<std::int32_t const> tokens{};
};

/// A fixed number of sequences of up to `capacity` tokens each.
///
/// Tokens enter by `append`, which is made for prompts, or by `decode`, which is made for one token at a time. Logits
/// of a token depend on the tokens before it, and on which call each came by: not on how calls were cut into chunks, on
/// the other sequences, or on threads. Logits of append, and of decode with CacheForm::expanded, equal those of a
/// training pass bit for bit; decode with CacheForm::latent adds the same terms in another order.
///
/// memory   per sequence and layer, capacity · (C + R) activations for latent, capacity · (H·(N + U) + R) for
///          expanded; with latent, append works on H·(N + U) more for each token of one sequence, their number rounded
///          up to a power of two, of one layer at a time
template <class Model>
class Session {
  static constexpr ModelConfig C = Model::config;
  using P = typename Model::PrecisionPolicy;
  using A = typename P::Activation;
  using T = typename P::Exact;

 public:
  /// errors   ShapeError if capacity exceeds the configuration's max_context
  [[gnu::cold]] Session(Model const& model, Index sequences, Index capacity,
                        CacheForm form = CacheForm::latent)
      : model_(model), capacity_(capacity), form_(form) {
    (void)model.rotary(capacity);
    expect<ShapeError>(sequences > 0 && capacity > 0, "session: ", sequences, " sequences of ", capacity,
                       " tokens; both must be at least 1");
    lengths_.assign(to_size(sequences), 0);
    Index const rows = sequences * capacity;
    for (int layer = 0; layer < C.layers; ++layer)
      caches_.push_back({Buffer<A>(rows * first_width()), Buffer<A>(rows * second_width())});
  }

  /// errors   ShapeError for a sequence that the session does not have
  [[nodiscard]] Index length(Index sequence) const {
    expect<ShapeError>(sequence >= 0 && sequence < static_cast<Index>(lengths_.size()), "session: sequence ",
                       sequence, " of ", lengths_.size(), " does not exist");
    return lengths_[to_size(sequence)];
  }
  [[nodiscard]] Index capacity() const { return capacity_; }

  /// Forgets all tokens from position `size` on. Errors: as length(), and ShapeError if there are fewer.
  void truncate(Index sequence, Index size) {
    Index const held = length(sequence);
    expect<ShapeError>(size >= 0 && size <= held, "session: sequence ", sequence, " has ", held,
                       " tokens and cannot be cut to ", size);
    lengths_[to_size(sequence)] = size;
  }

  /// Declares that a sequence has `length` tokens, whatever its cache holds of them: zeros where nothing was appended
  /// yet. For measuring speed at a depth without computing what is before it.
  ///
  /// errors   ShapeError for a sequence or a length that the session does not have
  void assume(Index sequence, Index length) {
    expect<ShapeError>(
        sequence >= 0 && sequence < static_cast<Index>(lengths_.size()) && length >= 0 && length <= capacity_,
        "session: ", length, " tokens assumed of sequence ", sequence, "; there are ", lengths_.size(),
        " sequences of up to ", capacity_);
    lengths_[to_size(sequence)] = length;
  }

  /// Appends tokens to sequences, each named at most once. Returns logits [chunks,V] of each chunk's last
  /// token, or [T,V] of all; valid until the next call.
  ///
  /// errors   ShapeError if a sequence would outgrow the session or is named twice, DataError for a token outside the
  ///          vocabulary; nothing is appended then
  /// cost     with CacheForm::latent, each call expands all cached tokens of its sequences: 2·S·C·H·(N + U) FLOP
  ///          per layer, little beside a long chunk and much beside a single token
  MatrixView<T> append(std::vector<Chunk> const& chunks, bool all_logits = false) {
    return run(chunks, all_logits, false);
  }

  /// The same for tokens that were generated, one or a few per sequence.
  ///
  /// cost     with CacheForm::latent, 2·S·H·(2·C + R) FLOP per token and layer; scratch of 16·C numbers for each
  ///          128 keys and sixteen heads, of fewer than 2048 such parts or one token's
  MatrixView<T> decode(std::vector<Chunk> const& chunks, bool all_logits = false) {
    return run(chunks, all_logits, true);
  }

 private:
  MatrixView<T> run(std::vector<Chunk> const& chunks, bool all_logits, bool decoding) {
    plan(chunks);
    auto& backend = model_.backend();
    arena_.release({});
    Index const tokens = static_cast<Index>(ids_.size());
    auto const& table = model_.rotary(capacity_);
    ops::RotaryView<T> const rotary{positions_.data(), table.cosine(), table.sine()};
    auto x = arena_.matrix<T>(tokens, C.dim), next = arena_.matrix<T>(tokens, C.dim);
    ops::embed(backend, model_.embedding().matrix(), VectorView<std::int32_t const>(ids_.data(), tokens), x);
    for (std::size_t layer = 0; layer < caches_.size(); ++layer) {
      ArenaScope const scope(arena_);
      forward(model_.blocks()[layer], caches_[layer], rotary, x, next, decoding);
      std::swap(x, next);
    }
    for (Chunk const& chunk : chunks) lengths_[to_size(chunk.sequence)] += chunk.tokens.size;
    auto const rows = all_logits ? x : last_rows(x, chunks);
    auto const normed = arena_.matrix<A>(rows.rows, C.dim);
    model_.final_norm().forward(backend, rows, normed, arena_.take<T>(rows.rows));
    auto const logits = arena_.matrix<T>(rows.rows, C.vocab_size);
    model_.head().forward(backend, normed, logits);
    return logits;
  }

  struct Cache {
    Buffer<A> first;   ///< latent: [S,C+R]; expanded: [S,H·(N+U)]
    Buffer<A> second;  ///< expanded: rotary keys [S,R]
  };

  [[nodiscard]] Index first_width() const {
    return form_ == CacheForm::latent ? C.mla.kv_rank + C.mla.rope_dim
                                      : C.mla.heads * (C.mla.nope_dim + C.mla.v_dim);
  }
  [[nodiscard]] Index second_width() const { return form_ == CacheForm::latent ? 0 : C.mla.rope_dim; }

  /// Checks the chunks and lays out their tokens.
  void plan(std::vector<Chunk> const& chunks) {
    ids_.clear();
    positions_.clear();
    spans_.clear();
    cache_rows_.clear();
    for (Chunk const& chunk : chunks) {
      Index const past = length(chunk.sequence);
      for (Chunk const* before = chunks.data(); before != &chunk; ++before)
        expect<ShapeError>(before->sequence != chunk.sequence, "session: two chunks for sequence ",
                           chunk.sequence, "; put their tokens into one");
      expect<ShapeError>(chunk.tokens.size > 0, "session: an empty chunk for sequence ", chunk.sequence,
                         "; give at least one token");
      expect<ShapeError>(past + chunk.tokens.size <= capacity_, "session: sequence ", chunk.sequence, " has ",
                         past, " tokens and cannot take ", chunk.tokens.size, " more; its capacity is ",
                         capacity_);
      Index const key_begin = chunk.sequence * capacity_;
      spans_.push_back(
          {static_cast<Index>(ids_.size()), chunk.tokens.size, key_begin, past + chunk.tokens.size});
      for (Index i = 0; i < chunk.tokens.size; ++i) {
        std::int32_t const id = chunk.tokens[i];
        expect<DataError>(id >= 0 && id < C.vocab_size, "session: token ", id, " at position ", past + i,
                          " is not below ModelConfig::vocab_size = ", C.vocab_size);
        ids_.push_back(id);
        positions_.push_back(static_cast<std::int32_t>(past + i));
        cache_rows_.push_back(key_begin + past + i);
      }
    }
    expect<ShapeError>(!ids_.empty(), "session: append was given no tokens");
  }

  void forward(typename Model::Block const& block, Cache& cache, ops::RotaryView<T> const& rotary,
               MatrixView<T> x, MatrixView<T> out, bool decoding) {
    auto& backend = model_.backend();
    auto& c = context_;
    auto const& mla = block.attention();
    block.reserve_around_attention(arena_, x.rows, c);
    c.mla.reserve_projection(arena_, x.rows);
    c.mla.o = arena_.matrix<A>(x.rows, C.mla.heads * C.mla.v_dim);
    c.mla.softmax = {arena_.take<T>(x.rows * C.mla.heads), arena_.take<T>(x.rows * C.mla.heads)};
    block.begin(backend, x, c);
    mla.project(backend, c.attn_in, rotary, c.mla);
    Index const rows = cache.first.size() / first_width();
    MatrixView<A> const first(cache.first.data(), rows, first_width());
    if (form_ == CacheForm::latent) {
      for (Index t = 0; t < x.rows; ++t) {
        A* const to = first.row(cache_rows_[to_size(t)]);
        for (Index i = 0; i < C.mla.kv_rank; ++i) to[i] = c.mla.latent_normed(t, i);
        for (Index i = 0; i < C.mla.rope_dim; ++i) to[C.mla.kv_rank + i] = c.mla.k_pe()(t, i);
      }
      if (decoding)
        mla.attend_absorbed(backend, spans_, first, c.mla, arena_);
      else
        for (AttentionSpan const& span : spans_) mla.attend_expanding(backend, span, first, c.mla, arena_);
    } else {
      MatrixView<A> const second(cache.second.data(), rows, second_width());
      auto const kv = arena_.matrix<A>(x.rows, first_width());
      mla.expand(backend, c.mla.latent_normed, kv);
      for (Index t = 0; t < x.rows; ++t) {
        Index const row = cache_rows_[to_size(t)];
        for (Index i = 0; i < first_width(); ++i) first(row, i) = kv(t, i);
        for (Index i = 0; i < C.mla.rope_dim; ++i) second(row, i) = c.mla.k_pe()(t, i);
      }
      mla.attend(backend, spans_, first, second, c.mla);
    }
    mla.output(backend, c.mla.o, c.middle);
    block.finish(backend, out, c, arena_);
  }

  MatrixView<T> last_rows(MatrixView<T> x, std::vector<Chunk> const& chunks) {
    auto const rows = arena_.matrix<T>(static_cast<Index>(chunks.size()), C.dim);
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      T const* const from = x.row(spans_[i].query_begin + spans_[i].queries - 1);
      for (Index j = 0; j < C.dim; ++j) rows(static_cast<Index>(i), j) = from[j];
    }
    return rows;
  }

  Model const& model_;
  Index capacity_;
  CacheForm form_;
  std::vector<Index> lengths_;
  typename Model::Block::Context context_;
  std::vector<Cache> caches_;
  std::vector<AttentionSpan> spans_;
  std::vector<std::int32_t> ids_, positions_;
  std::vector<Index> cache_rows_;
  Arena arena_;
};

}  // namespace aeth::infer
