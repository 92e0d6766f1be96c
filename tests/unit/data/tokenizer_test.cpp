#include "aeth/data/tokenizer.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "aeth/data/utf8_stream.hpp"
#include "support/catch.hpp"

using namespace aeth;
using namespace aeth::data;
using Ids = std::vector<std::int32_t>;

namespace {

Tokenizer const& trained() {
  static Tokenizer const tokenizer = [] {
    BpeTrainer trainer;
    Random random(7, RandomUse::test);
    char const* const parts[] = {"std::", "vector", "<int>",  " const", "\n\n",     "    ", "return ",
                                 "x",     " += ",   "é",      "漢字",   "template", "(",    ")",
                                 ";\n",   "// the", " value", "12",     "\t",       "  "};
    std::string text;
    for (int i = 0; i < 20000; ++i) text += parts[random.below(std::size(parts))];
    trainer.add(text);
    return trainer.train({.vocab_size = 600});
  }();
  return tokenizer;
}

/// Merging by the definition: the leftmost pair of lowest rank, until there is none.
Ids merge_naively(Tokenizer const& tokenizer, std::string_view word) {
  auto const& v = tokenizer.vocabulary();
  std::map<std::pair<std::int32_t, std::int32_t>, std::size_t> ranks;
  for (std::size_t rank = 0; rank < v.merges.size(); ++rank)
    ranks[{v.merges[rank].left, v.merges[rank].right}] = rank;
  auto const id_of = [&](std::string_view bytes) {
    return static_cast<std::int32_t>(std::find(v.tokens.begin(), v.tokens.end(), bytes) - v.tokens.begin());
  };
  Ids ids;
  for (char const c : word) ids.push_back(id_of({&c, 1}));
  for (;;) {
    std::size_t best = ranks.size(), place = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i)
      if (auto const found = ranks.find({ids[i], ids[i + 1]}); found != ranks.end() && found->second < best)
        best = found->second, place = i;
    if (best == ranks.size()) return ids;
    ids[place] = id_of(std::string(tokenizer.token_bytes(ids[place])) +
                       std::string(tokenizer.token_bytes(ids[place + 1])));
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

}  // namespace

TEST_CASE("any bytes survive encoding and decoding", "[data][tokenizer]") {
  Tokenizer const& tokenizer = trained();
  Random random(1, RandomUse::test);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (auto n = random.below(300); n > 0; --n) text.push_back(static_cast<char>(random.bits()));
    REQUIRE(tokenizer.decode(tokenizer.encode(text)) == text);
  }
  std::string all;
  for (char32_t code = 0; code <= 0x10FFFF; ++code) append_utf8(all, code);  // lone surrogates too
  CHECK(tokenizer.decode(tokenizer.encode(all)) == all);
}

TEST_CASE("merging equals its definition for short and long words", "[data][tokenizer]") {
  Tokenizer const& tokenizer = trained();
  Random random(2, RandomUse::test);
  std::string const letters = "templateconstvectorreturn";
  for (int round = 0; round < 300; ++round) {
    std::string word;
    for (auto n = 1 + random.below(90); n > 0; --n) {
      if (random.below(4) == 0) word += "template";
      word += letters[random.below(letters.size())];
    }
    REQUIRE(tokenizer.encode(word) == merge_naively(tokenizer, word));
  }
  for (std::size_t n = 1; n < 100; ++n)
    REQUIRE(tokenizer.encode(std::string(n, ' ')) == merge_naively(tokenizer, std::string(n, ' ')));
}

TEST_CASE("ids of the default layout", "[data][tokenizer]") {
  Tokenizer const& t = trained();
  SpecialTokens const s = t.special_tokens();
  CHECK(s.bos == 0);
  CHECK(s.eos == 1);
  CHECK(s.pad == 2);
  CHECK(s.fim_hole >= 0);
  CHECK(s.fim_begin == s.fim_hole + 1);
  CHECK(s.fim_end == s.fim_hole + 2);
  CHECK(t.encode("\n\x01") == Ids{201, 192});
  CHECK(t.token_bytes(201) == "\n");
  CHECK(t.encode("").empty());
}

