"""The fault matrix of `scripts/faults`, which says what is measured, and how."""

import argparse
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from daemons import PRIORITY, Keepalived, Locum, Router
from gauges import Capture, Watch, family
from lan import LOCUM, SWITCH, VIP, Host, Probing, Server, sh, switch, wait_for
from pair import end, held, kill
from spans import holders, judge, spans

RESULT = "target/faults/result.json"
ROUTER = Router((VIP,))
WITNESS = "10.0.0.3"
KEY = "a key of the fault matrix, and of nothing else"
FAULTS = []
FAILURES = (TimeoutError, RuntimeError, OSError, KeyError, IndexError, ValueError, subprocess.SubprocessError)


def fault(name, seconds, bound, environment=None):
    """A fault, how long after it the end is, and how long nobody may hold the address by the protocol; and what
    the daemons have in their environment for it."""

    def register(act):
        FAULTS.append((name, seconds, bound, environment or {}, act))
        return act

    return register


class Recorded(Locum):
    """Locum whose record has a directory of its own."""

    def start(self, server, routers):
        server.start_locum(self.head(server) + "".join(self.section(server, router) for router in routers))

    def head(self, server):
        return f'[journal]\npath = "{record(server)}/history.jsonl"\n\n'


class WithWitness(Recorded):
    """Locum that holds the address by a majority of both servers and a witness."""

    name = "witnessed"

    def head(self, server):
        key = server.write("claim.key", KEY)
        os.chmod(key, 0o600)
        others = {"a": "10.0.0.1", "b": "10.0.0.2", "w": WITNESS}
        voters = ", ".join(f'{name} = "{address}"' for name, address in others.items() if name != server.name)
        claim = f'[claim]\nlisten = "{server.address}"\nkey = "file:{key}"\nvoters = {{ {voters} }}\nwitness = "w"\n\n'
        return super().head(server) + claim

    def start_witness(self, host):
        key = host.write("claim.key", KEY)
        os.chmod(key, 0o600)
        host.daemon = host.start(LOCUM, "witness", "--key", f"file:{key}", "--listen", WITNESS)
        # A voter is silent at first.
        time.sleep(4)


DAEMONS = (Recorded(), WithWitness(), Keepalived())


class Matrix:
    def __init__(self):
        switch()
        set_clock("+0")
        # What a faked clock leaves behind in shared memory ends with these namespaces.
        sh("mount", "-t", "tmpfs", "shm", "/dev/shm")
        self.client = Host("client", "10.0.0.9")
        self.witness = Host("w", WITNESS)
        self.witness.daemon = None
        self.a, self.b = Server("a", "10.0.0.1"), Server("b", "10.0.0.2")
        # All that the daemons write is on a disk of their own.
        for server in (self.a, self.b):
            sh("mount", "-t", "tmpfs", "-o", "size=4m", "disk", server.directory)
        self.servers = {server.address: server for server in (self.a, self.b)}
        for server in self.servers.values():
            server.daemon = None
            server.serve()

    def run(self, daemon, seconds, environment, act):
        """Starts the daemons, does what the fault is, and returns its numbers."""
        self.daemon, self.later = daemon, []
        if isinstance(daemon, WithWitness):
            daemon.start_witness(self.witness)
        os.environ.update(environment)
        for server in self.servers.values():
            daemon.start(server, (ROUTER,))
        for name in environment:
            del os.environ[name]
        only_a = lambda: VIP in held(self.a) and VIP not in held(self.b)
        wait_for("a alone holds the address", only_a, 30)
        time.sleep(2)
        watches = [Watch(server, VIP, seconds=seconds + 5) for server in (self.a, self.b)]
        capture, probing = Capture(self.client), Probing(self.client)
        self.await_advert()
        began = time.time()
        said = act(self)
        time.sleep(max(0.0, began + seconds - time.time()))
        ended = time.time()
        report = probing.report()
        at_the_end = [server.name for server in (self.a, self.b) if VIP in held(server)]
        adverts, _ = capture.end()
        farewells = [advert.at for advert in adverts if advert.priority == 0]
        held_by = [spans(watch.events(), began, ended, first) for watch, first in zip(watches, (True, False))]
        two, overlap, none = judge(*held_by, began, ended, farewells)
        answered = [span["name"] for span in report["answered_by"]]
        return {
            "two": two,
            "overlap": overlap,
            "none": none,
            "client": report["lost"] / 1000,
            "moves": sum(one != other for one, other in zip(answered, answered[1:])),
            "held": holders(dict(zip(("a", "b"), held_by)), ended),
            "end": "+".join(at_the_end) or "nobody",
            "said": said,
        }

    def await_advert(self):
        """Until half a second after an advert of the Master: faults come at the same moment for all."""
        once = ("tcpdump", "--immediate-mode", "-c1", "-i", "eth0", f"ip proto 112 and src host {self.a.address}")
        sh("ip", "netns", "exec", self.client.name, *once)
        time.sleep(0.5)

    def tidy(self):
        """As it was before, whatever the fault left."""
        for undo in reversed(self.later):
            undo()
        for server in self.servers.values():
            unblock(server)
            server.isolate(False)
            server.cable(True)
            if server.daemon is not None:
                for pid in alive(server):
                    os.kill(pid, signal.SIGCONT)
            end(server)
            sweep(server)
        unblock(self.witness)
        if self.witness.daemon is not None:
            self.witness.daemon.kill()
            self.witness.daemon.wait()
            self.witness.daemon = None


