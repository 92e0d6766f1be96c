/// The account of a checkpoint: every tensor of its files and what became of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "aeth/config/describe.hpp"
#include "aeth/core/text.hpp"
#include "aeth/interchange/tensor_plan.hpp"
#include "aeth/io/tensor_files.hpp"

namespace aeth::interchange {

/// A line of the account.
struct LedgerLine {
  std::string name;
  io::DType dtype = io::DType::f32;
  io::TensorShape shape;
  std::uint64_t bytes = 0;
  Fate fate = Fate::unknown;
  std::string note;
};

using Ledger = std::vector<LedgerLine>;

/// The account of a plan, file by file.
[[nodiscard]] inline Ledger ledger_of(TensorPlan const& plan, io::TensorFiles const& files) {
  Ledger lines;
  for (std::size_t i = 0; i < files.tensors().size(); ++i) {
    io::StoredTensor const& t = files.tensors()[i];
    lines.push_back({t.name, t.dtype, t.shape, t.size, plan.ledger[i].fate, plan.ledger[i].note});
  }
  return lines;
}

/// How many tensors and bytes met each fate, as lines of text.
[[nodiscard]] inline std::string ledger_summary(Ledger const& ledger) {
  std::string out;
  for (Fate const fate : {Fate::used, Fate::transformed, Fate::left_out, Fate::unknown}) {
    std::uint64_t count = 0, bytes = 0;
    for (LedgerLine const& line : ledger)
      if (line.fate == fate) {
        ++count;
        bytes += line.bytes;
      }
    if (count > 0 || fate == Fate::used)
      out += text(name_of(fate), ": ", count, " tensors, ", bytes_text(static_cast<double>(bytes)), '\n');
  }
  return out;
}

}  // namespace aeth::interchange
