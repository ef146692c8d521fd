"""Rows of `scripts/bench` with many routers, and with hostile packets."""

import json
import os
import signal
import subprocess
import sys
import time
from bisect import bisect_left
from daemons import CHECKED_PORT, PRIORITY, Router
from gauges import Capture, packets, pss, usage
from lan import PROBE, VIP, Probing, wait_for
from pair import Scene, end, read, row
from rows_takeover import ALONE

INTERFACES = 4


def wide(interval, interfaces=INTERFACES):
    """255 routers on each interface."""
    places = [(number, vrid) for number in range(interfaces) for vrid in range(1, 256)]
    return tuple(Router((f"10.20{n}.1.{vrid}",), f"eth{n}", vrid, interval) for n, vrid in places)


# keepalived takes its time, or never gets there: adverts that are late make more Masters.
FAST = Scene("wide-100ms", wide(0.1), patience=30)
SLOW = Scene("wide-1s", wide(1.0))
MANY = Scene("reload", wide(1.0, 1))
CHECKS = 1000
CHECKED = Scene("checked", (Router((VIP,), interval=0.1, checks=CHECKS, probe="tcp-each"),), holder="", locum_only=True)

# What is sent, and for how long.
FLOODS = {
    "bad-checksum": ("bad checksums for our VRID", "5s"),
    "foreign": ("adverts for foreign VRIDs", "1500ms"),
    "random": ("random bytes", "1500ms"),
}


def flood_row(kind, what, seconds):
    outage, cost = (f"flood, {what}: outage, ms", "0", "0"), (f"flood, {what}: CPU a packet, us", "1.2", "kernel filter")
    if kind != "bad-checksum":
        cost = (cost[0], "0.3 x keepalived", "kernel filter")

    @row(f"flood-{kind}", ALONE, outage, cost)
    def flood(pair):
        probing = Probing(pair.client)
        time.sleep(0.3)
        before = usage(pair.a.daemon.pid)
        command = (PROBE, "flood", kind, "--from", pair.client.address, "--vrid", str(pair.router.vrid))
        length = ("--for", "1s" if pair.quick else seconds)
        flooder = pair.client.gauge(*command, *length, stdout=subprocess.PIPE)
        sent = json.loads(flooder.communicate(timeout=30)[0])["sent"]
        time.sleep(0.5)
        spent = usage(pair.a.daemon.pid) - before
        time.sleep(0.5)
        return probing.report()["longest_outage_ms"], spent / 1000 / sent


for flood_kind, about in FLOODS.items():
    flood_row(flood_kind, *about)


def by_router(adverts, wanted):
    """The adverts of each router, in order, of those that are `wanted`."""
    found = {}
    for advert in filter(wanted, adverts):
        found.setdefault((advert.interface, advert.vrid), []).append(advert)
    return found


def lateness(pair, adverts, began, due):
    """The worst lateness of all routers, in ms: the Backup's first advert past `due` of the Master's adverts."""
    of_master = by_router(adverts, lambda advert: not advert.sent)
    of_backup = by_router(adverts, lambda advert: advert.sent and advert.at > began)
    if len(of_backup) < len(pair.scene.routers):
        raise RuntimeError(f"{len(of_backup)} of {len(pair.scene.routers)} routers were taken over")
    return max(own[0].at - due(of_master[key]) for key, own in of_backup.items()) * 1000


@row("wide-cable", FAST, ("1,020 routers at 100 ms, cable cut: worst lateness, ms", "10", "-"), ends=True)
def wide_cable(pair):
    capture = Capture(pair.b)
    time.sleep(1)
    began = time.time()
    pair.a.cable(False)
    time.sleep(pair.down() + 1.5)
    adverts, _ = capture.end()
    return (lateness(pair, adverts, began, lambda heard: heard[-1].at + pair.down()),)


