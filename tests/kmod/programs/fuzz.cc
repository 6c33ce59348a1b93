// SPDX-License-Identifier: GPL-3.0-or-later
// Sends mutations of well-formed messages to nfnetlink_acct:
//   kmod_fuzz SEED SECONDS
// The same seed sends the same messages. It fails when the module no longer
// answers a well-formed message afterwards; whatever else goes wrong is in the
// kernel's log.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/kmod/programs/acct_peer.h"

namespace nfmeter::testing {
namespace {

class Fuzzer {
 public:
  explicit Fuzzer(unsigned seed) : random_(seed) {}

  std::string Next() {
    std::string bytes = Message().bytes();
    // Several in one send, now and then, aligned or not.
    while (Chance(4) && bytes.size() < 8'000) bytes += Message().bytes();
    for (uint32_t i = Chance(2) ? 0 : Below(6); i > 0; --i) Mutate(bytes);
    return bytes;
  }

 private:
  uint32_t Below(uint32_t bound) { return random_() % bound; }
  bool Chance(uint32_t one_in) { return Below(one_in) == 0; }

  uint64_t Number() {
    static constexpr uint64_t kLimits[] = {0,
                                           1,
                                           2,
                                           3,
                                           4,
                                           7,
                                           0x7fffffff,
                                           0x80000000,
                                           0xffffffff,
                                           0x7fffffffffffffff,
                                           0x8000000000000000,
                                           0xffffffffffffffff};
    return Chance(3) ? random_() : kLimits[Below(std::size(kLimits))];
  }

  std::string Bytes(size_t most) {
    std::string bytes(Below(most + 1), 0);
    for (char& byte : bytes) byte = Chance(3) ? 0 : random_();
    return bytes;
  }

  AcctMessage Message() {
    // Mostly the commands that exist.
    const int command = Chance(10) ? Below(256) : Below(5);
    uint16_t flags = 0;
    for (const int flag : {NLM_F_ACK, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE,
                           NLM_F_APPEND, NLM_F_ECHO, NLM_F_MULTI}) {
      if (Chance(2)) flags |= flag;
    }
    if (Chance(20)) flags |= NLM_F_DUMP;
    AcctMessage message(command, flags);
    for (uint32_t i = Below(7); i > 0; --i) AddAttribute(message, 0);
    return message;
  }

  void AddAttribute(AcctMessage& message, int depth) {
    // The kernel's own attributes and those above, where ours has more.
    const uint16_t type = Chance(8) ? Below(0x10000) : Below(40);
    switch (Below(6)) {
      case 0:
      case 1:
        message.Name(absl::StrCat("f", Below(300)));
        break;
      case 2:
        message.U64(Chance(2) ? type : NFACCT_PKTS + Below(6), Number());
        break;
      case 3:
        message.U32(Chance(2) ? type : uint16_t{NFACCT_FLAGS}, Number());
        break;
      case 4:
        message.Attribute(type, Bytes(Chance(20) ? 3'000 : 40));
        break;
      default:
        if (depth < 4) {
          AcctMessage inner(0, 0);
          for (uint32_t i = Below(4); i > 0; --i) {
            AddAttribute(inner, depth + 1);
          }
          message.Nested(Chance(2) ? type : uint16_t{NFACCT_FILTER}, inner);
        }
        break;
    }
  }

  void Mutate(std::string& bytes) {
    if (bytes.empty()) return;
    switch (Below(5)) {
      case 0:
        bytes[Below(bytes.size())] ^= 1 << Below(8);
        break;
      case 1:
        bytes[Below(bytes.size())] = random_();
        break;
      case 2:
        bytes.resize(Below(bytes.size() + 1));
        break;
      case 3:
        bytes.insert(Below(bytes.size() + 1), Bytes(20));
        break;
      default:
        // Lengths are the most interesting words.
        bytes[Below(bytes.size()) & ~3u] = Below(3) * 127;
        break;
    }
  }

  std::mt19937_64 random_;
};

int Main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: kmod_fuzz SEED SECONDS\n");
    return 2;
  }
  Fuzzer fuzzer(strtoul(argv[1], nullptr, 0));
  const time_t end = time(nullptr) + atoi(argv[2]);
  AcctPeer peer;
  long sent = 0, answers = 0;
  while (time(nullptr) < end) {
    // Type NFNL_SUBSYS_ACCT is kept most of the time by mutating few bytes.
    peer.Send(fuzzer.Next());
    ++sent;
    AcctReply reply;
    while (peer.Receive(64 << 10, 0, reply)) {
      ++answers;
      reply = {};
    }
  }
  printf("%ld sends, %ld answers, %zu objects left\n", sent, answers,
         AcctPeer().Dump().objects.size());

  AcctPeer sane;
  if (sane.Do(AcctMessage(NFNL_MSG_ACCT_DEL, NLM_F_ACK)) != 0 ||
      !sane.Dump().objects.empty() || sane.Create("sane", 1, 2) != 0 ||
      sane.Get("sane")->bytes != 2 || sane.Delete("sane") != 0) {
    fprintf(stderr, "kmod_fuzz: the module no longer does as it is told\n");
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace nfmeter::testing

int main(int argc, char** argv) { return nfmeter::testing::Main(argc, argv); }
