// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/errno_status.h"

#include <errno.h>
#include <string.h>

#include <string>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using Code = absl::StatusCode;

constexpr Operation kAll[] = {
    Operation::kSocket,      Operation::kAcctCreate,  Operation::kAcctGet,
    Operation::kAcctReset,   Operation::kAcctDelete,  Operation::kAcctDump,
    Operation::kQuotaEvents, Operation::kXtablesLock, Operation::kRuleRead,
    Operation::kRuleCommit,  Operation::kIpSetLookup, Operation::kNftProbe,
    Operation::kNftRead,     Operation::kNftChange};

TEST(ErrnoStatusTest, SaysWhatWhereAndWhatToDo) {
  const absl::Status status =
      ErrnoStatus(Operation::kAcctDelete, EBUSY, "http-traffic");
  EXPECT_THAT(status, AllOf(StatusIs(Code::kFailedPrecondition,
                                     AllOf(HasSubstr("'http-traffic'"),
                                           HasSubstr("delete those first"))),
                            HasReason("COUNTER_IN_USE")));
  EXPECT_THAT(
      GetErrorDetails(status).metadata,
      ElementsAre(Pair("errno", "EBUSY"), Pair("subject", "http-traffic")));
}

TEST(ErrnoStatusTest, TheSameErrnoMeansDifferentThings) {
  EXPECT_THAT(ErrnoStatus(Operation::kAcctGet, ENOENT, "x"),
              AllOf(StatusIs(Code::kNotFound), HasReason("COUNTER_NOT_FOUND")));
  EXPECT_THAT(ErrnoStatus(Operation::kIpSetLookup, ENOENT, "x"),
              AllOf(StatusIs(Code::kNotFound), HasReason("IPSET_NOT_FOUND")));
  EXPECT_THAT(
      ErrnoStatus(Operation::kXtablesLock, EAGAIN, "/run/xtables.lock"),
      AllOf(StatusIs(Code::kUnavailable, HasSubstr("/run/xtables.lock")),
            HasReason("XTABLES_LOCK_HELD")));
  EXPECT_THAT(ErrnoStatus(Operation::kRuleCommit, EAGAIN, "filter (IPv4)"),
              AllOf(StatusIs(Code::kUnavailable), HasReason("TABLE_CHANGED")));
}

TEST(ErrnoStatusTest, AbsentSubsystemNamesTheModule) {
  for (Operation operation : {Operation::kAcctCreate, Operation::kAcctGet,
                              Operation::kAcctReset, Operation::kAcctDelete,
                              Operation::kAcctDump, Operation::kQuotaEvents}) {
    EXPECT_THAT(ErrnoStatus(operation, EINVAL, "x"),
                AllOf(StatusIs(Code::kUnimplemented,
                               HasSubstr("modprobe nfnetlink_acct")),
                      HasReason("NFACCT_UNAVAILABLE")));
  }
}

// What kernels answer that lack nf_tables, its family inet, objects or
// nft_objref.
TEST(ErrnoStatusTest, AKernelWithoutCountersOfNftablesNamesTheModules) {
  for (const int err : {EINVAL, EOPNOTSUPP, ENOENT, EAFNOSUPPORT}) {
    EXPECT_THAT(ErrnoStatus(Operation::kNftProbe, err, "table inet nfmeter"),
                AllOf(StatusIs(Code::kUnimplemented, HasSubstr("nft_objref")),
                      HasReason("NFTABLES_UNAVAILABLE")));
  }
}

TEST(ErrnoStatusTest, EveryOperationExplainsMissingPrivilegesAndMemory) {
  for (Operation operation : kAll) {
    for (int err : {EPERM, EACCES}) {
      EXPECT_THAT(ErrnoStatus(operation, err, "x"),
                  StatusIs(Code::kPermissionDenied))
          << static_cast<int>(operation);
    }
    EXPECT_THAT(ErrnoStatus(operation, ENOMEM, "x"),
                AllOf(StatusIs(Code::kResourceExhausted),
                      HasReason("KERNEL_OUT_OF_MEMORY")));
  }
}

TEST(ErrnoStatusTest, UnknownErrnoIsInternalWithItsText) {
  EXPECT_THAT(
      ErrnoStatus(Operation::kAcctGet, EXDEV, "x"),
      AllOf(StatusIs(Code::kInternal, AllOf(HasSubstr("EXDEV"),
                                            HasSubstr("Invalid cross-device"))),
            HasReason("KERNEL_ERROR")));
  EXPECT_THAT(ErrnoStatus(Operation::kAcctGet, 99999, "x"),
              AllOf(StatusIs(Code::kInternal, HasSubstr("99999")),
                    HasReason("KERNEL_ERROR")));
}

TEST(ErrnoStatusTest, SubjectsAreShownEscapedAndShortened) {
  const absl::Status status =
      ErrnoStatus(Operation::kAcctGet, ENOENT, "\xff\n'$0");
  EXPECT_THAT(status, StatusIs(Code::kNotFound, HasSubstr("\\xff\\n\\'$0")));
  const absl::Status longer =
      ErrnoStatus(Operation::kAcctGet, ENAMETOOLONG, std::string(10000, 'x'));
  EXPECT_LT(longer.message().size(), 600u);
  EXPECT_THAT(longer, StatusIs(Code::kInvalidArgument, HasSubstr("xxx...")));
}

TEST(ErrnoStatusTest, NoSentenceHasAPlaceholderLeftOrEndsWithAFullStop) {
  for (Operation operation : kAll) {
    for (int err = 1; err < 134; ++err) {
      const absl::Status status = ErrnoStatus(operation, err, "subject");
      ASSERT_FALSE(status.ok());
      const std::string message(status.message());
      EXPECT_THAT(message, Not(HasSubstr("$0")));
      EXPECT_FALSE(message.ends_with('.')) << message;
      EXPECT_NE(GetErrorDetails(status).reason, "");
    }
  }
}

}  // namespace
}  // namespace nfmeter::kernel
