#include "aeth/data/split.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "aeth/core/random.hpp"
#include "aeth/core/text.hpp"
#include "support/catch.hpp"

using namespace aeth;
using namespace aeth::data;

namespace {

std::string random_lines(Random& random, int lines) {
  std::string out;
  for (int i = 0; i < lines; ++i) out += text("  int value_", random.below(1'000'000'000), " = compute();\n");
  return out;
}

std::string const licence =
    "// Copyright (C) 2001-2022 Some Foundation, Inc.\n//\n// This file is part of a library. It is free\n"
    "// software; you can redistribute it and/or modify it under the\n// terms of the General Public "
    "License\n\n";

std::set<std::string> names(std::vector<Document> const& documents) {
  std::set<std::string> out;
  for (auto const& document : documents) out.insert(document.name);
  return out;
}

std::vector<Document> corpus(int n) {
  Random random(1, RandomUse::test);
  std::vector<Document> documents;
  for (int i = 0; i < n; ++i)
    documents.push_back(
        {text("d", i), licence + random_lines(random, 5 + static_cast<int>(random.below(50)))});
  return documents;
}

}  // namespace

TEST_CASE("a common licence does not make documents similar", "[data][similarity]") {
  auto const documents = corpus(100);
  auto const groups = similarity_groups(documents);
  CHECK(std::set<std::size_t>(groups.begin(), groups.end()).size() == 100);
}

TEST_CASE("changed copies and excerpts are similar", "[data][similarity]") {
  auto documents = corpus(20);
  Document copy = documents[3];
  copy.text += "int one_more_line_at_the_end;\n";
  copy.text.replace(copy.text.find("compute"), 7, "changed");
  documents.push_back(copy);                                                                 // 20
  documents.push_back({"excerpt", documents[4].text.substr(documents[4].text.size() / 2)});  // 21
  std::string spaced = documents[5].text;
  for (std::size_t at = 0; (at = spaced.find("  int", at)) != spaced.npos; at += 6)
    spaced.replace(at, 5, "\tint\t");
  std::replace(spaced.begin(), spaced.end(), '\t', ' ');
  documents.push_back({"indented", spaced});  // 22
  auto const groups = similarity_groups(documents);
  CHECK(groups[20] == 3);
  CHECK(groups[21] == 4);
  CHECK(std::set<std::size_t>(groups.begin(), groups.end()).size() == 21);
}

TEST_CASE("a long chain of versions is one group", "[data][similarity]") {
  Random random(2, RandomUse::test);
  std::string content = random_lines(random, 50);
  std::vector<Document> documents;
  for (int version = 0; version < 500; ++version) {
    content.erase(0, content.find('\n') + 1);
    content += random_lines(random, 1);
    documents.push_back({text("v", version), content});
  }
  auto const groups = similarity_groups(documents);
  CHECK(std::set<std::size_t>(groups.begin(), groups.end()).size() == 1);
}

TEST_CASE("near copies lie on one side of a split", "[data][split]") {
  auto documents = corpus(60);
  for (int i = 0; i < 30; ++i) {
    Document copy = documents[static_cast<std::size_t>(i)];
    copy.name += "-copy";
    copy.text += "static int another_line = 1;\n";
    documents.push_back(copy);
  }
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Split const split = split_documents(documents, {.fraction = 0.2, .seed = seed});
    auto const training = names(split.training), validation = names(split.validation);
    REQUIRE(training.size() + validation.size() == 90);
    REQUIRE_FALSE(validation.empty());
    for (int i = 0; i < 30; ++i)
      REQUIRE(training.contains(text("d", i)) == training.contains(text("d", i, "-copy")));
    auto const total = split.training_bytes + split.validation_bytes;
    CHECK(split.validation_bytes <= total / 5);
    CHECK(split.validation_bytes > total / 10);
    CHECK(split.largest_group == 2);
  }
}

TEST_CASE("a split depends on contents and seed only", "[data][split]") {
  auto const documents = corpus(40);
  auto reversed = documents;
  std::reverse(reversed.begin(), reversed.end());
  CHECK(names(split_documents(documents, {.seed = 5}).validation) ==
        names(split_documents(reversed, {.seed = 5}).validation));
  CHECK(names(split_documents(documents, {.seed = 5}).validation) !=
        names(split_documents(documents, {.seed = 6}).validation));
  CHECK(split_documents(documents, {.bytes = 5000}).validation_bytes <= 5000);
}

TEST_CASE("splits that leave a side empty are refused", "[data][split]") {
  using Catch::Matchers::ContainsSubstring;
  auto const documents = corpus(3);
  CHECK_THROWS_WITH(split_documents({documents[0]}), ContainsSubstring("add more"));
  CHECK_THROWS_WITH(split_documents({}), ContainsSubstring("0 documents"));
  CHECK_THROWS_AS(split_documents(documents, {.fraction = 0.0}), UsageError);
  CHECK_THROWS_AS(split_documents(documents, {.fraction = 1.0}), UsageError);
  CHECK_THROWS_AS(split_documents(documents, {.bytes = -1}), UsageError);
  CHECK(split_documents(documents, {.fraction = 0.001}).validation.size() == 1);
  CHECK(split_documents(documents, {.fraction = 0.999}).training.size() >= 1);
  CHECK(split_documents({{"a", "x"}, {"b", "y"}}).validation.size() == 1);
}
