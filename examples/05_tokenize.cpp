// Text to token ids and back with the tokenizer.json of any byte-level BPE model.
// needs: aeth::pcre2
#include <chrono>
#include <fstream>
#include <iterator>

#include "aeth/data/encode_all.hpp"
#include "aeth/data/pcre2_split.hpp"
#include "aeth/data/tokenizer_json.hpp"
#include "aeth/io/file.hpp"
#include "support/console.hpp"

namespace {

using namespace aeth;

struct Arguments {
  std::string tokenizer, out;
  std::vector<std::string> files;
  bool decode = false, count = false, bench = false;
  data::EncodeOptions options;
  int threads = 1;
};

std::string read_input() {
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

/// Ids as text, separated by white space.
std::vector<std::int32_t> parse_ids(std::string_view text) {
  std::vector<std::int32_t> ids;
  for (char const *at = text.data(), *const end = at + text.size(); at != end;) {
    if (std::string_view(" \t\r\n").find(*at) != std::string_view::npos) {
      ++at;
      continue;
    }
    auto const [after, error] = std::from_chars(at, end, ids.emplace_back());
    expect<DataError>(error == std::errc(), "decode: id ", ids.size(),
                      " of the input is not a number; write ids as digits "
                      "with white space between");
    at = after;
  }
  return ids;
}

ExitCode tokenize(Arguments const& a) {
  auto const tokenizer = data::load_tokenizer_json(a.tokenizer, data::pcre2_splitter);
  std::vector<std::string> texts;
  for (auto const& file : a.files) texts.push_back(io::read_file(file, std::uint64_t{4} << 30));
  if (a.files.empty()) texts.push_back(read_input());
  if (a.decode) {
    for (auto const& text : texts) std::cout << tokenizer.decode(parse_ids(text));
    return ExitCode::ok;
  }
  auto const start = std::chrono::steady_clock::now();
  auto const all = data::encode_all(tokenizer, texts, a.threads, a.options);
  std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - start;
  std::size_t bytes = 0, count = 0;
  for (auto const& text : texts) bytes += text.size();
  for (auto const& ids : all) count += ids.size();
  if (a.bench) {
    double const megabytes = static_cast<double>(bytes) / 1e6;
    std::cout << bytes << " bytes, " << count << " tokens, " << fixed(seconds.count(), 3) << " s, "
              << fixed(megabytes / seconds.count(), 1) << " MB/s on " << a.threads << " threads\n";
  } else if (a.count) {
    std::cout << count << '\n';
  } else if (!a.out.empty()) {
    std::string binary;
    for (auto const& ids : all)
      binary.append(reinterpret_cast<char const*>(ids.data()), ids.size() * sizeof ids[0]);
    io::write_file_atomic(a.out, binary);
  } else {
    std::string line;
    for (auto const& ids : all) {
      for (auto const id : ids) line += text(id, ' ');
      line += '\n';
    }
    std::cout << line;
  }
  return ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Text to token ids and back with the tokenizer.json of any byte-level BPE model.");
  Arguments a;
  app.add_option("files", a.files, "Text files, one line of ids each; none = standard input");
  app.add_option("--tokenizer", a.tokenizer, "tokenizer.json of the model")->required();
  app.add_option("--out", a.out, "Write the ids there as 32-bit integers instead of printing them");
  app.add_flag("--decode", a.decode, "The input is ids; print the text");
  app.add_flag("--count", a.count, "Print only how many tokens there are");
  app.add_flag("--special", a.options.allow_special, "Text that spells an added token becomes that token");
  app.add_flag("--around", a.options.add_around, "Put bos and eos around each text where the tokenizer does");
  app.add_option("--threads", a.threads, "Files are spread over them; 0 = all cores")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_flag("--bench", a.bench, "Print how long encoding took and nothing else");
  int code = 0;
  if (!console::parse(app, argc, argv, code)) return code;
  return console::guarded([&] { return tokenize(a); });
}
