// Tokenizers in the manner of known models, with the ids that the `tokenizers` library gives: the fixtures are those of
// tests/oracles/tokenizer_families.py.
#ifndef AETH_TEST_WITHOUT_PCRE2

#include <chrono>
#include <filesystem>
#include <string>

#include "aeth/data/pcre2_split.hpp"
#include "aeth/data/tokenizer_json.hpp"
#include "aeth/io/file.hpp"
#include "support/catch.hpp"

using namespace aeth::data;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

namespace {

json fixture(std::string const& name) {
  return json::parse(
      aeth::io::read_file(AETH_TEST_DATA_DIR "/golden/data/tokenizers/" + name + ".json", 1 << 20));
}

Tokenizer load(std::string const& name) {
  return parse_tokenizer_json(fixture(name)["tokenizer"].dump(), name, pcre2_splitter);
}

}  // namespace

TEST_CASE("ids are those of the tokenizers library", "[data][tokenizer_families]") {
  int families = 0;
  for (auto const& entry :
       std::filesystem::directory_iterator(AETH_TEST_DATA_DIR "/golden/data/tokenizers")) {
    ++families;
    std::string const name = entry.path().stem().string();
    Tokenizer const tokenizer = load(name);
    int wrong = 0;
    json const cases = fixture(name);
    for (json const& test : cases["cases"]) {
      auto const text = test["text"].get<std::string>();
      INFO(name << ": " << text);
      auto const ids = tokenizer.encode(text, {.allow_special = true, .add_around = true});
      CHECK(ids == test["ids"].get<Ids>());
      wrong += ids != test["ids"].get<Ids>();
    }
    INFO(name);
    CHECK(wrong == 0);
    CHECK(parse_tokenizer_json(to_tokenizer_json(tokenizer), name, pcre2_splitter) == tokenizer);
  }
  CHECK(families == 10);
}

TEST_CASE("any bytes survive every family", "[data][tokenizer_families]") {
  std::string bytes;
  for (int round = 0; round < 4; ++round)
    for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte * (2 * round + 1)));
  for (char const* const name :
       {"gpt2", "llama3", "gpt4", "gpt4o", "deepseek_v2", "deepseek_coder", "behaviors"}) {
    Tokenizer const tokenizer = load(name);
    CHECK(tokenizer.decode(tokenizer.encode(bytes)) == bytes);
    for (std::int32_t const id : tokenizer.encode("<|bos|> qword <|eos|>"))
      CHECK_FALSE(tokenizer.is_special(id));
  }
}

TEST_CASE("hostile text takes linear time with every pattern", "[data][tokenizer_families]") {
  for (char const* const name :
       {"gpt2", "llama3", "gpt4", "gpt4o", "starcoder", "deepseek_v2", "deepseek_coder"}) {
    Tokenizer const tokenizer = load(name);
    for (std::string const unit :
         {" ", "a", "A", "aA", " \n", "\n", "\t", "1", "漢", "  x", "'", "\xFF", "(", "\u0301"}) {
      for (char const* const end : {"", "x", "漢"}) {
        double seconds[2];
        for (std::size_t const scale : {1u, 4u}) {
          std::string text;
          while (text.size() < scale * 100'000) text += unit;
          text += end;
          auto const start = std::chrono::steady_clock::now();
          Ids const ids = tokenizer.encode(text);
          seconds[scale == 4] =
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
          CHECK(tokenizer.decode(ids) == text);
        }
        INFO(name << ", " << unit << "…" << end << ": " << seconds[0] << " s, " << seconds[1] << " s");
        CHECK(seconds[1] < 8 * seconds[0] + 0.5);
      }
    }
  }
}

#endif
