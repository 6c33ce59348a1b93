// SPDX-License-Identifier: GPL-3.0-or-later
// Calls that this process makes to its own services.
#ifndef NFMETER_SECURITY_ACCESS_IN_PROCESS_H_
#define NFMETER_SECURITY_ACCESS_IN_PROCESS_H_

#include <string>

namespace nfmeter::security {

// The principal of whoever opens the page without a certificate, for which the
// page's server calls.
inline constexpr char kWebPage[] = "web";

// They come in by no listener and so have no mark of one. Instead they carry
// this token in their metadata, which nobody outside of this process knows.
inline constexpr char kInProcessKey[] = "nfmeter-in-process";
const std::string& InProcessToken();
// Beside it, for whom the call is made: EncodePrincipal(). Without it, it is
// kWebPage.
inline constexpr char kInProcessPrincipalKey[] =
    "nfmeter-in-process-principal-bin";

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_ACCESS_IN_PROCESS_H_
