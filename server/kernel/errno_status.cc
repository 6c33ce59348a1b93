#include "kernel/errno_status.h"

#include <errno.h>
#include <string.h>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace nfmeter::kernel {

absl::Status ErrnoStatus(Operation operation, int err,
                         absl::string_view subject) {
  (void)operation;
  return MakeError(absl::StatusCode::kInternal, "KERNEL_ERROR",
                   absl::StrCat(subject, ": ", strerrordesc_np(err)));
}

}  // namespace nfmeter::kernel
