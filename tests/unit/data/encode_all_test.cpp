#include "aeth/data/encode_all.hpp"

#include <string>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "support/catch.hpp"

using namespace aeth;
using namespace aeth::data;

TEST_CASE("many texts on any number of threads are the same ids", "[data][encode_all]") {
  Random random(3, RandomUse::test);
  std::vector<std::string> texts(200);
  BpeTrainer trainer;
  for (std::string& text : texts) {
    for (auto n = random.below(400); n > 0; --n) text += "ab cd\n(12)é"[random.below(11)];
    trainer.add(text);
  }
  Tokenizer const tokenizer = trainer.train({.vocab_size = 400});
  std::vector<std::vector<std::int32_t>> expected;
  for (std::string const& text : texts) expected.push_back(tokenizer.encode(text));
  for (int const threads : {0, 1, 2, 3, 16, 300}) CHECK(encode_all(tokenizer, texts, threads) == expected);
  CHECK(encode_all(tokenizer, {}).empty());
  CHECK_THROWS_AS(encode_all(tokenizer, texts, -1), UsageError);
}

TEST_CASE("the error of the first text that cannot be encoded is thrown", "[data][encode_all]") {
  Vocabulary v;
  for (int byte = 0; byte < 0xF5; ++byte)
    if (is_utf8_byte(byte)) v.tokens.emplace_back(1, static_cast<char>(byte));
  Tokenizer const tokenizer(v);
  std::vector<std::string> texts(50, "a");
  texts[20] = "\xFF";
  texts[30] = "\xC0";
  for (int const threads : {1, 4})
    CHECK_THROWS_WITH(encode_all(tokenizer, texts, threads), Catch::Matchers::ContainsSubstring("byte 255"));
}