def alive(server):
    return [pid for pid in family(server.daemon.pid) if os.path.exists(f"/proc/{pid}")]


def sweep(server):
    """No process of a daemon outlives its turn: these namespaces are this script's own."""
    # A daemon that has lost its guardian has another one soon.
    while left := [pid for pid in sh("ip", "netns", "pids", server.name).split() if is_daemon(pid)]:
        kill(map(int, left))
        time.sleep(0.02)


def is_daemon(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="ascii") as file:
            return os.path.basename(file.read().split("\0")[0]) in ("locum", "keepalived")
    except OSError:
        return False


def block(server, *sources):
    """It hears nothing more from these hosts; ARP goes on."""
    script = "add table inet cut; add chain inet cut in { type filter hook input priority -300; }; "
    script += "; ".join(f"add rule inet cut in ip saddr {source} drop" for source in sources)
    sh("ip", "netns", "exec", server.name, "nft", script)


def unblock(server):
    sh("ip", "netns", "exec", server.name, "nft", "add table inet cut; delete table inet cut")


def parts(server):
    """The process that watches and the one that does the work; of keepalived too."""
    members = family(server.daemon.pid)
    if len(members) != 2:
        raise RuntimeError(f"{server.name} runs {len(members)} processes, and not a daemon and its guardian")
    return members


@fault("stopped in order", 10, 0)
def stopped(matrix):
    os.kill(parts(matrix.a)[0], signal.SIGTERM)


@fault("daemon SIGKILL", 12, 3.7)
def daemon_killed(matrix):
    kill(parts(matrix.a)[1:])


@fault("guardian SIGKILL", 12, 0)
def guardian_killed(matrix):
    kill(parts(matrix.a)[:1])


@fault("both SIGKILL", 12, 3.7)
def all_killed(matrix):
    # At once: whoever outlives the other for a moment starts it again.
    members = parts(matrix.a)
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    kill(members)


@fault("SIGSTOP 10 s, CONT", 20, 3.7)
def frozen(matrix):
    members = parts(matrix.a)
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(10)
    for pid in members:
        os.kill(pid, signal.SIGCONT)


@fault("cable cut", 10, 3.7)
def cable_cut(matrix):
    matrix.a.cable(False)


@fault("B deaf to A", 12, 0)
def one_way(matrix):
    block(matrix.b, matrix.a.address)


@fault("A deaf to B", 10, 0)
def other_way(matrix):
    block(matrix.a, matrix.b.address)


@fault("A | B", 12, 0)
def split(matrix):
    block(matrix.a, matrix.b.address)
    block(matrix.b, matrix.a.address)


@fault("A | B W", 12, 3.7)
def a_alone(matrix):
    matrix.a.isolate(True)


@fault("A W | B", 12, 0)
def b_alone(matrix):
    matrix.b.isolate(True)


@fault("witness down", 10, 0)
def witness_down(matrix):
    if matrix.witness.daemon is None:
        return "there is no witness"
    return matrix.witness.daemon.kill()


@fault("witness down, A dies", 12, 12)
def witness_and_a_down(matrix):
    if matrix.witness.daemon is not None:
        matrix.witness.daemon.kill()
    time.sleep(1)
    matrix.a.isolate(True)


def healed_after(seconds):
    def heal(matrix):
        matrix.a.isolate(True)
        time.sleep(seconds)
        matrix.a.isolate(False)

    return heal


# Before the Backup takes over, about then, just after, and long after.
for phase in (1.0, 3.6, 4.0, 9.0):
    fault(f"A apart {phase:.1f} s, healed", phase + 8, 3.7)(healed_after(phase))


