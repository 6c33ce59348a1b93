// SPDX-License-Identifier: GPL-3.0-or-later
// What libraries would write to standard error by themselves.
#ifndef NFMETER_APP_LIBRARY_LOGS_H_
#define NFMETER_APP_LIBRARY_LOGS_H_

namespace nfmeter::app {

// From now on what gRPC and protobuf have to say goes to the log. Clients can
// cause such lines, so that no more than some pass, and the next says how many
// did not. To be called before there are other threads.
void CaptureLibraryLogs();

}  // namespace nfmeter::app

#endif  // NFMETER_APP_LIBRARY_LOGS_H_
