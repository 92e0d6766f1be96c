// The model card against the published models. Compiling is passing.
#include "aeth/config/model_card.hpp"

#include "aeth/config/presets.hpp"

namespace aeth::presets {

constexpr Index activated_without_embedding(ModelConfig const& c) {
  return count_activated(c).total() - count_activated(c).embedding;
}

// totals
static_assert(count_parameters(deepseek_v3).total() == 671'026'419'200);
static_assert(count_parameters(deepseek_r1).total() == 671'026'419'200);
static_assert(count_parameters(deepseek_v2).total() == 235'741'434'880);
static_assert(count_parameters(deepseek_v2_lite).total() == 15'706'484'224);
static_assert(count_parameters(deepseek_coder_v2_lite).total() == 15'706'484'224);
static_assert(count_parameters(moonlight_16b_a3b).total() == 15'960'110'208);
static_assert(count_parameters(kimi_k2).total() == 1'026'408'232'448);

// activated, with both tables
static_assert(count_activated(deepseek_v3).total() == 37'552'297'472);
static_assert(count_activated(deepseek_v2).total() == 21'375'800'320);
static_assert(count_activated(deepseek_v2_lite).total() == 2'661'150'208);
static_assert(count_activated(moonlight_16b_a3b).total() == 2'914'776'192);
static_assert(count_activated(kimi_k2).total() == 32'861'500'928);

// activated, without the input embedding
static_assert(activated_without_embedding(deepseek_v3) == 36'625'618'432);
static_assert(activated_without_embedding(deepseek_v2) == 20'851'512'320);
static_assert(activated_without_embedding(deepseek_v2_lite) == 2'451'435'008);
static_assert(activated_without_embedding(moonlight_16b_a3b) == 2'579'231'872);
static_assert(activated_without_embedding(kimi_k2) == 31'687'095'808);

// attention of a layer
static_assert(attention_parameters(deepseek_v3) == 187'107'328);
static_assert(attention_parameters(deepseek_v2) == 149'227'520);
static_assert(attention_parameters(deepseek_v2_lite) == 13'763'072);
static_assert(attention_parameters(moonlight_16b_a3b) == 13'763'072);
static_assert(attention_parameters(kimi_k2) == 101'124'096);

// an expert
static_assert(expert_parameters(deepseek_v3) == 44'040'192);
static_assert(expert_parameters(deepseek_v2) == 23'592'960);
static_assert(expert_parameters(deepseek_v2_lite) == 8'650'752);
static_assert(expert_parameters(moonlight_16b_a3b) == 8'650'752);
static_assert(expert_parameters(kimi_k2) == 44'040'192);

// a layer's experts; Moonlight has 64 selection biases more than V2-Lite
static_assert(moe_parameters(deepseek_v3) == 11'320'164'608);
static_assert(moe_parameters(deepseek_v2) == 3'822'878'720);
static_assert(moe_parameters(deepseek_v2_lite) == 571'080'704);
static_assert(moe_parameters(moonlight_16b_a3b) == 571'080'768);
static_assert(moe_parameters(kimi_k2) == 16'958'226'816);

// a dense FFN
static_assert(dense_ffn_parameters(deepseek_v2_lite) == 67'239'936);
static_assert(dense_ffn_parameters(deepseek_v2) == 188'743'680);
static_assert(dense_ffn_parameters(deepseek_v3) == 396'361'728);
static_assert(dense_ffn_parameters(kimi_k2) == 396'361'728);
static_assert(dense_ffn_parameters(moonlight_16b_a3b) == 69'206'016);

// a table
static_assert(count_parameters(deepseek_v3).embedding == 926'679'040);
static_assert(count_parameters(deepseek_v2).head == 524'288'000);
static_assert(count_parameters(deepseek_v2_lite).embedding == 209'715'200);

// MTP: unique parameters, and the 684.49 billion of the stored checkpoint (embedding and head twice)
static_assert(mtp_module_parameters(deepseek_v3) == 11'610'068'224);
static_assert(count_parameters(deepseek_v3).total() + mtp_module_parameters(deepseek_v3) +
                  2 * count_parameters(deepseek_v3).embedding ==
              684'489'845'504);

// selection biases are parameters, but not trained by gradients
static_assert(trainable_parameters(deepseek_v3) == 671'026'419'200 + 11'610'068'224 - 59 * 256);
static_assert(trainable_parameters(deepseek_v2_lite) == 15'706'484'224);

// cache bytes per token in BF16
static_assert(mla_cache_bytes_per_token(deepseek_v3, 2) == 70'272);
static_assert(mla_cache_bytes_per_token(deepseek_v2, 2) == 69'120);
static_assert(mla_cache_bytes_per_token(deepseek_v2_lite, 2) == 31'104);
static_assert(mla_cache_bytes_per_token(moonlight_16b_a3b, 2) == 31'104);
static_assert(mla_cache_bytes_per_token(kimi_k2, 2) == 70'272);
static_assert(expanded_cache_bytes_per_token(deepseek_v3, 2) == 4'997'120);
static_assert(expanded_cache_bytes_per_token(deepseek_v2, 2) == 4'915'200);
static_assert(expanded_cache_bytes_per_token(deepseek_v2_lite, 2) == 276'480);
static_assert(expanded_cache_bytes_per_token(kimi_k2, 2) == 2'498'560);
static_assert(equivalent_gqa_groups(deepseek_v3) == 2.25);
static_assert(4 * mla_cache_bytes_per_token(deepseek_v3, 2) == gqa_cache_bytes_per_token(deepseek_v3, 9, 2));

// FLOPs: two per activated weight of a matrix product. Norm gains and selection biases multiply no matrix.
static_assert(forward_flops_per_token(deepseek_v3, 0) ==
              2.0 * (36'625'618'432 - (2 * 61 + 1) * 7168 - 61 * (1536 + 512) - 58 * 256));
static_assert(forward_flops_per_token(deepseek_v3, 1) - forward_flops_per_token(deepseek_v3, 0) ==
              2.0 * 61 * 128 * (192 + 128));
static_assert(training_flops_per_token(deepseek_v2, 4095) ==
              3.0 * forward_flops_per_token(deepseek_v2, 2048));
static_assert(training_flops_per_token(deepseek_v3, 1) ==
              3.0 * (forward_flops_per_token(deepseek_v3, 1) + mtp_flops_per_token(deepseek_v3, 1)));

// training state: 14 bytes per parameter in V3's widths
static_assert(training_state_bytes(deepseek_v3, {}) == 14 * trainable_parameters(deepseek_v3));

// a model without experts, and experts in every second layer
constexpr ModelConfig dense = with(tiny, [](ModelConfig& c) { c.moe = MoeConfig{}; });
static_assert(moe_layers(dense) == 0 && dense_ffn_layers(dense) == 3);
static_assert(count_parameters(dense) == count_activated(dense));
static_assert(mtp_module_parameters(dense) ==
              attention_parameters(dense) + dense_ffn_parameters(dense) + 2 * 64 * 64 + 5 * 64);

constexpr bool counts_agree_with_is_moe_layer() {
  for (int layers = 1; layers < 12; ++layers)
    for (int first = 0; first <= layers; ++first)
      for (int stride = 1; stride < 5; ++stride) {
        auto const c = with(tiny, [&](ModelConfig& config) {
          config.layers = layers;
          config.dense_layers = first;
          config.moe.layer_stride = stride;
        });
        Index count = 0;
        for (int layer = 0; layer < layers; ++layer) count += c.is_moe_layer(layer);
        if (count != moe_layers(c)) return false;
      }
  return true;
}
static_assert(counts_agree_with_is_moe_layer());

}  // namespace aeth::presets
