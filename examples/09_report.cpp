// Makes a report of a training run: one HTML file with plots of losses, experts, FP8 and speed, with events and costs. It
// needs no network to be read. Works while the run goes on, and after it was killed.
//
// needs: aeth::json
#include <chrono>
#include <filesystem>
#include <iostream>
#include <string>

#include "aeth/io/file.hpp"
#include "aeth/train/read_run.hpp"
#include "aeth/train/report.hpp"
#include "aeth/train/tensorboard.hpp"
#include "support/console.hpp"

namespace {

using namespace aeth;

struct Arguments {
  std::string folder, out, tensorboard;
  double watts = train::RunCost{}.watts;
};

ExitCode report(Arguments const& a) {
  train::RunRecord run = train::read_run(a.folder);
  run.cost.watts = a.watts;
  std::string const out = a.out.empty() ? a.folder + "/report.html" : a.out;
  io::write_file_atomic(out, train::report_html(run));
  std::cout << "wrote " << out << '\n';
  if (a.tensorboard.empty()) return ExitCode::ok;
  std::filesystem::create_directories(a.tensorboard);
  std::string const events = a.tensorboard + "/events.out.tfevents.0.aeth";
  double const now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  io::write_file_atomic(
      events, train::tensorboard_events(run.metrics, run.speed.find("seconds"), now - run.cost.seconds));
  std::cout << "wrote " << events << '\n';
  return ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes a report of a training run, as one HTML file.");
  Arguments a;
  app.option_defaults()->take_last();  // an option given twice: the last one counts
  app.add_option("folder", a.folder, "The run's folder: --out of aeth_train")->required();
  app.add_option("--out", a.out, "File to write (default: report.html in the folder)");
  app.add_option("--watts", a.watts, "What the machine takes while it trains, for the energy")
      ->check(CLI::Range(0.0, 1e7))
      ->capture_default_str();
  app.add_option("--tensorboard", a.tensorboard, "Folder for an event file of TensorBoard");
  int code = 0;
  if (!console::parse(app, argc, argv, code)) return code;
  return console::guarded([&] { return report(a); });
}
