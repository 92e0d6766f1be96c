/// The machines that a training run can be planned for, as data.
///
/// Peaks and links are nominal: dense products, one direction of a link. What a run reaches of them is in
/// `config/training_rates.hpp`.
#pragma once

#include <array>
#include <string_view>

namespace aeth {

/// One device and its links. A 0 means: none, or not known.
struct Hardware {
  std::string_view name{};
  double fp32_peak = 0.0;          ///< FLOP/s
  double bf16_peak = 0.0;          ///< FLOP/s
  double fp8_peak = 0.0;           ///< FLOP/s
  double memory = 0.0;             ///< bytes
  double memory_bandwidth = 0.0;   ///< bytes/s
  int node_devices = 1;            ///< devices of a node, which the faster link connects
  double node_bandwidth = 0.0;     ///< bytes/s that a device sends within its node
  double network_bandwidth = 0.0;  ///< bytes/s that a device sends to other nodes
  double dollars_per_hour = 0.0;   ///< rent of one device
  int threads = 0;                 ///< of a processor; 0 = an accelerator
  std::string_view source{};
};

/// What is known of each. The rent of the H800 is the assumption of DeepSeek-V3's Table 1; of the others the
/// user knows more than a table could.
inline constexpr std::array<Hardware, 4> hardware_table{{
    {.name = "h800",
     .bf16_peak = 989e12,
     .fp8_peak = 1979e12,
     .memory = 80e9,
     .memory_bandwidth = 3.35e12,
     .node_devices = 8,
     .node_bandwidth = 200e9,
     .network_bandwidth = 50e9,
     .dollars_per_hour = 2.0,
     .source = "peaks and memory of the H100 SXM, whose chip it is (NVIDIA data sheet); NVLink 400 GB/s both "
               "ways and eight 400 Gb/s InfiniBand cards per node: arXiv:2505.09343 §4.1; $2 per hour: "
               "arXiv:2412.19437, Table 1"},
    {.name = "h100",
     .bf16_peak = 989e12,
     .fp8_peak = 1979e12,
     .memory = 80e9,
     .memory_bandwidth = 3.35e12,
     .node_devices = 8,
     .node_bandwidth = 450e9,
     .network_bandwidth = 50e9,
     .source = "H100 SXM: NVIDIA data sheet; one 400 Gb/s card per device, as in a DGX H100"},
    {.name = "h200",
     .bf16_peak = 989e12,
     .fp8_peak = 1979e12,
     .memory = 141e9,
     .memory_bandwidth = 4.8e12,
     .node_devices = 8,
     .node_bandwidth = 450e9,
     .network_bandwidth = 50e9,
     .source = "H200 SXM: NVIDIA data sheet; one 400 Gb/s card per device"},
    {.name = "zen4",
     .fp32_peak = 235e9,
     .bf16_peak = 473e9,
     .threads = 2,
     .source = "2 cores of an AMD EPYC (Zen 4), measured: docs/reference/speed.md"},
}};

/// The entry of that name, or null.
[[nodiscard]] constexpr Hardware const* find_hardware(std::string_view name) noexcept {
  for (Hardware const& hardware : hardware_table)
    if (hardware.name == name) return &hardware;
  return nullptr;
}

}  // namespace aeth
