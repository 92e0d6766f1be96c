// Shows what a checkpoint holds: its tensors, what a model of its config.json makes of each, and the model card. Turns the
// config.json into a header that compiles.
#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "aeth/interchange/config_header.hpp"
#include "aeth/interchange/config_json.hpp"
#include "aeth/interchange/ledger.hpp"
#include "aeth/interchange/tensor_plan.hpp"
#include "aeth/io/gguf.hpp"
#include "aeth/io/tensor_files.hpp"
#include "support/console.hpp"

namespace {

using namespace aeth;

struct Arguments {
  std::string path, header, name = "model_config";
  bool tensors = false;
};

std::string padded(std::string cell, std::size_t width) {
  return cell.append(cell.size() < width ? width - cell.size() : 1, ' ');
}

void print_tensors(interchange::Ledger const& ledger) {
  for (auto const& line : ledger)
    std::cout << padded(line.name, 60) << padded(std::string(io::name_of(line.dtype)), 9)
              << padded(io::shape_text(line.shape), 20) << padded(text(line.bytes), 13)
              << interchange::name_of(line.fate) << (line.note.empty() ? "" : ": ") << line.note << '\n';
}

/// A value of a GGUF file, short.
std::string value_text(io::GgufValue const& value) {
  return std::visit(
      []<class T>(T const& v) {
        if constexpr (io::detail::is_vector<T>)
          return text("array of ", v.size());
        else if constexpr (std::is_same_v<T, std::string>)
          return io::in_quotes(v);
        else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
          return text(static_cast<std::int64_t>(v));
        else
          return text(v);
      },
      value);
}

ExitCode inspect_gguf(Arguments const& a) {
  io::GgufFile const file(a.path);
  expect<UsageError>(a.header.empty(), "--header needs a config.json; a GGUF file has none");
  for (auto const& [key, value] : file.metadata()) std::cout << padded(key, 48) << value_text(value) << '\n';
  std::uint64_t bytes = 0;
  for (auto const& t : file.tensors()) {
    bytes += t.size;
    if (a.tensors)
      std::cout << padded(t.name, 40) << padded(std::string(io::name_of(t.type)), 9)
                << padded(io::shape_text(t.shape), 20) << t.size << '\n';
  }
  std::cout << file.tensors().size() << " tensors, " << bytes_text(static_cast<double>(bytes)) << '\n';
  return ExitCode::ok;
}

ExitCode inspect(Arguments const& a) {
  if (a.path.ends_with(".gguf")) return inspect_gguf(a);
  bool const folder = io::is_folder(a.path);
  bool const described = folder && std::filesystem::exists(a.path + "/config.json");
  expect<UsageError>(a.header.empty() || described, "'", a.path, "' has no config.json to make a header of");
  interchange::ConfigJson config;
  if (described) config = interchange::load_config_json(a.path + "/config.json");
  if (!a.header.empty()) {
    io::write_file_atomic(a.header,
                          interchange::config_header(config.config, a.name, a.path + "/config.json"));
    std::cout << "wrote " << a.header << '\n';
  }
  if (described) std::cout << card_table(config.config, std::min(config.config.max_context, 4096)) << '\n';
  io::TensorFiles const files(a.path);
  if (!described) {
    std::cout << files.tensors().size() << " tensors; without a config.json, nothing is known of their use\n";
    for (auto const& t : files.tensors())
      if (a.tensors)
        std::cout << padded(t.name, 60) << padded(std::string(io::name_of(t.dtype)), 9)
                  << padded(io::shape_text(t.shape), 20) << t.size << '\n';
    return ExitCode::ok;
  }
  auto const plan = interchange::plan_tensors(config.config, files, config.tied_embeddings);
  auto const ledger = interchange::ledger_of(plan, files);
  if (a.tensors) print_tensors(ledger);
  std::cout << interchange::ledger_summary(ledger);
  plan.differences.check(a.path, "the weights do not belong to the config.json beside them");
  return ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Shows what a checkpoint holds, and makes a header of its config.json.");
  Arguments a;
  app.option_defaults()->take_last();  // an option given twice: the last one counts
  app.add_option("path", a.path, "Hugging Face folder, or a .safetensors or .gguf file")->required();
  app.add_flag("--tensors", a.tensors, "List every tensor with its type, shape, bytes and use");
  app.add_option("--header", a.header, "Write the configuration as a C++ header to this file");
  app.add_option("--name", a.name, "Name of the constant in the header")->capture_default_str();
  int code = 0;
  if (!console::parse(app, argc, argv, code)) return code;
  return console::guarded([&] { return inspect(a); });
}
