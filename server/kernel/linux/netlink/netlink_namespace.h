// Which network namespace sockets are opened in.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NETLINK_NAMESPACE_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NETLINK_NAMESPACE_H_

#include "base/unique_fd.h"

namespace nfmeter::kernel {

// Remembers the network namespace of the thread that made it, so that sockets
// can be opened there later from any thread. Immutable. Where /proc can't be
// read it does nothing: then all threads are taken to be in the same one.
class NetworkNamespace {
 public:
  NetworkNamespace();
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;

  // Takes the calling thread there. 0 or an errno; needs no privilege (and does
  // nothing) where the thread is there already, else CAP_SYS_ADMIN.
  int Enter() const;

 private:
  const UniqueFd fd_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NETLINK_NAMESPACE_H_
