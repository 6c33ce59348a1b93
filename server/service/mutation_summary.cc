#include "service/mutation_summary.h"

#include "base/utf8.h"

namespace nfmeter::service {
namespace {

constexpr size_t kMaxTargets = 16;
constexpr size_t kMaxTargetBytes = 64;

}  // namespace

void MutationSummary::AddTarget(absl::string_view target) {
  if (target_count++ < kMaxTargets) {
    targets.push_back(ValidUtf8(target.substr(0, kMaxTargetBytes)));
  }
}

}  // namespace nfmeter::service
