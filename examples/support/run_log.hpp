/// The files of a run that its report is made of, and pictures.
#pragma once

#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/config/model_card.hpp"
#include "aeth/core/math.hpp"
#include "aeth/core/text.hpp"
#include "aeth/core/view.hpp"
#include "aeth/io/file.hpp"
#include "aeth/train/metrics.hpp"
#include "aeth/train/observation.hpp"
#include "aeth/train/options.hpp"
#include "aeth/train/read_run.hpp"
#include "aeth/train/report.hpp"

namespace demo {

/// metrics.jsonl, metrics.csv and speed.csv with a row per step, load.csv and bias.csv with one per ten steps, health.csv with
/// one per measurement; report.html, loss.svg and expert_load.svg at the end. aeth/train/run_record.hpp says what is in them.
class RunLog {
 public:
  using Load = aeth::MatrixView<std::int64_t const>;
  using Biases = aeth::MatrixView<float const>;

  /// Starts new files, or continues old ones after `step`. layers: those with experts.
  RunLog(std::string folder, aeth::ModelConfig const& model, aeth::Index layers,
         aeth::train::TrainerOptions const& options, aeth::Index step)
      : folder_(std::move(folder)), resume_after_(step > 0 ? step : -1) {
    using aeth::train::MetricsFormat;
    std::vector<std::string> const columns{"loss",          "mtp_loss",      "balance_loss", "bits_per_byte",
                                           "learning_rate", "gradient_norm", "max_violation"};
    lines_ = open("metrics.jsonl", MetricsFormat::jsonl, columns);
    metrics_ = open("metrics.csv", MetricsFormat::csv, columns);
    speed_ = open("speed.csv", MetricsFormat::csv, {"seconds", "tokens_per_second"});
    auto const experts = aeth::train::expert_columns(layers, model.moe.experts);
    if (!experts.empty()) load_ = open("load.csv", MetricsFormat::csv, experts);
    std::vector<std::string> measured{"dead_experts", "largest_bias",  "largest_logit",
                                      "fp8_vanished", "fp8_saturated", "fp8_lost"};
    for (std::string_view const group : groups) measured.push_back(aeth::text("update.", group));
    health_ = open("health.csv", MetricsFormat::csv, measured);
    aeth::io::Json const facts{
        {"title", folder_.substr(folder_.find_last_of('/') + 1)},
        {"tokens_per_step", options.batch_rows * options.length},
        {"flops_per_token", aeth::training_flops_per_token(model, static_cast<double>(options.length))}};
    aeth::io::write_file_atomic(folder_ + "/run.json", facts.dump() + '\n');
  }

  /// What the monitor measured; goes into the row of the next step that is added.
  void add(aeth::train::Health const& health) { measured_ = health; }

  /// load [layers with experts, E]: tokens per expert of the step; biases [layers that have them, E].
  void add(aeth::train::Progress const& p, Load load, Biases biases) {
    if (p.action == aeth::train::Action::rolled_back) {
      for (auto* const writer : {&lines_, &metrics_, &speed_, &load_, &bias_, &health_})
        if (*writer) (*writer)->rewind(p.step);
      sums_.assign(sums_.size(), 0.0);
      return;
    }
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> const row{
        p.loss.main, p.loss.mtp,      p.loss.balance, p.validated ? p.bits_per_byte : none,
        p.rate,      p.gradient_norm, p.max_violation};
    lines_->append(p.step, row);
    metrics_->append(p.step, row);
    speed_->append(p.step, std::vector<double>{p.seconds, p.tokens_per_second});
    if (measured_) add_health(p.step);
    if (p.validated || p.action != aeth::train::Action::none) return;  // the load is another batch's
    sums_.resize(aeth::to_size(load.rows * load.cols));
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += static_cast<double>(load.data[i]);
    if (p.step % 10 > 0 || !load_) return;
    load_->append(p.step, sums_);
    sums_.assign(sums_.size(), 0.0);
    if (biases.rows == 0) return;
    if (!bias_)
      bias_ = open("bias.csv", aeth::train::MetricsFormat::csv,
                   aeth::train::expert_columns(biases.rows, biases.cols));
    bias_->append(p.step, std::vector<double>(biases.data, biases.data + biases.rows * biases.cols));
  }

  /// Draws the pictures from the whole run's files; returns their paths.
  [[nodiscard]] std::string pictures() const {
    aeth::train::RunRecord const run = aeth::train::read_run(folder_);
    std::string const report = folder_ + "/report.html", loss = folder_ + "/loss.svg",
                      experts = folder_ + "/expert_load.svg";
    aeth::io::write_file_atomic(report, aeth::train::report_html(run));
    aeth::io::write_file_atomic(loss, aeth::train::loss_figure(run));
    std::string const load = aeth::train::load_figure(run);
    if (load.empty()) return report + ", " + loss;
    aeth::io::write_file_atomic(experts, load);
    return report + ", " + loss + ", " + experts;
  }

 private:
  using Writer = std::unique_ptr<aeth::train::MetricsWriter>;
  static constexpr std::string_view groups[] = {"embedding", "attention", "router", "experts",
                                                "dense",     "norm",      "head"};
  static_assert(std::size(groups) == aeth::train::tensor_groups);

  [[nodiscard]] Writer open(char const* name, aeth::train::MetricsFormat format,
                            std::vector<std::string> columns) const {
    return std::make_unique<aeth::train::MetricsWriter>(
        aeth::train::MetricsOptions{.path = folder_ + '/' + name,
                                    .format = format,
                                    .columns = std::move(columns),
                                    .resume_after = resume_after_});
  }

  void add_health(aeth::Index step) {
    aeth::train::Health const& h = *measured_;
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    bool const f8 = h.f8_values > 0.0;
    std::vector<double> row{
        static_cast<double>(h.dead_experts), h.largest_bias,       h.largest_logit, f8 ? h.f8_vanished : none,
        f8 ? h.f8_saturated : none,          f8 ? h.f8_lost : none};
    for (std::size_t g = 0; g < std::size(groups); ++g)
      row.push_back(h.update_ratio(static_cast<aeth::train::TensorGroup>(g)));
    health_->append(step, row);
    measured_.reset();
  }

  std::string folder_;
  aeth::Index resume_after_;
  Writer lines_, metrics_, speed_, load_, bias_, health_;
  std::vector<double> sums_;  // tokens per expert since the last row, [layers with experts, E]
  std::optional<aeth::train::Health> measured_;
};

}  // namespace demo