TEST_CASE("row 24: special tokens in text stay text unless allowed", "[data][tokenizer]") {
  Tokenizer const& t = trained();
  std::string const text = "a<｜fim▁begin｜>b<think><｜end▁of▁sentence｜><｜end▁of";
  for (std::int32_t const id : t.encode(text)) CHECK_FALSE(t.is_special(id));
  Ids const ids = t.encode(text, {.allow_special = true});
  CHECK(std::count(ids.begin(), ids.end(), t.special_tokens().eos) == 1);
  CHECK(std::count(ids.begin(), ids.end(), t.special_tokens().fim_begin) == 1);
  CHECK(std::count(ids.begin(), ids.end(), t.find_added("<think>")) == 1);
  CHECK(t.decode(ids) == text);
  CHECK(t.decode(ids, {.skip_special = true}) == "ab<｜end▁of");
  CHECK(t.find_added("<thin") == -1);
}

TEST_CASE("the longest added token wins", "[data][tokenizer]") {
  Vocabulary v;
  for (int byte = 0; byte < 256; ++byte) v.tokens.emplace_back(1, static_cast<char>(byte));
  for (auto const* token : {"<a", "<a>", "<a>>", "b<"}) {
    v.added.push_back({static_cast<std::int32_t>(v.tokens.size()), true});
    v.tokens.emplace_back(token);
  }
  Tokenizer const t(v);
  EncodeOptions const allow{.allow_special = true};
  CHECK(t.encode("<a>>", allow) == Ids{258});
  CHECK(t.encode("<a>", allow) == Ids{257});
  CHECK(t.encode("<ab<a", allow) == Ids{256, 259, 'a'});
  CHECK(t.encode("<<a", allow) == Ids{'<', 256});
}

TEST_CASE("added tokens take white space and mind their neighbours as they say", "[data][tokenizer]") {
  Vocabulary v;
  for (int byte = 0; byte < 256; ++byte) v.tokens.emplace_back(1, static_cast<char>(byte));
  auto const add = [&](char const* spelling, AddedToken token) {
    token.id = static_cast<std::int32_t>(v.tokens.size());
    v.added.push_back(token);
    v.tokens.emplace_back(spelling);
  };
  add("<l>", {.lstrip = true});
  add("<r>", {.rstrip = true});
  add("w", {.single_word = true});
  add("ab", {.normalized = true});
  add("bc", {.normalized = false});
  Tokenizer const t(v);
  EncodeOptions const allow{.allow_special = true};
  CHECK(t.encode("x \n<l> y", allow) == Ids{'x', 256, ' ', 'y'});
  CHECK(t.encode("<l>\u3000 <l>", allow) == Ids{256, 256});
  CHECK(t.encode("x <r> \u2003\ny", allow) == Ids{'x', ' ', 257, 'y'});
  CHECK(t.encode("<r>  <l>", allow) == Ids{257, 256});  // the first takes the blanks
  CHECK(t.encode("w (w) w", allow) == Ids{258, ' ', '(', 258, ')', ' ', 258});
  CHECK(t.encode("ww 1w w_ w\xFF", allow) == Ids{'w', 'w', ' ', '1', 'w', ' ', 'w', '_', ' ', 258, 0xFF});
  CHECK(t.encode("wé", allow) == Ids{'w', 0xC3, 0xA9});
  CHECK(t.encode("\u0301w", allow) == Ids{0xCC, 0x81, 'w'});
  CHECK(t.encode("abc", allow) == Ids{'a', 260});  // those that are normalized come last
  CHECK(t.encode("abab", allow) == Ids{259, 259});
  CHECK(t.encode(" <l> w ab") == t.encode(" <l> w ab", {.allow_special = false}));
  CHECK(t.encode("<l>w") == Ids{'<', 'l', '>', 'w'});
}

TEST_CASE("a word that is a token may pass by the merges", "[data][tokenizer]") {
  Vocabulary v;
  for (int byte = 0; byte < 256; ++byte) v.tokens.emplace_back(1, static_cast<char>(byte));
  v.tokens.insert(v.tokens.end(), {"ab", "bc", "abc", "<abc>"});
  v.merges = {{'a', 'b'}, {'b', 'c'}};  // none makes abc
  v.added = {{259}};
  CHECK(Tokenizer(v).encode("abc") == Ids{256, 'c'});
  v.ignore_merges = true;
  CHECK(Tokenizer(v).encode("abc") == Ids{258});
  CHECK(Tokenizer(v).encode("abcb") == Ids{256, 'c', 'b'});
  CHECK(Tokenizer(v).encode("<abc>") == Ids{'<', 256, 'c', '>'});  // the first word is "<abc"
}

