// Converts the examples' model between the files of aeth_train, Hugging Face folders and GGUF files. Compiled for presets::micro, or
// for the configuration of a header (cmake -DAETH_MODEL_HEADER=…, made by aeth_inspect --header).
#include <optional>

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

ExitCode to_hugging_face(Arguments& a, demo::Model const& model, data::Tokenizer const* tokenizer) {
  using interchange::WeightType;
  expect<UsageError>(a.type != "q8_0", "--type q8_0 is for GGUF files; give a path that ends with .gguf");
  a.options.type = a.type == "f32" ? WeightType::f32 : a.type == "fp8" ? WeightType::fp8 : WeightType::bf16;
  interchange::save_hugging_face(model, tokenizer, a.to, a.options);
  return ExitCode::ok;
}

ExitCode to_gguf(Arguments const& a, demo::Model const& model, data::Tokenizer const* tokenizer) {
  using interchange::GgufWeights;
  expect<UsageError>(a.type != "fp8",
                     "--type fp8 is for Hugging Face folders; GGUF files have f32, bf16 and q8_0");
  interchange::GgufOptions const options{.weights = a.type == "f32"    ? GgufWeights::f32
                                                    : a.type == "q8_0" ? GgufWeights::q8_0
                                                                       : GgufWeights::bf16,
                                         .name = a.options.title};
  if (tokenizer)
    interchange::save_gguf(model, *tokenizer, a.to, options);
  else
    interchange::save_gguf(model, a.to, options);
  return ExitCode::ok;
}

ExitCode convert(Arguments& a) {
  Cpu cpu(a.threads);
  demo::Model model(cpu);
  demo::load_any(model, a.from);
  std::optional<data::Tokenizer> tokenizer;
  if (demo::is_gguf(a.from) || std::filesystem::exists(a.from + "/tokenizer.json"))
    tokenizer = demo::load_tokenizer(a.from);
  else
    std::cerr << "note: '" << a.from << "' has no tokenizer.json, so what is written has no tokenizer\n";
  data::Tokenizer const* const known = tokenizer ? &*tokenizer : nullptr;
  ExitCode const code = demo::is_gguf(a.to) ? to_gguf(a, model, known) : to_hugging_face(a, model, known);
  std::cout << "wrote " << a.to << '\n';
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Converts a model to a Hugging Face folder or a GGUF file.");
  Arguments a;
  app.option_defaults()->take_last();  // an option given twice: the last one counts
  app.add_option("from", a.from, "Folder of aeth_train, Hugging Face folder, .safetensors or .gguf file")
      ->required();
  app.add_option("to", a.to, "New folder, or a path that ends with .gguf")->required();
  app.add_option("--type", a.type, "Type of the weights")
      ->check(CLI::IsMember({"f32", "bf16", "fp8", "q8_0"}))
      ->capture_default_str();
  app.add_option("--shard-bytes", a.options.shard_bytes, "Largest file of weights in a folder")
      ->capture_default_str();
  app.add_option("--title", a.options.title, "Name of the model")->capture_default_str();
  app.add_option("--threads", a.threads, "0 = all cores")->check(CLI::Range(0, 1024));
  int code = 0;
  if (!console::parse(app, argc, argv, code)) return code;
  return console::guarded([&] { return convert(a); });
}
