// SPDX-License-Identifier: GPL-3.0-or-later
// Which network namespace sockets are opened in.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NETLINK_NAMESPACE_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NETLINK_NAMESPACE_H_

#include <memory>

#include "base/unique_fd.h"

namespace nfmeter::kernel {

// A network namespace, so that sockets can be opened there from any thread. A
// value: copies are the same namespace, which lives at least as long as they.
// Immutable and thread-safe. Where /proc can't be read it does nothing: then
// all threads are taken to be in the same one.
class NetworkNamespace {
 public:
  // That of the calling thread.
  NetworkNamespace();

  // Takes the calling thread there. 0 or an errno; needs no privilege (and does
  // nothing) where the thread is there already, else CAP_SYS_ADMIN.
  int Enter() const;

 private:
  std::shared_ptr<const UniqueFd> fd_;
};

// Has the calling thread in a namespace for as long as it lives: around what
// opens sockets, or reads /proc/thread-self/net.
class NamespaceVisit {
 public:
  explicit NamespaceVisit(const NetworkNamespace& there)
      : err_(there.Enter()) {}
  ~NamespaceVisit() { home_.Enter(); }
  NamespaceVisit(const NamespaceVisit&) = delete;
  NamespaceVisit& operator=(const NamespaceVisit&) = delete;

  // 0, or why it is not there.
  int err() const { return err_; }

 private:
  const NetworkNamespace home_;
  const int err_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NETLINK_NAMESPACE_H_
