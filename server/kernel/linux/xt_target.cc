#include "kernel/linux/xt_target.h"

#include "absl/strings/str_cat.h"

namespace nfmeter::kernel {

std::string FormatTargetOptions(Family, absl::string_view, uint8_t,
                                absl::Span<const uint8_t> info) {
  return info.empty() ? "" : absl::StrCat(" [", info.size(), " bytes]");
}

}  // namespace nfmeter::kernel
