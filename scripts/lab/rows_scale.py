"""Rows of `scripts/bench` on what grows: checks, routers, and the load of the machine."""

import os
import subprocess
import sys
import time
from daemons import Router
from gauges import Capture, Watch, pss, usage, usage_with_ended
from lan import VIP, Probing, wait_for
from pair import Scene, end, read, row
from rows_load import SLOW

CHECKS = 100
SCRIPTS = Scene("scripts", (Router((VIP,), checks=CHECKS),))
CONNECTIONS = Scene("tcp-checks", (Router((VIP,), checks=CHECKS, probe="tcp"),))
SHORT = Scene("10ms", (Router((VIP,), interval=0.01, realtime=True),), large=True)
START = Scene("start", SLOW.routers, large=True)


def a_check(pair, clock):
    """CPU of one check, in microseconds."""
    seconds = 3 if pair.quick else 10
    time.sleep(2)
    before = clock(pair.a.daemon.pid)
    time.sleep(seconds)
    return (clock(pair.a.daemon.pid) - before) / 1000 / seconds / CHECKS


@row("check-tcp", CONNECTIONS, ("100 TCP checks a second: CPU a check, us", "60", "a bare connect"), ends=True)
def tcp_checks(pair):
    # keepalived has none: its users run a shell that connects.
    return (a_check(pair, usage_with_ended if pair.daemon.name == "keepalived" else usage),)


@row(
    "check-script",
    SCRIPTS,
    ("100 scripts a second: CPU a check, script included, us", "-", "one spawn"),
    ends=True,
)
def script_checks(pair):
    return (a_check(pair, usage_with_ended),)


@row(
    "short",
    SHORT,
    ("adverts every 10 ms, both cores loaded, 60 s: false takeovers", "0", "0"),
    ("the same: longest time between two adverts, ms", "32", "10"),
    ("the same: lost probes", "0", "0"),
    ends=True,
)
def short_intervals(pair):
    seconds = 5 if pair.quick else 60
    capture, watch = Capture(pair.a), Watch(pair.b, VIP, seconds=seconds + 3)
    probing = Probing(pair.client, seconds + 10)
    hog = (sys.executable, "-c", f"import time; end = time.time() + {seconds + 2}\nwhile time.time() < end: pass")
    hogs = [subprocess.Popen(hog) for _ in range(os.cpu_count() or 1)]
    time.sleep(seconds)
    for one in hogs:
        one.kill()
        one.wait()
    report = probing.report()
    adverts, _ = capture.end()
    own = [advert.at for advert in adverts if advert.sent]
    gaps = [later - earlier for earlier, later in zip(own, own[1:])]
    taken = sum(event["added"] and event["kind"] == "address" for event in watch.events())
    return taken, max(gaps) * 1000, report["lost"]


@row(
    "start",
    START,
    ("1,020 routers: from start to all Backup, ms", "1000", "-"),
    ("1,020 routers: memory of one more, KiB", "4", "-"),
    ends=True,
)
def start_up(pair):
    end(pair.b)
    routers = pair.scene.routers
    began = time.monotonic()
    pair.start(pair.b)
    log = "locum.log" if pair.daemon.name == "locum" else "keepalived.log"
    said = "BACKUP" if pair.daemon.name == "locum" else "Entering BACKUP STATE"
    wait_for("all are Backup", lambda: read(pair.b, log).count(said) >= len(routers), 40, 0.02)
    took = time.monotonic() - began
    time.sleep(4)
    many = pss(pair.b.daemon.pid)
    end(pair.b)
    pair.daemon.start(pair.b, routers[:1])
    time.sleep(4)
    one = pss(pair.b.daemon.pid)
    return took * 1000, (many - one) / (len(routers) - 1)