TEST_CASE("bytes that UTF-8 never has may lack a token", "[data][tokenizer]") {
  Vocabulary v;
  for (int byte = 0; byte < 256; ++byte)
    if (is_utf8_byte(byte)) v.tokens.emplace_back(1, static_cast<char>(byte));
  CHECK(v.tokens.size() == 243);
  Tokenizer const t(v);
  CHECK(t.decode(t.encode("é漢😀")) == "é漢😀");
  CHECK_THROWS_AS(t.encode("a\xFF"), DataError);
  CHECK_THROWS_WITH(t.encode("a\xC0"), Catch::Matchers::ContainsSubstring("byte 192"));
}

TEST_CASE("text may be normalized first", "[data][tokenizer]") {
  Vocabulary v = trained().vocabulary();
  v.normalization = Normalization::nfc;
  v.added[3].normalized = true;
  Tokenizer const t(v);
  EncodeOptions const allow{.allow_special = true};
  CHECK(t.encode("e\u0301") == trained().encode("é"));
  CHECK(t.encode("e\u0301<think>e\u0301", allow) == trained().encode("é<think>é", allow));
}

TEST_CASE("another pre-tokenizer needs an engine", "[data][tokenizer]") {
  Vocabulary v = trained().vocabulary();
  v.pre_tokenizer.gpt2_split = true;
  CHECK_THROWS_WITH(Tokenizer(v), Catch::Matchers::ContainsSubstring("needs PCRE2"));
  struct Whole final : Splitter {
    void split(std::string_view text, WordSink emit) const override { emit(text); }
  };
  Tokenizer const t(
      v, [](PreTokenizer const&) -> std::shared_ptr<Splitter const> { return std::make_shared<Whole>(); });
  CHECK(t.encode("  vector") == merge_naively(t, "  vector"));
}

TEST_CASE("unknown ids are an error", "[data][tokenizer]") {
  CHECK_THROWS_AS(trained().decode(Ids{-1}), DataError);
  CHECK_THROWS_AS(trained().decode(Ids{trained().size()}), DataError);
}

TEST_CASE("vocabularies that break a rule are refused", "[data][tokenizer]") {
  Vocabulary const good = trained().vocabulary();
  auto const refused = [&](auto change, char const* part) {
    Vocabulary bad = good;
    change(bad);
    CHECK_THROWS_WITH(Tokenizer(bad), Catch::Matchers::ContainsSubstring(part));
  };
  refused([](auto& v) { v.tokens[300] = ""; }, "token 300 is empty");
  refused([](auto& v) { v.tokens[300] = v.tokens[301]; }, "same bytes");
  refused([](auto& v) { v.tokens[201] = "\n\n\n\n\n\n"; }, "byte 10");
  refused([](auto& v) { v.merges[5] = v.merges[4]; }, "merge 5");
  refused([](auto& v) { v.merges[5].left = 0; }, "merge 5");
  refused([](auto& v) { v.merges[5].right = 1 << 30; }, "merge 5");
  refused([](auto& v) { v.merges[5] = {201, 192}; }, "no plain token");
  refused([](auto& v) { v.added.push_back(v.added.back()); }, "listed twice");
  refused([](auto& v) { v.added.back().id = 100000; }, "outside");
  refused([](auto& v) { v.before = {100000}; }, "no added token");
  refused([](auto& v) { v.after = {201}; }, "no added token");
  refused([](auto& v) { v.tokens[static_cast<std::size_t>(v.added.back().id)].assign(257, 'x'); },
          "has 257 bytes, the limit is 256");
}

TEST_CASE("row 23: encoding hostile text takes no quadratic time", "[data][tokenizer]") {
  std::string marks;
  while (marks.size() < 1'000'000) marks += "<｜";
  for (std::string const& text :
       {std::string(2'500'000, ' '), std::string(1'000'000, 'e'), marks, std::string(1'000'000, '<')}) {
    auto const start = std::chrono::steady_clock::now();
    Ids const ids = trained().encode(text, {.allow_special = true});
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - start;
    CHECK(trained().decode(ids) == text);
    CHECK(seconds.count() < 60.0);
  }
}

TEST_CASE("training is deterministic, whatever the order of texts", "[data][bpe]") {
  std::vector<std::string> const texts{"the cat sat on the mat\n", "int main() { return 0; }\n",
                                       "the the the cat", "return main; int cat;"};
  BpeTrainer forward, backward;
  for (auto const& text : texts) forward.add(text);
  for (auto text = texts.rbegin(); text != texts.rend(); ++text) backward.add(*text);
  CHECK(forward.train({.vocab_size = 300}) == backward.train({.vocab_size = 300}));
  CHECK(forward.train({.vocab_size = 300}) == backward.train({.vocab_size = 300}));  // and repeatable
}

