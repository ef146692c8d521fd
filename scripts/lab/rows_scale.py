"""Rows of `scripts/bench` on many checks, and on small intervals while the machine is loaded."""

import os
import subprocess
import sys
import time
from daemons import Router
from gauges import Capture, Watch, usage, usage_with_ended
from lan import VIP, Probing
from pair import Scene, row

CHECKS = 100
SCRIPTS = Scene("scripts", (Router((VIP,), checks=CHECKS),), holder="")
CONNECTIONS = Scene("tcp-checks", (Router((VIP,), checks=CHECKS, probe="tcp"),), holder="")
# So many seconds in each of five runs are a minute.
LOADED = 12
SHORT = Scene("10ms", (Router((VIP,), interval=0.01, realtime=True),), large=True)


def a_check(pair, clock):
    """CPU of one check, in microseconds."""
    seconds = 3
    time.sleep(4.5)
    before = clock(pair.a.daemon.pid)
    time.sleep(seconds)
    return (clock(pair.a.daemon.pid) - before) / 1000 / seconds / CHECKS


@row("check-tcp", CONNECTIONS, ("100 TCP checks a second: CPU a check, us", "60", "a bare connect", "connect-100"), ends=True)
def tcp_checks(pair):
    # keepalived has none: its users run a shell that connects.
    return (a_check(pair, usage_with_ended if pair.daemon.name == "keepalived" else usage),)


@row(
    "check-script",
    SCRIPTS,
    ("100 scripts a second: CPU a check, script included, us", "-", "one spawn", "spawn"),
    ends=True,
)
def script_checks(pair):
    return (a_check(pair, usage_with_ended),)


@row(
    "short",
    SHORT,
    (f"adverts every 10 ms, both cores loaded, {LOADED} s a run: false takeovers", "0", "0"),
    ("the same: longest time between two adverts, ms", "32", "10"),
    ("the same: lost probes", "0", "0"),
    ends=True,
)
def short_intervals(pair):
    seconds = 5 if pair.quick else LOADED
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
