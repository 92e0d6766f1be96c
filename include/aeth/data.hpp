/// Text to batches: everything in aeth/data/ that needs the standard library only. The readers of JSON are
/// separate includes: aeth/data/jsonl.hpp, aeth/data/text_source.hpp, aeth/data/tokenizer_json.hpp; so is that of
/// PCRE2: aeth/data/pcre2_split.hpp.
#pragma once

#include "aeth/data/batch.hpp"
#include "aeth/data/bpe_trainer.hpp"
#include "aeth/data/chat_template.hpp"
#include "aeth/data/document.hpp"
#include "aeth/data/encode_all.hpp"
#include "aeth/data/fim.hpp"
#include "aeth/data/loader.hpp"
#include "aeth/data/nfc.hpp"
#include "aeth/data/packing.hpp"
#include "aeth/data/pre_tokenizer.hpp"
#include "aeth/data/rows.hpp"
#include "aeth/data/similarity.hpp"
#include "aeth/data/source.hpp"
#include "aeth/data/split.hpp"
#include "aeth/data/split_step.hpp"
#include "aeth/data/splitter.hpp"
#include "aeth/data/tokenizer.hpp"
#include "aeth/data/unicode.hpp"
#include "aeth/data/utf8_stream.hpp"
#include "aeth/data/validation.hpp"
#include "aeth/data/vocabulary.hpp"
#include "aeth/data/word_cache.hpp"
