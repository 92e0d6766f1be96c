// Completes or infills text with a model that aeth_train made or that came in a Hugging Face folder, printing each
// character as soon as it is whole.
#include "aeth/aeth.hpp"
#include "support/any_model.hpp"
#include "support/console.hpp"

namespace {

using namespace aeth;

struct Arguments {
  std::string folder = "out/demo", prompt, prefix, suffix, cache = "latent";
  infer::GenerateOptions options{.max_tokens = 200, .sampler = {.temperature = 0.7, .top_p = 0.95}};
  int threads = 0;
};

ExitCode generate(Arguments const& a) {
  auto const tokenizer = demo::load_tokenizer(a.folder);
  Cpu cpu(a.threads);
  demo::Model model(cpu);
  demo::load_any(model, a.folder);
  model.release_masters();  // it only answers from here on
  infer::GenerateOptions options = a.options;
  options.cache = a.cache == "latent" ? infer::CacheForm::latent : infer::CacheForm::expanded;
  options.stream = [](std::string_view piece) {
    std::cout << piece << std::flush;
    return !console::stop_requested && std::cout.good();
  };
  console::save_on_signal();
  bool const infill = !a.prefix.empty() || !a.suffix.empty();
  auto const prompt = infill ? infer::infill_prompt(tokenizer, a.prefix, a.suffix)
                             : infer::completion_prompt(tokenizer, a.prompt);
  std::cout << (infill ? a.prefix : a.prompt);
  auto const generation = infer::generate(model, tokenizer, prompt, options);
  std::cout << (infill ? a.suffix : "") << '\n';
  return generation.finish == infer::FinishReason::cancelled ? ExitCode::failure : ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Completes or infills text with a trained model.");
  Arguments a;
  auto& o = a.options;
  app.option_defaults()->take_last();  // an option given twice: the last one counts
  app.add_option("prompt", a.prompt, "Text to continue; empty = the beginning of a document");
  app.add_option("--prefix", a.prefix, "Infilling: text before the gap");
  app.add_option("--suffix", a.suffix, "Infilling: text after the gap");
  app.add_option("--model", a.folder,
                 "Folder that aeth_train wrote (--out), Hugging Face folder, or GGUF file")
      ->capture_default_str();
  app.add_option("--max-tokens", o.max_tokens, "Longest answer")->capture_default_str();
  app.add_option("--temperature", o.sampler.temperature, "0 = always the most likely token")
      ->capture_default_str();
  app.add_option("--top-k", o.sampler.top_k, "Keep the k most likely tokens; 0 = all")->capture_default_str();
  app.add_option("--top-p", o.sampler.top_p, "Keep the fewest tokens that reach this probability")
      ->capture_default_str();
  app.add_option("--min-p", o.sampler.min_p, "Keep tokens this likely relative to the first")
      ->capture_default_str();
  app.add_option("--seed", o.sampler.seed, "Of the sampler")->capture_default_str();
  app.add_option("--stop", o.stop, "End before this text; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--cache", a.cache, "latent: small and fast; expanded: bit for bit as in training")
      ->check(CLI::IsMember({"latent", "expanded"}))
      ->capture_default_str();
  app.add_option("--threads", a.threads, "0 = all cores")->check(CLI::Range(0, 1024));
  int code = 0;
  if (!console::parse(app, argc, argv, code)) return code;
  return console::guarded([&] { return generate(a); });
}
