# SPDX-License-Identifier: GPL-3.0-or-later
"""Where commands of documents run: namespaces of their own, in which /run and
/var/lib are empty folders, with the programs of a build in PATH."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
NPM = ROOT / ".cache/npm/node_modules/.bin"
HELM = ROOT / ".cache/charts/helm"

# grpcurl is no package of Debian or npm. What its lines ask for is asked by buf,
# over the same reflection; the output of `describe` alone differs.
GRPCURL = r"""grpcurl() {
  local data='{}' tls=() socket method symbol
  while [[ $1 == -* ]]; do
    case $1 in
      -plaintext) tls=(--http2-prior-knowledge) ;;
      -unix) ;;
      -d) data=$2 && shift ;;
      -cacert | -cert | -key) tls+=("-$1" "$2") && shift ;;
      *) echo "grpcurl: $1?" >&2 && return 2 ;;
    esac
    shift
  done
  socket=$1 method=$2 symbol=${3-}
  local url=http://localhost
  if [[ $socket == /* ]]; then tls+=(--unix-socket "$socket"); else url=https://$socket; fi
  set -- buf curl --protocol grpc "${tls[@]}"
  case $method in
    list) "$@" --list-services $url ;;
    describe) "$@" --list-methods $url | grep -F "$symbol" ;;
    *) "$@" -d "$data" "$url/$method" ;;
  esac
}
"""


def is_inside(mark):
    return os.environ.get(mark) == "yes"


def enter(mark):
    """Goes on in a network and a mount namespace of its own: begins anew there,
    with a variable that says so."""
    if os.environ.pop(mark, "") != "yes":
        os.environ[mark] = "yes"
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", "--net", "--mount", *user, *sys.argv])
    for folder in ("/run", "/var/lib"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def environment(programs, home, **more):
    """Without what the caller's environment says to nfmeter."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("NFMETER_") and k != "NO_COLOR"}
    return {**kept, "HOME": str(home), "TERM": "dumb", "TZ": "UTC",
            "PATH": f"{programs}:{NPM}:{HELM}:{os.environ['PATH']}"
                    ":/usr/sbin:/sbin", **more}


class Server:
    """What a line of a document started, an nfmeterd or a collector, and did
    not end. Its log is read until it says that it serves."""

    def __init__(self, line, folder, env, definitions=""):
        self.process = subprocess.Popen(
            ["bash", "-c", definitions + "exec " + re.sub(r"^sudo ", "", line)],
            cwd=folder, env=env, stderr=subprocess.PIPE, text=True,
            start_new_session=True)
        self.problem = None
        log = []
        for said in self.process.stderr:
            log.append(said)
            if re.search(r"\bready\b|\bcollecting\b", said):
                threading.Thread(target=self.process.stderr.read,
                                 daemon=True).start()
                return
        self.problem = f"it ended with {self.process.wait()}: {''.join(log)}"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
