// SPDX-License-Identifier: GPL-3.0-or-later
/* Preloaded into a program, makes the kernel lack something of netlink, as long
   as the file NETLINK_LACK_WHILE exists, if one is named.

   NETLINK_LACK is "HEX:HEX", bytes of a request and as many others that no
   kernel knows, which replace them wherever they begin at a multiple of 4.
   NETLINK_LACK_SUBSYSTEMS is "7,10", numbers of nfnetlink's (NFNL_SUBSYS_*)
   that are not there at all. NETLINK_LACK_SEND_BUFFER is how many bytes the
   send buffer of each socket may have at most, as net.core.wmem_max bounds it
   in an unprivileged user namespace. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 64
static int (*real_setsockopt)(int, int, int, const void *, socklen_t);
static ssize_t (*real_sendto)(int, const void *, size_t, int,
                              const struct sockaddr *, socklen_t);
static unsigned char from[MOST], to[MOST];
static size_t length;
static unsigned long long subsystems; /* a bit each */
static const char *lacks_while;
static int send_buffer_most; /* 0: any */

/* Nobody's, for which the kernel has the answers that it has for those that are
   not there: EINVAL, and EOPNOTSUPP to a batch (NFNL_SUBSYS_HOOK has none). */
#define NO_SUBSYSTEM 0x7f
#define NO_BATCH NFNL_SUBSYS_HOOK

static size_t read_hex(const char *text, unsigned char *bytes) {
  size_t n = 0;
  unsigned value;
  while (n < MOST && sscanf(text + 2 * n, "%2x", &value) == 1) {
    bytes[n++] = (unsigned char)value;
  }
  return n;
}

__attribute__((constructor)) static void load(void) {
  *(void **)&real_sendto = dlsym(RTLD_NEXT, "sendto");
  *(void **)&real_setsockopt = dlsym(RTLD_NEXT, "setsockopt");
  const char *most = getenv("NETLINK_LACK_SEND_BUFFER");
  if (most != NULL) send_buffer_most = atoi(most);
  lacks_while = getenv("NETLINK_LACK_WHILE");
  const char *number = getenv("NETLINK_LACK_SUBSYSTEMS");
  while (number != NULL && *number != '\0') {
    subsystems |= 1ull << strtoul(number, NULL, 10);
    number = strchr(number, ',');
    if (number != NULL) ++number;
  }
  const char *text = getenv("NETLINK_LACK");
  const char *colon = text == NULL ? NULL : strchr(text, ':');
  if (colon == NULL) return;
  length = read_hex(colon + 1, to);
  if (read_hex(text, from) != length) abort();
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
  if (send_buffer_most > 0 && level == SOL_SOCKET) {
    if (name == SO_SNDBUFFORCE) {
      errno = EPERM;
      return -1;
    }
    if (name == SO_SNDBUF && *(const int *)value > send_buffer_most) {
      return real_setsockopt(fd, level, name, &send_buffer_most,
                             sizeof(send_buffer_most));
    }
  }
  return real_setsockopt(fd, level, name, value, size);
}

static int is_lacked(unsigned subsystem) {
  return subsystem < 64 && (subsystems >> subsystem & 1) != 0;
}

static void take_subsystems(unsigned char *data, size_t size) {
  const size_t least = NLMSG_LENGTH(sizeof(struct nfgenmsg));
  size_t at = 0;
  while (at + least <= size) {
    struct nlmsghdr *message = (struct nlmsghdr *)(data + at);
    struct nfgenmsg *body = NLMSG_DATA(message);
    if (message->nlmsg_len < sizeof(*message)) return;
    if (message->nlmsg_type == NFNL_MSG_BATCH_BEGIN) {
      if (is_lacked(ntohs(body->res_id))) body->res_id = htons(NO_BATCH);
    } else if (is_lacked(NFNL_SUBSYS_ID(message->nlmsg_type))) {
      message->nlmsg_type =
          NO_SUBSYSTEM << 8 | NFNL_MSG_TYPE(message->nlmsg_type);
    }
    at += NLMSG_ALIGN(message->nlmsg_len);
  }
}

ssize_t sendto(int fd, const void *data, size_t size, int flags,
               const struct sockaddr *address, socklen_t address_size) {
  const int lacks = (length > 0 || subsystems != 0) &&
                    (lacks_while == NULL || access(lacks_while, F_OK) == 0);
  if (!lacks || address == NULL || address->sa_family != AF_NETLINK) {
    return real_sendto(fd, data, size, flags, address, address_size);
  }
  unsigned char *copy = malloc(size);
  memcpy(copy, data, size);
  take_subsystems(copy, size);
  for (size_t i = 0; length > 0 && i + length <= size; i += 4) {
    if (memcmp(copy + i, from, length) == 0) memcpy(copy + i, to, length);
  }
  const ssize_t sent =
      real_sendto(fd, copy, size, flags, address, address_size);
  free(copy);
  return sent;
}