@row(
    "wide-cpu",
    SLOW,
    ("1,020 routers at 1 s: CPU an advert sent, us", "6", "one system call", "advert-sent"),
    ("1,020 routers at 1 s: CPU an advert received, us", "3", "one system call", "advert-received"),
)
def wide_cpu(pair):
    # Announcements that follow a takeover are over.
    time.sleep(4.5)
    a, b = pair.a, pair.b
    before = usage(a.daemon.pid), packets(a, "tx"), usage(b.daemon.pid), packets(b, "rx")
    time.sleep(3)
    after = usage(a.daemon.pid), packets(a, "tx"), usage(b.daemon.pid), packets(b, "rx")
    sending, sent, receiving, received = (now - then for then, now in zip(before, after))
    return sending / 1000 / sent, receiving / 1000 / received


def memory(server):
    """That of its daemon's own, once that is at work. How much of the program is there is another matter."""
    time.sleep(1)
    return pss(server.daemon.pid, "Pss_Anon")


@row(
    "start",
    SLOW,
    ("1,020 routers: from start to all Backup, ms", "1000", "-"),
    ("1,020 routers: memory of one more, KiB", "4", "-"),
    large=True,
)
def start_up(pair):
    routers = pair.scene.routers
    end(pair.b)
    pair.start(pair.b, routers[:1])
    one = memory(pair.b)
    end(pair.b)
    began = time.monotonic()
    pair.start(pair.b)
    log = "locum.log" if pair.daemon.name == "locum" else "keepalived.log"
    said = "BACKUP" if pair.daemon.name == "locum" else "Entering BACKUP STATE"
    wait_for("all are Backup", lambda: read(pair.b, log).count(said) >= len(routers), 40, 0.02)
    took = time.monotonic() - began
    return took * 1000, (memory(pair.b) - one) / (len(routers) - 1)


@row("wide-stop", SLOW, ("1,020 routers at 1 s, planned stop: worst lateness, ms", "20", "-"), ends=True)
def wide_stop(pair):
    skew = pair.router.skew(PRIORITY["b"])
    capture = Capture(pair.b)
    time.sleep(1)
    began = time.time()
    pair.a.daemon.terminate()
    time.sleep(3.5)
    adverts, _ = capture.end()

    def due(heard):
        farewells = [advert.at for advert in heard if advert.priority == 0]
        return farewells[0] + skew if farewells else heard[-1].at + pair.down()

    return (lateness(pair, adverts, began, due),)


@row("reload", MANY, ("reload, 255 routers unchanged: CPU, ms", "20", "parse time"), ends=True)
def reload(pair):
    pid, window = pair.a.daemon.pid, 1.5
    time.sleep(4.5)
    marks = [usage(pid)]
    time.sleep(window)
    marks.append(usage(pid))
    pair.a.daemon.send_signal(signal.SIGHUP)
    time.sleep(window)
    marks.append(usage(pid))
    # The same time without a reload is what goes on anyway.
    return ((marks[2] - marks[1] - (marks[1] - marks[0])) / 1e6,)


@row(
    "checks",
    CHECKED,
    ("1,000 TCP checks at 1 s: begun, % of those due", "100", "100"),
    ("the same checks: the latest past its second, ms", "20", "0"),
    ("the same checks: most that begin within 100 ms", "-", "100"),
    ("the same checks: CPU a check, us", "60", "a bare connect", "connect-1000"),
    ("the same checks: worst lateness of an advert every 100 ms, ms", "5", "0"),
    ends=True,
)
def checks(pair):
    settled, seconds = 3, 3
    accept = os.path.join(os.path.dirname(__file__), "connected.py")
    command = (sys.executable, accept, str(CHECKED_PORT), str(settled), str(seconds))
    target = pair.a.gauge(*command, stdout=subprocess.PIPE)
    # By then all are up: before they found nobody there. The first ones begin together, and the second ones apart.
    target.stdout.readline()
    before = usage(pair.a.daemon.pid)
    came = json.loads(target.communicate(timeout=30)[0])
    spent = usage(pair.a.daemon.pid) - before
    times = sorted(time for of_check in came.values() for time in of_check)
    late = max(later - then - 1 for of_check in came.values() for then, later in zip(of_check, of_check[1:]))
    most = max(bisect_left(times, first + 0.1) - place for place, first in enumerate(times))
    begun = 100 * len(times) / CHECKS / seconds
    return begun, late * 1000, most, spent / 1000 / len(times), pair.a.status()["lateness"]["worst_ms"]
