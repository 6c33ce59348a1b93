// Matches that only others use: printed as iptables-save does, never made.
#include "kernel/linux/xt_match.h"

namespace nfmeter::kernel {

absl::Span<const MatchKind> ForeignMatchKinds() { return {}; }

}  // namespace nfmeter::kernel
