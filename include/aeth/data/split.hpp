/// Divides documents into training and validation so that no validation document has a near copy in training.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/core/math.hpp"
#include "aeth/data/document.hpp"
#include "aeth/data/similarity.hpp"
#include "aeth/io/hash.hpp"

namespace aeth::data {

struct SplitOptions {
  double fraction = 0.1;              ///< share of the bytes for validation, above 0 and below 1
  Index bytes = 0;                    ///< if above 0: bytes for validation, instead of the fraction
  std::uint64_t seed = 0;             ///< of the choice
  SimilarityOptions similarity = {};  ///< what counts as a near copy
};

struct Split {
  std::vector<Document> training, validation;  ///< each in the order of the input
  Index training_bytes = 0, validation_bytes = 0;
  Index groups = 0;         ///< of similar documents; each lies on one side
  Index largest_group = 0;  ///< documents in the largest group
};

/// Chooses whole groups of similar documents, in an order given by a seeded hash of their content, until the
/// wanted bytes are reached; a group that would go beyond them is passed over. If all groups are larger than
/// wanted, the smallest is taken. The result depends on contents and seed, not on names or order.
///
/// errors   UsageError for a fraction outside (0, 1); DataError if one side would be empty
[[nodiscard]] inline Split split_documents(std::vector<Document> documents,
                                           SplitOptions const& options = {}) {
  expect<UsageError>(
      options.bytes >= 0 && (options.bytes > 0 || (options.fraction > 0 && options.fraction < 1)),
      "split: validation fraction is ", options.fraction, " and bytes is ", options.bytes,
      "; give a fraction above 0 and below 1, or a positive number of bytes");
  struct Group {
    std::uint64_t key = ~std::uint64_t{0};  // least hash of its documents: the same for every order
    Index bytes = 0, documents = 0;
    std::size_t first = 0;
    bool validation = false;
  };
  std::vector<std::size_t> const group_of = similarity_groups(documents, options.similarity);
  std::vector<Group> groups(documents.size());
  Index total = 0;
  for (std::size_t d = 0; d < documents.size(); ++d) {
    Group& group = groups[group_of[d]];
    group.first = group_of[d];
    group.key = (std::min)(group.key, io::mix64(io::hash64(documents[d].text) ^ io::mix64(options.seed + 1)));
    group.bytes += static_cast<Index>(documents[d].text.size());
    group.documents += 1;
    total += static_cast<Index>(documents[d].text.size());
  }
  std::vector<Group*> order;
  for (Group& group : groups)
    if (group.documents > 0) order.push_back(&group);
  std::sort(order.begin(), order.end(), [](Group const* a, Group const* b) {
    return std::pair(a->key, a->first) < std::pair(b->key, b->first);
  });
  expect<DataError>(order.size() >= 2, "split: ", documents.size(), " documents form ", order.size(),
                    " groups of similar ones, but training and validation need one each; add more, different "
                    "documents, or raise similarity.threshold");
  Index const wanted =
      options.bytes > 0 ? options.bytes : static_cast<Index>(options.fraction * static_cast<double>(total));
  Split split;
  std::size_t chosen = 0;
  for (Group* group : order) {
    if (split.validation_bytes + group->bytes > wanted || chosen + 1 == order.size()) continue;
    group->validation = true;
    split.validation_bytes += group->bytes;
    ++chosen;
  }
  if (chosen == 0) {
    Group* const smallest = *std::min_element(
        order.begin(), order.end(), [](Group const* a, Group const* b) { return a->bytes < b->bytes; });
    smallest->validation = true;
    split.validation_bytes = smallest->bytes;
    expect<DataError>(2 * smallest->bytes <= total, "split: no validation document: the smallest of ",
                      order.size(), " groups of similar documents has ", smallest->bytes, " bytes, ", wanted,
                      " were wanted; add more documents or ask for another fraction");
  }
  split.training_bytes = total - split.validation_bytes;
  split.groups = static_cast<Index>(order.size());
  for (Group const* group : order) split.largest_group = (max)(split.largest_group, group->documents);
  for (std::size_t d = 0; d < documents.size(); ++d)
    (groups[group_of[d]].validation ? split.validation : split.training).push_back(std::move(documents[d]));
  return split;
}

}  // namespace aeth::data
