// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fault/neighbours.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {
namespace {

absl::Status Sh(const std::string& commands, absl::string_view input = "") {
  const RunResult result = Run({"sh", "-ec", commands}, input);
  if (result.exit_code == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(commands, ": ", result.exit_code, " ", result.err));
}

void Write(const std::string& path, absl::string_view text) {
  std::ofstream(path) << text;
}

// --- nftables.service -------------------------------------------------------

class NftablesService : public Neighbour {
 public:
  NftablesService() {
    Write(file_, R"(#!/usr/sbin/nft -f
flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		tcp dport 22 accept
	}
	chain output {
		type filter hook output priority filter; policy accept;
	}
}
)");
  }
  // As in its unit.
  absl::Status Start() override { return Sh("nft -f " + file_); }
  absl::Status Reload() override { return Sh("nft -f " + file_); }
  absl::Status Stop() override { return Sh("nft flush ruleset"); }

 private:
  TemporaryDirectory dir_;
  const std::string file_ = dir_ / "nftables.conf";
};

// --- firewalld --------------------------------------------------------------

class Firewalld : public Neighbour {
 public:
  Firewalld() {
    Write(dir_ / "bus.conf",
          absl::StrCat("<!DOCTYPE busconfig PUBLIC "
                       "\"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\""
                       " \"http://www.freedesktop.org/standards/dbus/1.0/"
                       "busconfig.dtd\">\n<busconfig><type>system</type>"
                       "<listen>",
                       address_, "</listen><policy context=\"default\">",
                       "<allow user=\"*\"/><allow own=\"*\"/>"
                       "<allow send_destination=\"*\"/>"
                       "<allow eavesdrop=\"false\"/></policy></busconfig>\n"));
    std::filesystem::create_directory(dir_ / "etc");
    Write(dir_ / "etc/firewalld.conf",
          "FirewallBackend=nftables\nCleanupModulesOnExit=no\n");
    setenv("DBUS_SYSTEM_BUS_ADDRESS", address_.c_str(), 1);
  }

  absl::Status Start() override {
    if (bus_ == nullptr) {
      bus_ = std::make_unique<Background>(
          std::vector<std::string>{"dbus-daemon", "--nofork", "--nopidfile",
                                   "--config-file", dir_ / "bus.conf"},
          dir_ / "bus.log");
    }
    daemon_ = std::make_unique<Background>(
        std::vector<std::string>{"firewalld", "--nofork", "--nopid",
                                 "--system-config", dir_ / "etc", "--log-file",
                                 dir_ / "firewalld.log"},
        dir_ / "out");
    const absl::Time deadline = absl::Now() + absl::Minutes(2);
    while (Run({"nft", "list", "table", "inet", "firewalld"}).exit_code != 0) {
      if (absl::Now() > deadline) {
        return absl::DeadlineExceededError("firewalld does not come up");
      }
    }
    // It answers when it has loaded everything.
    return Sh("firewall-cmd --add-port 8080/tcp");
  }
  absl::Status Reload() override { return Sh("firewall-cmd --reload"); }
  absl::Status Stop() override {
    daemon_->Signal(SIGTERM);
    const int code = daemon_->Wait(absl::Seconds(60));
    if (code == 0) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("firewalld ended with ", code));
  }

 private:
  TemporaryDirectory dir_;
  const std::string address_ = absl::StrCat("unix:path=", dir_ / "bus");
  std::unique_ptr<Background> bus_;
  std::unique_ptr<Background> daemon_;
};

class FirewalldLike : public Neighbour {
 public:
  absl::Status Start() override { return Reload(); }
  absl::Status Reload() override {
    return Sh("nft -f -", R"(table inet firewalld
delete table inet firewalld
table inet firewalld {
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state established,related accept
		tcp dport 22 accept
	}
	chain filter_OUTPUT {
		type filter hook output priority filter + 10; policy accept;
		ip daddr 192.0.2.77 reject
	}
}
)");
  }
  absl::Status Stop() override { return Sh("nft delete table inet firewalld"); }
};

// --- ufw --------------------------------------------------------------------

class Ufw : public Neighbour {
 public:
  Ufw() {
    const std::string etc = dir_ / "ufw";
    const std::string defaults = dir_ / "defaults";
    std::filesystem::create_directories(etc + "/applications.d");
    // As its package installs it.
    status_ = Sh("cp /usr/share/ufw/iptables/*.rules " + etc);
    Write(etc + "/ufw.conf", "ENABLED=no\nLOGLEVEL=off\n");
    // Neither modules nor settings of the kernel.
    Write(defaults,
          "IPV6=no\nDEFAULT_INPUT_POLICY=\"DROP\"\n"
          "DEFAULT_OUTPUT_POLICY=\"ACCEPT\"\nDEFAULT_FORWARD_POLICY=\"DROP\"\n"
          "DEFAULT_APPLICATION_POLICY=\"SKIP\"\nMANAGE_BUILTINS=no\n"
          "IPT_SYSCTL=\nIPT_MODULES=\"\"\n");
    if (mount(etc.c_str(), "/etc/ufw", nullptr, MS_BIND, nullptr) != 0 ||
        mount(defaults.c_str(), "/etc/default/ufw", nullptr, MS_BIND,
              nullptr) != 0) {
      status_.Update(absl::ErrnoToStatus(errno, "mounting ufw's files"));
    }
  }
  ~Ufw() override {
    umount2("/etc/ufw", MNT_DETACH);
    umount2("/etc/default/ufw", MNT_DETACH);
  }

