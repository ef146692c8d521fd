"""Two hosts with a daemon each, and what belongs to a row of `scripts/bench`."""

import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, replace
from daemons import PRIORITY
from gauges import family
from lan import Host, Server, ended, sh, switch, wait_for

ROWS = []


@dataclass(frozen=True)
class Scene:
    """What the rows of one start of the daemons have in common."""

    name: str
    routers: tuple
    # Who holds the addresses at first; `b`: the daemon of `a`, the better one, is started by a row; with "" there is
    # that of `a` alone, which need not hold them yet.
    holder: str = "a"
    # Left out by --quick.
    large: bool = False
    # `b` has the addresses alone that are advertised: how it loses the others is not measured.
    few: bool = False
    # What runs in the column of Locum: Locum, or Locum before a Backup of keepalived.
    foreign: bool = False
    # Those of one such name are played at the same time, each in a lane of its own; the others alone.
    together: str = ""
    # How long such a one takes, more or less, in seconds.
    lasts: int = 8
    # How long either daemon may take until `a` alone is Master, in seconds; with --quick 15 at most.
    patience: int = 20
    # keepalived has no such thing.
    locum_only: bool = False


@dataclass(frozen=True)
class Line:
    """One value that a row measures."""

    # No other row has the same.
    title: str
    goal: str
    limit: str
    # What the kernel alone takes here, by its name in rows_floor.py.
    floor: str = ""
    # Where keepalived knows one way only: the title of the line that has its value.
    of_keepalived: str = ""
    # The title of the line that this one tells more than, in the same run.
    beyond: str = ""


@dataclass(frozen=True)
class Row:
    name: str
    scene: Scene
    # For each value that it returns.
    lines: tuple
    measure: object
    # The daemons have to be started anew for the next one.
    ends: bool
    # Left out by --quick.
    large: bool


def row(name, scene, *lines, ends=False, large=False):
    def register(measure):
        ROWS.append(Row(name, scene, tuple(Line(*line) for line in lines), measure, ends, large or scene.large))
        return measure

    return register


class Lab:
    """The hosts: made once."""

    def __init__(self, interfaces):
        switch(interfaces)
        self.client = Host("client", "10.0.0.9")
        self.a = Server("a", "10.0.0.1", interfaces)
        self.b = Server("b", "10.0.0.2", interfaces)
        for server in (self.a, self.b):
            server.daemon = None
            server.serve()
        sh("ip", "-n", "client", "route", "add", "10.1.0.0/16", "dev", "eth0")
        wait_for("the client reaches both", self.is_whole, 10)

    def is_whole(self):
        return self.ping("10.0.0.1") and self.ping("10.0.0.2")

    def ping(self, address):
        command = ("ip", "netns", "exec", "client", "ping", "-c1", "-W1", address)
        return subprocess.run(command, capture_output=True).returncode == 0


class Pair:
    """The daemons of one scene on the hosts."""

    def __init__(self, lab, daemon, scene, quick):
        self.client, self.a, self.b = lab.client, lab.a, lab.b
        self.lab, self.daemon, self.scene, self.quick = lab, daemon, scene, quick
        self.router = scene.routers[0]
        self.first = {router.addresses[0] for router in scene.routers}
        # To be called once nothing is measured any more that others could disturb.
        self.over = lambda: None

    def start(self, server, routers=None):
        routers = routers or self.scene.routers
        if self.scene.few and server is self.b:
            routers = [replace(router, addresses=router.addresses[:1]) for router in routers]
        self.daemon.start(server, routers)
        self.started = time.monotonic()

    def settle(self):
        """Starts what has to run and waits for the state that rows begin in."""
        if not self.scene.holder:
            self.start(self.a)
            return
        alone = self.scene.holder == "b" and self.a.daemon is None
        new = [server for server in ((self.b,) if alone else (self.a, self.b)) if server.daemon is None]
        for server in new:
            self.start(server)
        self.await_move(*(self.b, self.a) if alone else (self.a, self.b))
        # Announcements are repeated for some time; and adverts reach their rhythm.
        time.sleep(0.3 if not new else 0.5 if self.quick else 0.7)

    def await_age(self, seconds):
        """Waits until the daemons have run for so long, at least."""
        time.sleep(max(0.0, self.started + seconds - time.monotonic()))

    def await_move(self, to, other):
        def moved():
            for server in (self.a, self.b):
                if server.daemon and server.daemon.poll() is not None and server is to:
                    raise RuntimeError(f"the daemon of {server.name} ended: {last_words(server)}")
            return self.first <= held(to) and not self.first & held(other)

        every = 0.05 if len(self.scene.routers) == 1 else 0.3
        wait_for(f"{to.name} alone holds the address", moved, 15 if self.quick else self.scene.patience, every)

    def down(self):
        """How long the Backup waits after the Master's last advert, in seconds."""
        return self.router.down(PRIORITY["b"])

    def end(self):
        for host in (self.client, self.a, self.b):
            host.end_gauges()
        end(self.a, self.b)
        self.a.isolate(False)
        self.a.cable(True)
        wait_for("the client reaches both again", self.lab.is_whole, 20)


def held(server):
    """All addresses of a host, on whatever interface or by a route alone; asked without the lock that daemons need."""
    with open(f"/proc/{server.echo.pid}/net/fib_trie", encoding="ascii") as file:
        ipv4 = re.findall(r"-- (\S+)\n(?:\s+/\d+ .*\n)*?\s+/32 host LOCAL", file.read())
    with open(f"/proc/{server.echo.pid}/net/if_inet6", encoding="ascii") as file:
        ipv6 = [socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line[:32])) for line in file]
    return {*ipv4, *ipv6}


def last_words(server):
    lines = [line for log in ("locum.log", "keepalived.log") for line in read(server, log).splitlines()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1].strip()


def read(server, name):
    return server.log(name) if os.path.exists(os.path.join(server.directory, name)) else ""


def end(*servers):
    """Ends their daemons, and removes what they left behind."""
    running = [server for server in servers if server.daemon is not None]
    members = {server.name: family(server.daemon.pid) for server in running}
    for server in running:
        server.daemon.terminate()
    for server in running:
        try:
            ended(server.daemon)
        except TimeoutError:
            kill(members[server.name])
            server.daemon.wait()
        server.daemon = None
    for server in servers:
        clean(server)


def clean(server):
    for network in ("10.1.0.0/16", "10.0.0.100/32", "fd00:1::/64"):
        sh("ip", "-n", server.name, "address", "flush", "to", network)
    for number in range(1, server.interfaces):
        sh("ip", "-n", server.name, "address", "flush", "to", f"10.20{number}.1.0/24")
    for name in re.findall(r"^\d+: ([^@:]+)", sh("ip", "-n", server.name, "-o", "link", "show", "type", "macvlan"), re.M):
        sh("ip", "-n", server.name, "link", "delete", name)
    # keepalived with a virtual MAC leaves them set, and then no host answers for a local route.
    for setting in ("arp_ignore", "arp_filter"):
        path = f"/proc/sys/net/ipv4/conf/eth0/{setting}"
        sh("ip", "netns", "exec", server.name, "sh", "-c", f"echo 0 > {path}")
    for log in ("locum.log", "keepalived.log"):
        if os.path.exists(os.path.join(server.directory, log)):
            os.truncate(os.path.join(server.directory, log), 0)


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
