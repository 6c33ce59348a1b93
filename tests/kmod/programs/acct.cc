// SPDX-License-Identifier: GPL-3.0-or-later
// What suites want of nfnetlink_acct and nfacct does one object at a time:
//   kmod_acct create N [PREFIX]   N objects
//   kmod_acct churn SECONDS       create, dump, reset, delete; 0: till killed.
//                                 Errors are expected: modules come and go.
//   kmod_acct dump                how many objects there are
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/kmod/programs/acct_peer.h"

namespace nfmeter::testing {
namespace {

int Create(int count, const std::string& prefix) {
  AcctPeer peer;
  for (int i = 0; i < count; ++i) {
    if (const int error = peer.Create(absl::StrCat(prefix, i)); error != 0) {
      fprintf(stderr, "kmod_acct: object %d: errno %d\n", i, error);
      return 1;
    }
  }
  return 0;
}

int Churn(int seconds) {
  AcctPeer peer;
  const time_t end = time(nullptr) + seconds;
  for (int i = 0; seconds == 0 || time(nullptr) < end; ++i) {
    peer.Create(absl::StrCat("churn", i % 500));
    if (i % 3 == 0) peer.Delete(absl::StrCat("churn", i * 7 % 500));
    if (i % 100 == 0)
      peer.Dump(i % 200 == 0 ? NFNL_MSG_ACCT_GET : NFNL_MSG_ACCT_GET_CTRZERO);
  }
  return 0;
}

int Main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "create" && argc >= 3) {
    return Create(atoi(argv[2]), argc > 3 ? argv[3] : "object-");
  }
  if (command == "churn" && argc == 3) return Churn(atoi(argv[2]));
  if (command == "dump") {
    printf("%zu\n", AcctPeer().Dump().objects.size());
    return 0;
  }
  fprintf(stderr,
          "usage: kmod_acct create N [PREFIX] | churn SECONDS | dump\n");
  return 2;
}

}  // namespace
}  // namespace nfmeter::testing

int main(int argc, char** argv) { return nfmeter::testing::Main(argc, argv); }
