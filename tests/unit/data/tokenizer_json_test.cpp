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

/// A post-processor that puts ids before a text.
json around(std::vector<int> const& ids, std::string const& name) {
  return {{"type", "TemplateProcessing"},
          {"single", {{{"SpecialToken", {{"id", name}}}}, {{"Sequence", {{"id", "A"}}}}}},
          {"special_tokens", {{name, {{"ids", ids}}}}}};
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
  Vocabulary expected = trained().vocabulary();
  expected.before.clear();  // a post-processor without a template
  CHECK(parse_tokenizer_json(file.dump(), "t.json").vocabulary() == expected);
}

TEST_CASE("all that a vocabulary can say survives saving", "[data][tokenizer_json]") {
  Vocabulary v = trained().vocabulary();
  v.added[1].normalized = v.added[2].lstrip = v.added[3].rstrip = v.added[4].single_word = true;
  v.added[5].special = false;
  v.ignore_merges = true;
  v.normalization = Normalization::nfc;
  v.before = {0, v.added[3].id, 0};
  v.after = {1, 0};
  Tokenizer const tokenizer(v);
  CHECK(parse_tokenizer_json(to_tokenizer_json(tokenizer), "t.json") == tokenizer);
  CHECK(trained().vocabulary() != v);
  // Two tokens of the same bytes are possible where JSON tells them apart.
  v.added.push_back({static_cast<std::int32_t>(v.tokens.size())});
  v.tokens.emplace_back(" int");
  CHECK(parse_tokenizer_json(to_tokenizer_json(Tokenizer(v)), "t.json") == Tokenizer(v));
  v.tokens.back() = "int";
  CHECK_THROWS_WITH(to_tokenizer_json(Tokenizer(v)), ContainsSubstring("alike"));
  v.tokens.back() = "\xFF\xFE";
  CHECK_THROWS_WITH(to_tokenizer_json(Tokenizer(v)), ContainsSubstring("not UTF-8"));
}

TEST_CASE("bos and eos of a post-processor are added on request", "[data][tokenizer_json]") {
  json file = good();
  file["post_processor"] = {
      {"type", "Sequence"},
      {"processors", {{{"type", "ByteLevel"}}, around({0}, "<｜begin▁of▁sentence｜>")}}};
  Tokenizer const tokenizer = parse_tokenizer_json(file.dump(), "t.json");
  CHECK(tokenizer.vocabulary().before == std::vector<std::int32_t>{0});
  CHECK(tokenizer.encode("!", {.add_around = true}) == std::vector<std::int32_t>{0, 3});
  CHECK(tokenizer.encode("!") == std::vector<std::int32_t>{3});
}

TEST_CASE("row 22: files that break a rule are refused with the rule", "[data][tokenizer_json]") {
  for (char const* content : {"", "[]", "{", "3", "{\"model\": {\"vocab\": {}, \"vocab\": {}}}", "{} {}"})
    CHECK_THROWS_AS(parse_tokenizer_json(content, "t.json"), DataError);
  CHECK_THROWS_WITH(parse_tokenizer_json(std::string(100000, '['), "t.json"), ContainsSubstring("deeper"));
  CHECK_THROWS_WITH(parse_tokenizer_json("{\"a\": 1, \"a\": 2}", "t.json"),
                    ContainsSubstring("the key 'a' is there twice"));
  refused([](json& f) { f.erase("model"); }, "no 'model'");
  refused([](json& f) { f["normalizer"] = {{"type", "NFKC"}}; }, "'NFKC'");
  refused([](json& f) { f["truncation"] = {{"max_length", 5}}; }, "truncation");
  refused(
      [](json& f) {
        f["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}}}};
      },
      "'Lowercase'");
  refused([](json& f) { f["pre_tokenizer"] = {{"type", "Whitespace"}}; }, "'Whitespace'");
  refused([](json& f) { f["pre_tokenizer"] = nullptr; }, "'null'");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\p{N}"; },
          "needs PCRE2");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = ""; }, "split 0");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"] = 3; }, "a split's pattern");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["behavior"] = "Removed"; }, "split 1");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["invert"] = 1; }, "invert");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][3].erase("use_regex"); }, "needs PCRE2");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"].erase(3); }, "no ByteLevel");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"].push_back({{"type", "Digits"}}); }, "the last");
  refused(
      [](json& f) {
        json& list = f["pre_tokenizer"]["pretokenizers"];
        for (int i = 0; i < 70; ++i) list.insert(list.begin(), list[0]);
      },
      "more than 64 splits");
  refused([](json& f) { f["decoder"] = nullptr; }, "decoder");
  refused([](json& f) { f["model"]["type"] = "Unigram"; }, "'Unigram'");
  refused([](json& f) { f["model"]["dropout"] = 0.1; }, "dropout");
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
  refused([](json& f) { f["added_tokens"][0]["lstrip"] = "yes"; }, "lstrip");
  refused([](json& f) { f["model"]["unk_token"] = "<unk>"; }, "unk_token");
  refused([](json& f) { f["post_processor"] = {{"type", "BertProcessing"}}; }, "'BertProcessing'");
  refused([](json& f) { f["post_processor"] = around({300}, "a"); }, "id 300 stands around every text");
  refused([](json& f) { f["post_processor"] = around({1 << 30}, "a"); }, "stands around every text");
  refused([](json& f) { f["post_processor"] = around({-1}, "a"); }, "template token 'a' has no id");
  refused([](json& f) { (f["post_processor"] = around({0}, "a"))["single"].erase(1); },
          "leaves out the text");
  refused([](json& f) { (f["post_processor"] = around({0}, "a"))["special_tokens"].erase("a"); }, "no 'a'");
  refused(
      [](json& f) {
        f["post_processor"] = {{"type", "Sequence"}, {"processors", {around({0}, "a"), around({0}, "a")}}};
      },
      "two templates");
  refused([](json& f) { f["model"]["vocab"]["<｜begin▁of▁sentence｜>"] = 5; }, "another id");
  refused([](json& f) { f["added_tokens"][0]["content"] = ""; }, "no content");
  refused([](json& f) { f["added_tokens"][1]["id"] = 0; }, "listed twice");
  refused([](json& f) { f["added_tokens"][4]["id"] = f["added_tokens"][5]["id"]; }, "listed twice");
  refused([](json& f) { f["added_tokens"][4]["content"] = "<think>"; }, "same bytes");
}
