/// Loading checkpoints of the DeepSeek family as Hugging Face keeps them. Needs nlohmann-json.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/interchange/config_json.hpp"
#include "aeth/interchange/ledger.hpp"
#include "aeth/interchange/read_tensors.hpp"
#include "aeth/interchange/tensor_plan.hpp"
#include "aeth/io/tensor_files.hpp"
#include "aeth/model/weight_slots.hpp"
#include "aeth/model/weights.hpp"

namespace aeth::interchange {

/// Fills a model from a folder with config.json and weights in one file or in shards, or from one .safetensors
/// file, and prepares it. Returns the account of every tensor.
///
/// types    F64, F32, F16, BF16, and F8_E4M3 with `weight_scale_inv`; converted to the model's master type
/// errors   ConfigError that lists the fields in which config.json and the model differ; IoError as TensorFiles, and
///          one that lists all missing, unknown and unfit tensors, before a weight changes; IoError as
///          read_tensors(), after which all weights are zero
/// cost     reads each byte once on all threads; memory: the model and 32 MiB
template <class M>
Ledger load_hugging_face(M& model, std::string const& path, LoadOptions const& options = {}) {
  io::TensorFiles const files(path);
  bool tied = false;
  if (io::is_folder(path)) {
    std::string const config = path + "/config.json";
    ConfigJson const theirs = load_config_json(config);
    if (!options.allow_other_config) expect_same_config(theirs, M::config, config);
    tied = theirs.tied_embeddings;
  } else if (!options.allow_other_config) {
    aeth::expect_same_config(files.metadata(), M::config, path);
  }
  TensorPlan const plan = plan_tensors(M::config, files, tied);
  plan.differences.check(path, "give the checkpoint of this configuration, or rename its tensors");
  std::vector<typename M::Master*> destinations;
  for (auto const& slot : weight_slots(model)) destinations.push_back(slot.values.data());
  Index prepared = 0;
  auto const prepare = [&](std::size_t tensors) {
    auto const& parameters = model.parameters();
    Index const end = tensors < parameters.size() ? parameters[tensors].offset
                                                  : parameters.back().offset + parameters.back().size();
    model.prepare(std::exchange(prepared, end), end);
  };
  detail::load_or_clear(model, [&] {
    read_tensors<typename M::Master>(model.backend(), files, plan, destinations, options.allow_nonfinite,
                                     prepare);
  });
  return ledger_of(plan, files);
}

}  // namespace aeth::interchange
