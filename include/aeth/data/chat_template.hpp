/// Conversations as the text that DeepSeek's chat models continue.
///
///   V2, Coder-V2   bos {system}\n\n  User: {user}\n\n  Assistant: {assistant} eos …  Assistant:
///   V2.5, V3       bos {system}  <｜User｜>{user}  <｜Assistant｜>{assistant} eos …  <｜Assistant｜>
///   R1             as V3, but of an answer in the history only what follows </think>, and the end is
///                  <｜Assistant｜><think>\n
/// (The blanks between the parts above are not in the text.)
///
/// source   the chat_template of each model's tokenizer_config.json
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aeth/core/error.hpp"
#include "aeth/data/detail/excerpt.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/data/vocabulary.hpp"
#include "aeth/data/word_cache.hpp"

namespace aeth::data {

/// Which models' template.
enum class ChatFormat : std::uint8_t { v2, v3, r1 };

struct Message {
  std::string role;  ///< "system" (first message only), "user" or "assistant"
  std::string content;
};

struct ChatOptions {
  bool add_generation_prompt = true;  ///< end where the model's next answer begins
  bool think = true;                  ///< R1: let that answer begin with <think>
};

/// A part of a conversation's text.
struct ChatPiece {
  std::string text;
  bool is_token = false;  ///< the spelling of one added token; otherwise plain text, even if it spells one
  bool operator==(ChatPiece const&) const = default;
};

namespace detail {

/// Joins plain text that touches, so that it is cut into words as one.
class ChatPieces {
 public:
  void token(std::string_view spelling) { pieces_.push_back({std::string(spelling), true}); }
  void plain(std::string_view text) {
    if (text.empty()) return;
    if (pieces_.empty() || pieces_.back().is_token) pieces_.push_back({});
    pieces_.back().text += text;
  }
  [[nodiscard]] std::vector<ChatPiece> take() { return std::move(pieces_); }

 private:
  std::vector<ChatPiece> pieces_;
};

/// An answer without the thoughts before it.
[[nodiscard]] inline std::string_view after_thinking(std::string_view answer) noexcept {
  std::size_t const end = answer.rfind(special::think_end);
  return end == answer.npos ? answer : answer.substr(end + special::think_end.size());
}

}  // namespace detail

/// The parts of a conversation.
///
/// A message can spell tokens without becoming them. In the format of V2, roles are plain text: there a message can
/// still pretend to be several.
///
/// errors   UsageError without messages, or with the index of a message whose role is unknown or out of place
[[nodiscard]] inline std::vector<ChatPiece> chat_pieces(ChatFormat format, std::span<Message const> messages,
                                                        ChatOptions options = {}) {
  expect<UsageError>(!messages.empty(), "chat: there are no messages; give at least one of the user");
  bool const old = format == ChatFormat::v2;
  detail::ChatPieces out;
  out.token(special::bos);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    auto const& [role, content] = messages[i];
    if (role == "system") {
      expect<UsageError>(i == 0, "chat: message ", i,
                         " is the system's; only the first may be, so join them");
      out.plain(content);
      out.plain(old ? "\n\n" : "");
    } else if (role == "user") {
      old ? out.plain("User: ") : out.token(special::user);
      out.plain(content);
      out.plain(old ? "\n\n" : "");
    } else {
      expect<UsageError>(role == "assistant", "chat: message ", i, " has the role '", detail::Excerpt{role},
                         "'; known are system, user and assistant");
      old ? out.plain("Assistant: ") : out.token(special::assistant);
      out.plain(format == ChatFormat::r1 ? detail::after_thinking(content) : content);
      out.token(special::eos);
    }
  }
  if (options.add_generation_prompt) {
    old ? out.plain("Assistant:") : out.token(special::assistant);
    if (format == ChatFormat::r1 && options.think) {
      out.token(special::think_begin);
      out.plain("\n");
    }
  }
  return out.take();
}

/// The parts as one text: what the template of the model would give. In it, tokens and text that spells them look
/// alike; to feed a model, use encode_chat().
[[nodiscard]] inline std::string render_chat(std::span<ChatPiece const> pieces) {
  std::string out;
  for (ChatPiece const& piece : pieces) out += piece.text;
  return out;
}

/// The ids of a conversation, bos included.
///
/// errors   UsageError if the tokenizer lacks a token of the format; as Tokenizer::encode()
[[nodiscard]] inline std::vector<std::int32_t> encode_chat(Tokenizer const& tokenizer,
                                                           std::span<ChatPiece const> pieces) {
  std::vector<std::int32_t> ids;
  WordCache cache(256);
  for (ChatPiece const& piece : pieces) {
    if (!piece.is_token) {
      tokenizer.encode(piece.text, ids, cache);
      continue;
    }
    ids.push_back(tokenizer.find_added(piece.text));
    expect<UsageError>(ids.back() >= 0, "chat: the tokenizer has no token ", piece.text,
                       "; choose the format of the model that it belongs to");
  }
  return ids;
}

}  // namespace aeth::data
