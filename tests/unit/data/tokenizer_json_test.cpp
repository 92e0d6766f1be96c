#include "aeth/data/tokenizer_json.hpp"

#include <string>

#include "aeth/data/bpe_trainer.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace aeth;
using namespace aeth::data;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

Tokenizer trained() {
  BpeTrainer trainer;
  trainer.add(
      "int main() { return 0; }\n\n  int mainly = 12; // été 漢字漢字 \xFF\xFE int return\n\n  return int");
  return trainer.train({.vocab_size = 290});
}

json good() {
  return json::parse(to_tokenizer_json(trained()));
}

template <class Change>
void refused(Change change, char const* why) {
  json file = good();
  change(file);
  INFO(why);
  CHECK_THROWS_WITH(parse_tokenizer_json(file.dump(), "t.json"),
                    ContainsSubstring("t.json: ") && ContainsSubstring(why));
}

}  // namespace

TEST_CASE("the byte-level alphabet is a bijection", "[data][tokenizer_json]") {
  std::string bytes, back;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  CHECK(data::detail::unspell_bytes(data::detail::spell_bytes(bytes), back));
  CHECK(back == bytes);
  CHECK(data::detail::spell_bytes(" \n!\x7F\xAD\xFF") == "ĠĊ!ġŃÿ");
  CHECK_FALSE(data::detail::unspell_bytes(" ", back));
  CHECK_FALSE(data::detail::unspell_bytes("ń", back));
}

TEST_CASE("what is saved is loaded", "[data][tokenizer_json]") {
  Tokenizer const tokenizer = trained();
  CHECK(parse_tokenizer_json(to_tokenizer_json(tokenizer), "t.json") == tokenizer);
  aeth::test::TemporaryFolder const folder;
  save_tokenizer_json(tokenizer, folder.path + "/tokenizer.json");
  CHECK(load_tokenizer_json(folder.path + "/tokenizer.json") == tokenizer);
  // bos is in the vocabulary, the tokens at the end are not, so that other readers give them the same ids.
  json const file = good();
  CHECK(file["model"]["vocab"]["<｜begin▁of▁sentence｜>"] == 0);
  CHECK(file["model"]["vocab"]["Ċ"] == 201);
  CHECK_FALSE(file["model"]["vocab"].contains("<｜fim▁hole｜>"));
}

TEST_CASE("other spellings of the same file are accepted", "[data][tokenizer_json]") {
  json file = good();
  for (auto& merge : file["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array()}};
  file["post_processor"] = {{"type", "ByteLevel"}};
  file["model"].erase("ignore_merges");
  file["model"].erase("type");
  std::string& pattern =
      file["pre_tokenizer"]["pretokenizers"][2]["pattern"]["Regex"].get_ref<std::string&>();
  for (std::size_t at; (at = pattern.find("\\r\\n")) != pattern.npos;) pattern.replace(at, 4, "\r\n");
  for (auto const& token : file["added_tokens"])
    file["model"]["vocab"][token["content"].get<std::string>()] = token["id"];
  CHECK(parse_tokenizer_json(file.dump(), "t.json") == trained());
}

TEST_CASE("files that break a rule are refused with the rule", "[data][tokenizer_json]") {
  for (char const* content : {"", "[]", "{", "3", "{\"model\": {\"vocab\": {}, \"vocab\": {}}}", "{} {}"})
    CHECK_THROWS_AS(parse_tokenizer_json(content, "t.json"), DataError);
  CHECK_THROWS_WITH(parse_tokenizer_json(std::string(100000, '['), "t.json"), ContainsSubstring("deeper"));
  CHECK_THROWS_WITH(parse_tokenizer_json("{\"a\": 1, \"a\": 2}", "t.json"),
                    ContainsSubstring("duplicate key 'a'"));
  refused([](json& f) { f.erase("model"); }, "no 'model'");
  refused([](json& f) { f["normalizer"] = {{"type", "NFC"}}; }, "normalizer");
  refused([](json& f) { f["truncation"] = {{"max_length", 5}}; }, "truncation");
  refused([](json& f) { f["pre_tokenizer"] = {{"type", "Whitespace"}}; }, "'Whitespace'");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\p{N}"; },
          "pattern 0");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["behavior"] = "Removed"; }, "split 1");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][3]["use_regex"] = true; }, "use_regex");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][3]["add_prefix_space"] = true; },
          "space in front");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"].erase(1); }, "3 splits");
  refused([](json& f) { f["decoder"] = nullptr; }, "decoder");
  refused([](json& f) { f["model"]["type"] = "Unigram"; }, "'Unigram'");
  refused([](json& f) { f["model"]["dropout"] = 0.1; }, "dropout");
  refused([](json& f) { f["model"]["ignore_merges"] = true; }, "ignore_merges");
  refused([](json& f) { f["model"]["byte_fallback"] = true; }, "byte_fallback");
  refused([](json& f) { f["model"]["vocab"] = json::array(); }, "JSON array");
  refused([](json& f) { f["model"]["vocab"]["int"] = -1; }, "has the id -1");
  refused([](json& f) { f["model"]["vocab"]["!"] = 1.5; }, "has the id 1.5");
  refused([](json& f) { f["model"]["vocab"]["!"] = 18446744073709551615u; }, "has the id 1844");
  refused([](json& f) { f["model"]["vocab"]["!"] = 4; }, "given twice");
  refused([](json& f) { f["model"]["vocab"].erase("!"); }, "no token has id 3");
  refused([](json& f) { f["added_tokens"].erase(5); }, "no token has id");
  refused(
      [](json& f) {
        f["model"]["vocab"]["a b"] = f["model"]["vocab"]["int"];
        f["model"]["vocab"].erase("int");
      },
      "byte-level alphabet");
  refused([](json& f) { f["model"]["merges"][3] = "a"; }, "merge 3");
  refused([](json& f) { f["model"]["merges"][3] = "a b c"; }, "merge 3");
  refused([](json& f) { f["model"]["merges"][3] = {"a", "nothere"}; }, "merge 3: 'nothere'");
  refused([](json& f) { f["model"]["merges"][3] = {"a", "<think>"}; }, "merge 3: '<think>'");
  refused([](json& f) { f["model"]["merges"][3] = {1, 2}; }, "merge 3");
  refused([](json& f) { f["model"]["merges"][3] = f["model"]["merges"][2]; }, "merge 3");
  refused([](json& f) { f["model"]["merges"][3] = {"!", "!"}; }, "merge 3");
  refused([](json& f) { f["added_tokens"][0]["lstrip"] = true; }, "lstrip");
  refused([](json& f) { f["model"]["vocab"]["<｜begin▁of▁sentence｜>"] = 5; }, "another id");
  refused([](json& f) { f["added_tokens"][0]["content"] = ""; }, "no content");
  refused([](json& f) { f["added_tokens"][1]["id"] = 0; }, "listed twice");
  refused([](json& f) { f["added_tokens"][4]["id"] = f["added_tokens"][5]["id"]; }, "listed twice");
  refused([](json& f) { f["added_tokens"][4]["content"] = "<think>"; }, "same bytes");
}