  absl::Status Start() override {
    NFM_RETURN_IF_ERROR(status_);
    return Sh("ufw --force enable");
  }
  absl::Status Reload() override { return Sh("ufw reload"); }
  absl::Status Stop() override { return Sh("ufw --force disable"); }

 private:
  TemporaryDirectory dir_;
  absl::Status status_;
};

// --- Docker -----------------------------------------------------------------

class Docker : public Neighbour {
 public:
  absl::Status Start() override {
    NFM_RETURN_IF_ERROR(Sh(R"(
      iptables-nft -t nat -N DOCKER
      iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
      iptables-nft -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype \
        --dst-type LOCAL -j DOCKER
      iptables-nft -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 \
        -j MASQUERADE
      iptables-nft -N DOCKER-USER
      iptables-nft -A FORWARD -j DOCKER-USER
      iptables-nft -P FORWARD DROP)"));
    return Reload();
  }
  // A container comes: all published ports, once more.
  absl::Status Reload() override {
    return Sh("iptables-nft-restore --noflush",
              "*nat\n:DOCKER - [0:0]\n-A DOCKER -i docker0 -j RETURN\n"
              "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT "
              "--to-destination 172.17.0.2:80\nCOMMIT\n");
  }
  absl::Status Stop() override {
    return Sh(
        "iptables-nft -t nat -F; iptables-nft -t nat -X; "
        "iptables-nft -F; iptables-nft -X; iptables-nft -P FORWARD "
        "ACCEPT");
  }
};

// --- iptables-nft -----------------------------------------------------------

class IptablesNft : public Neighbour {
 public:
  absl::Status Start() override {
    return Sh(R"(
      for iptables in iptables-nft ip6tables-nft; do
        $iptables -A INPUT -p udp --dport 7 -j DROP
        $iptables -A OUTPUT -p udp --dport 7 -j DROP
        $iptables -t mangle -A POSTROUTING -j MARK --set-mark 1
      done)");
  }
  absl::Status Reload() override {
    return Sh(
        "for family in iptables-nft ip6tables-nft; do "
        "saved=$($family-save); echo \"$saved\" | $family-restore; done");
  }
  absl::Status Stop() override {
    return Sh(
        "for iptables in iptables-nft ip6tables-nft; do $iptables -F; "
        "$iptables -t mangle -F; $iptables -Z; $iptables -X; done");
  }
};

// --- Legacy iptables --------------------------------------------------------

// Each waits for the lock, as those programs do.
constexpr char kLegacyRestore[] = "iptables-legacy-restore -w 60";

class IptablesService : public Neighbour {
 public:
  absl::Status Start() override { return Reload(); }
  absl::Status Reload() override {
    return Sh(kLegacyRestore,
              "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT "
              "ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n"
              "COMMIT\n");
  }
  absl::Status Stop() override { return Sh("iptables-legacy -w 60 -F"); }
};

class LegacyFirewalldLike : public Neighbour {
 public:
  absl::Status Start() override { return Reload(); }
  absl::Status Reload() override {
    return Sh(std::string(kLegacyRestore) + " --noflush",
              "*filter\n:INPUT_ZONES - [0:0]\n-F INPUT\n-F OUTPUT\n"
              "-A INPUT -j INPUT_ZONES\n-A INPUT_ZONES -p udp -m udp --dport "
              "53 -j ACCEPT\nCOMMIT\n");
  }
  absl::Status Stop() override {
    return Sh("iptables-legacy -w 60 -F; iptables-legacy -w 60 -X INPUT_ZONES");
  }
};

class LegacyDocker : public Neighbour {
 public:
  absl::Status Start() override { return Reload(); }
  absl::Status Reload() override {
    return Sh(std::string(kLegacyRestore) + " --noflush",
              "*filter\n:DOCKER-USER - [0:0]\n-I FORWARD -j DOCKER-USER\n"
              "COMMIT\n*nat\n:DOCKER - [0:0]\n-A DOCKER -i docker0 -j "
              "RETURN\nCOMMIT\n");
  }
  absl::Status Stop() override {
    return Sh("iptables-legacy -w 60 -t nat -F; iptables-legacy -w 60 -F");
  }
};

}  // namespace

std::unique_ptr<Neighbour> MakeNftablesService() {
  return std::make_unique<NftablesService>();
}
std::unique_ptr<Neighbour> MakeFirewalld() {
  return std::make_unique<Firewalld>();
}
std::unique_ptr<Neighbour> MakeUfw() { return std::make_unique<Ufw>(); }
std::unique_ptr<Neighbour> MakeDocker() { return std::make_unique<Docker>(); }
std::unique_ptr<Neighbour> MakeIptablesNft() {
  return std::make_unique<IptablesNft>();
}

std::unique_ptr<Neighbour> MakeFirewalldLike() {
  return std::make_unique<FirewalldLike>();
}
std::unique_ptr<Neighbour> MakeIptablesService() {
  return std::make_unique<IptablesService>();
}
std::unique_ptr<Neighbour> MakeLegacyFirewalldLike() {
  return std::make_unique<LegacyFirewalldLike>();
}
std::unique_ptr<Neighbour> MakeLegacyDocker() {
  return std::make_unique<LegacyDocker>();
}

std::string ForeignRuleset() {
  const std::string all = Run({"nft", "-s", "list", "ruleset"}).out;
  std::string foreign;
  bool ours = false;
  for (const absl::string_view line : absl::StrSplit(all, '\n')) {
    if (absl::StartsWith(line, "table ")) {
      ours = absl::StartsWith(line, "table inet nfmeter ");
    }
    if (!ours && !line.empty()) absl::StrAppend(&foreign, line, "\n");
  }
  return foreign;
}

}  // namespace nfmeter::testing