@fault("VIP deleted by hand", 8, 0.1)
def deleted(_):
    sh("ip", "-n", "a", "address", "delete", f"{VIP}/32", "dev", "eth0")


@fault("VIP added by hand at B", 8, 0)
def added(matrix):
    matrix.later.append(lambda: remove(matrix.b))
    sh("ip", "-n", "b", "address", "add", f"{VIP}/32", "dev", "eth0")


def remove(server):
    if VIP in held(server):
        sh("ip", "-n", server.name, "address", "delete", f"{VIP}/32", "dev", "eth0")


@fault("interface made anew", 14, 3.7)
def made_anew(matrix):
    sh("ip", "-n", "a", "link", "delete", "dev", "eth0")
    time.sleep(1)
    matrix.a.plug(0)


@fault("CPU hogs on all cores", 12, 0)
def hogged(matrix):
    hogs = [matrix.a.start(sys.executable, "-c", "while True: pass") for _ in range(2 * os.cpu_count())]
    matrix.later.append(lambda: [(hog.kill(), hog.wait()) for hog in hogs])


@fault("disk full", 8, 0)
def disk_full(matrix):
    filler = os.path.join(matrix.a.directory, "filler")
    matrix.later.append(lambda: os.remove(filler))
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def record(server):
    return os.path.join(server.directory, "record")


@fault("record's directory removed", 8, 0)
def record_removed(matrix):
    if not os.path.isdir(record(matrix.a)):
        return "there is no record"
    return shutil.rmtree(record(matrix.a))


# Namespaces share the machine's clock: what the daemons read of it is another one's from then on.
STEP = os.path.join(os.environ["TMPDIR"], "clock")
FAKED = {
    "LD_PRELOAD": "/usr/$LIB/faketime/libfaketimeMT.so.1",
    "FAKETIME_TIMESTAMP_FILE": STEP,
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}


@fault("clock stepped an hour", 8, 0, FAKED)
def clock_stepped(matrix):
    matrix.later.append(lambda: set_clock("+0"))
    set_clock("+3600")


def set_clock(ahead):
    with open(STEP, "w", encoding="ascii") as file:
        file.write(ahead)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Measures what each fault costs.")
    parser.add_argument("--only", nargs="+", metavar="FAULT", help="; ".join(name for name, *_ in FAULTS))
    parser.add_argument("--daemons", nargs="+", choices=[daemon.name for daemon in DAEMONS])
    chosen = parser.parse_args()
    unknown = set(chosen.only or ()) - {name for name, *_ in FAULTS}
    if unknown:
        parser.error(f"no such fault: {' '.join(sorted(unknown))}")
    return chosen


HEAD = ("fault", "daemon", "two, s", "overlap, ms", "none, s", "bound, s", "client, s", "moves", "held by", "end")


def cells(name, daemon, bound, numbers):
    if "failed" in numbers:
        return name, daemon, f"open: {numbers['failed']}"
    return (
        name,
        daemon,
        f"{numbers['two']:.2f}",
        f"{numbers['overlap'] * 1000:.1f}",
        f"{numbers['none']:.2f}",
        f"{bound:.2f}",
        f"{numbers['client']:.2f}",
        str(numbers["moves"]),
        numbers["held"],
        numbers["end"] + (f" ({numbers['said']})" if isinstance(numbers["said"], str) else ""),
    )


def line(columns):
    widths = (28, 11, 8, 13, 9, 10, 11, 7, 12, 0)
    print("".join(column.ljust(width) for column, width in zip(columns, widths)), flush=True)


def main():
    chosen = arguments()
    about = {
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "kernel": os.uname().release,
        "locum": sh(LOCUM, "--version").strip(),
        "priorities": PRIORITY,
    }
    print("\n".join(f"{name}: {value}" for name, value in about.items()), end="\n\n")
    line(HEAD)
    matrix, runs = Matrix(), []
    for name, seconds, bound, environment, act in FAULTS:
        for daemon in DAEMONS:
            if (chosen.only and name not in chosen.only) or (chosen.daemons and daemon.name not in chosen.daemons):
                continue
            try:
                numbers = matrix.run(daemon, seconds, environment, act)
            except FAILURES as error:
                numbers = {"failed": f"{type(error).__name__}: {error}"}
            matrix.tidy()
            line(cells(name, daemon.name, bound, numbers))
            runs.append({"fault": name, "daemon": daemon.name, "bound": bound} | numbers)
    with open(RESULT, "w", encoding="utf-8") as file:
        json.dump(about | {"runs": runs}, file, indent=1)
    print(f"\nevery run: {RESULT}")


main()
