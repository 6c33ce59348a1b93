// SPDX-License-Identifier: GPL-3.0-or-later
// Tells ThreadSanitizer what Abseil's locks, and the references that copies of
// a status share, order.
//
// Debian's Abseil is not built for ThreadSanitizer, which then sees no order in
// what these protect and reports a race at every use. These definitions stand
// before the library's, call them, and say so. For programs that are linked to
// Abseil's shared libraries.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <string>
#include <typeinfo>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

// The library's search for cycles of locks keeps a graph under a lock that
// can't be seen either. The other runs of the same tests have it on.
[[maybe_unused]] const bool kCyclesIgnored = [] {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return true;
}();

// The library's definition of `Class`'s member; `signature` is the rest of its
// mangled name (Itanium C++ ABI, 5.1), as the namespace differs by version.
template <typename Function, typename Class>
Function* Real(const char* signature) {
  std::string name = typeid(Class).name();  // N4absl...5MutexE
  name.pop_back();
  const bool is_const = signature[0] == 'K';
  name = std::string(is_const ? "_ZNK" : "_ZN") + name.substr(1) +
         (signature + (is_const ? 1 : 0));
  void* const found = dlsym(RTLD_NEXT, name.c_str());
  if (found == nullptr) {
    fprintf(stderr, "tsan_abseil: no %s in Abseil's libraries\n", name.c_str());
    abort();
  }
  return reinterpret_cast<Function*>(found);
}

// Whoever lets go of a mutex evaluates the conditions of those who wait for it,
// after it was released in ThreadSanitizer's eyes.
class ConditionsOfOthers {
 public:
  explicit ConditionsOfOthers(const void* mutex) {
    __tsan_release(const_cast<void*>(mutex));
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  }
  ~ConditionsOfOthers() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

// The last of them frees what the others have read.
void Status::UnrefNonInlined(uintptr_t rep) {
  static auto* const real =
      Real<void(uintptr_t), Status>("15UnrefNonInlinedEm");
  auto* const shared = reinterpret_cast<void*>(rep);
  __tsan_release(shared);
  __tsan_acquire(shared);
  real(rep);
}

void Mutex::Lock() {
  static auto* const real = Real<void(Mutex*), Mutex>("4LockEv");
  real(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  static auto* const real = Real<void(Mutex*), Mutex>("6UnlockEv");
  const ConditionsOfOthers conditions(this);
  real(this);
}

void Mutex::ReaderLock() {
  static auto* const real = Real<void(Mutex*), Mutex>("10ReaderLockEv");
  real(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  static auto* const real = Real<void(Mutex*), Mutex>("12ReaderUnlockEv");
  const ConditionsOfOthers conditions(this);
  real(this);
}

void Mutex::Await(const Condition& condition) {
  static auto* const real =
      Real<void(Mutex*, const Condition&), Mutex>("5AwaitERKNS0_9ConditionE");
  {
    const ConditionsOfOthers conditions(this);
    real(this, condition);
  }
  __tsan_acquire(this);
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static auto* const real = Real<bool(Mutex*, const Condition&, Time), Mutex>(
      "17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  bool met;
  {
    const ConditionsOfOthers conditions(this);
    met = real(this, condition, deadline);
  }
  __tsan_acquire(this);
  return met;
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  return AwaitWithDeadline(condition, Now() + timeout);
}

void Notification::Notify() {
  static auto* const real =
      Real<void(Notification*), Notification>("6NotifyEv");
  __tsan_release(this);
  real(this);
}

void Notification::WaitForNotification() const {
  static auto* const real =
      Real<void(const Notification*), Notification>("K19WaitForNotificationEv");
  real(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static auto* const real =
      Real<bool(const Notification*, Duration), Notification>(
          "K30WaitForNotificationWithTimeoutENS0_8DurationE");
  const bool notified = real(this, timeout);
  __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  static auto* const real = Real<bool(const Notification*, Time), Notification>(
      "K31WaitForNotificationWithDeadlineENS0_4TimeE");
  const bool notified = real(this, deadline);
  __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

ABSL_NAMESPACE_END
}  // namespace absl