TEST_CASE("training merges the most frequent pair first", "[data][bpe]") {
  BpeTrainer trainer;
  trainer.add("abab abab cdcd");  // ab: 4; then " a.b.." etc.
  BpeReport report;
  Tokenizer const t = trainer.train({.vocab_size = 1000}, &report);
  REQUIRE_FALSE(t.vocabulary().merges.empty());
  CHECK(t.token_bytes(259) == "ab");
  CHECK(report.stopped_early);
  CHECK(report.vocab_size == t.size());
  CHECK(report.vocab_size < 1000);
  CHECK(report.words == 3);
  CHECK(t.encode("abab").size() == 1);
}

TEST_CASE("each training step takes the most frequent pair", "[data][bpe]") {
  // Against a trainer that counts everything anew for each merge.
  Random random(11, RandomUse::test);
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "aaabcd \n"[random.below(8)];
  BpeTrainer trainer;
  trainer.add(text);
  Tokenizer const t = trainer.train({.vocab_size = 330});
  auto const& v = t.vocabulary();
  std::vector<Ids> words;
  for (auto const word : pre_tokenize(text)) {
    Ids ids;
    for (char const c : word) ids.push_back(t.encode(std::string(1, c))[0]);
    words.push_back(ids);
  }
  for (std::size_t step = 0; step < v.merges.size(); ++step) {
    std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> counts;
    for (auto const& ids : words)
      for (std::size_t i = 0; i + 1 < ids.size(); ++i) ++counts[{ids[i], ids[i + 1]}];
    auto best = counts.end();
    for (auto it = counts.begin(); it != counts.end(); ++it) {
      std::string const bytes =
          std::string(t.token_bytes(it->first.first)) + std::string(t.token_bytes(it->first.second));
      auto const known =
          std::find(v.tokens.begin(), v.tokens.begin() + 259 + static_cast<std::ptrdiff_t>(step), bytes);
      if (known != v.tokens.begin() + 259 + static_cast<std::ptrdiff_t>(step)) continue;
      if (best == counts.end() || it->second > best->second) best = it;
    }
    REQUIRE(best != counts.end());
    REQUIRE(v.merges[step] == Merge{best->first.first, best->first.second});
    auto const made = static_cast<std::int32_t>(259 + step);
    for (auto& ids : words) {
      Ids next;
      for (std::size_t i = 0; i < ids.size(); ++i)
        if (i + 1 < ids.size() && ids[i] == v.merges[step].left && ids[i + 1] == v.merges[step].right)
          next.push_back(made), ++i;
        else
          next.push_back(ids[i]);
      ids = next;
    }
  }
}

TEST_CASE("training refuses what cannot work", "[data][bpe]") {
  BpeTrainer trainer;
  CHECK_THROWS_AS(trainer.train({}), DataError);
  trainer.add("x");
  CHECK_THROWS_AS(trainer.train({.vocab_size = 100}), UsageError);
  CHECK(trainer.train({}).size() == 266);
  BpeTrainer blanks;
  blanks.add(std::string(5'000'000, ' '));
  CHECK(blanks.train({}).encode(std::string(128, ' ')).size() == 1);
}

TEST_CASE("a stream gives whole characters only", "[data][utf8]") {
  std::string const text = "aé漢😀z";
  for (std::size_t step = 1; step <= 4; ++step) {
    Utf8Stream stream;
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += step) {
      std::string const part = stream.feed(std::string_view(text).substr(at, step));
      REQUIRE(count_invalid_utf8(part) == 0);
      out += part;
    }
    CHECK(out + stream.flush() == text);
  }
  Utf8Stream replacing;
  CHECK(replacing.feed("\xE6\xBC") == "");
  CHECK(replacing.held().size() == 2);
  CHECK(replacing.feed("x") == "\uFFFD\uFFFDx");
  CHECK(replacing.feed("\xF0\x9F") == "");
  CHECK(replacing.flush() == "\uFFFD\uFFFD");
  CHECK(replacing.feed("\xED\xA0") == "\uFFFD\uFFFD");  // only a surrogate could follow
  Utf8Stream keeping(InvalidUtf8::keep);
  Random random(5, RandomUse::test);
  std::string bytes, kept;
  for (int i = 0; i < 20000; ++i) {
    char const c = static_cast<char>(random.bits());
    bytes += c;
    kept += keeping.feed({&c, 1});
    REQUIRE(keeping.held().size() <= 3);
  }
  CHECK(kept + keeping.flush() == bytes);
}
