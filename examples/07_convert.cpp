// Converts the examples' model between the files of aeth_train and Hugging Face folders. Compiled for presets::micro, or
// for the configuration of a header (cmake -DAETH_MODEL_HEADER=…, made by aeth_inspect --header).
#include "aeth/interchange/to_hugging_face.hpp"
#include "support/any_model.hpp"
#include "support/console.hpp"

namespace {

using namespace aeth;

struct Arguments {
  std::string from, to, type = "bf16";
  interchange::ExportOptions options;
  int threads = 0;
};

ExitCode convert(Arguments& a) {
  using interchange::WeightType;
  a.options.type = a.type == "f32" ? WeightType::f32 : a.type == "fp8" ? WeightType::fp8 : WeightType::bf16;
  Cpu cpu(a.threads);
  demo::Model model(cpu);
  demo::load_any(model, a.from);
  if (std::filesystem::exists(a.from + "/tokenizer.json")) {
    auto const tokenizer = demo::load_tokenizer(a.from);
    interchange::save_hugging_face(model, &tokenizer, a.to, a.options);
  } else {
    std::cerr << "note: '" << a.from << "' has no tokenizer.json, so the new folder has none\n";
    interchange::save_hugging_face(model, nullptr, a.to, a.options);
  }
  std::cout << "wrote " << a.to << '\n';
  return ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Converts a model to a Hugging Face folder.");
  Arguments a;
  app.option_defaults()->take_last();  // an option given twice: the last one counts
  app.add_option("from", a.from, "Folder of aeth_train, Hugging Face folder, or .safetensors file")
      ->required();
  app.add_option("to", a.to, "New folder")->required();
  app.add_option("--type", a.type, "Type of the weights")
      ->check(CLI::IsMember({"f32", "bf16", "fp8"}))
      ->capture_default_str();
  app.add_option("--shard-bytes", a.options.shard_bytes, "Largest file of weights")->capture_default_str();
  app.add_option("--title", a.options.title, "First line of the README")->capture_default_str();
  app.add_option("--threads", a.threads, "0 = all cores")->check(CLI::Range(0, 1024));
  int code = 0;
  if (!console::parse(app, argc, argv, code)) return code;
  return console::guarded([&] { return convert(a); });
}
