// SPDX-License-Identifier: GPL-3.0-or-later
/* Preloaded into a program, makes the kernel lack something of netlink:
   NETLINK_LACK is "HEX:HEX", bytes of a request and as many others that no
   kernel knows, which replace them wherever they begin at a multiple of 4. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MOST 64
static ssize_t (*real_sendto)(int, const void *, size_t, int,
                              const struct sockaddr *, socklen_t);
static unsigned char from[MOST], to[MOST];
static size_t length;

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
  const char *text = getenv("NETLINK_LACK");
  const char *colon = text == NULL ? NULL : strchr(text, ':');
  if (colon == NULL) return;
  length = read_hex(colon + 1, to);
  if (read_hex(text, from) != length) abort();
}

ssize_t sendto(int fd, const void *data, size_t size, int flags,
               const struct sockaddr *address, socklen_t address_size) {
  if (length == 0 || address == NULL || address->sa_family != AF_NETLINK) {
    return real_sendto(fd, data, size, flags, address, address_size);
  }
  unsigned char *copy = malloc(size);
  memcpy(copy, data, size);
  for (size_t i = 0; i + length <= size; i += 4) {
    if (memcmp(copy + i, from, length) == 0) memcpy(copy + i, to, length);
  }
  const ssize_t sent =
      real_sendto(fd, copy, size, flags, address, address_size);
  free(copy);
  return sent;
}
