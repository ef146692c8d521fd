"""Rows of `scripts/bench` on giving up: when what is tracked dies, connections included; and adverts meanwhile."""

import os
import subprocess
import sys
import time
from daemons import Router
from gauges import Capture, Watch
from lan import SERVICE_PORT, VIP
from pair import Scene, row
from rows_pools import ipv4, pool, take

DIES = Scene("process", (Router((VIP,), process=True),), together="waiting", locum_only=True)
GIVES = Scene("giving", (Router((VIP,), process=True, drained=True),), together="waiting", locum_only=True)
CONNECTIONS = 200
LATE = pool("lateness", ipv4(5000), True, True, interval=0.1)


def dies(pair):
    """Kills what the Master tracks. Returns when, and what was seen: of a farewell, and of the address there."""
    capture, watch = Capture(pair.b), Watch(pair.a, VIP, gone=1, seconds=10)
    began = time.time()
    pair.a.tracked.kill()
    watch.wait(11)
    gone = [event["at"] for event in watch.events() if not event["added"]]
    adverts, _ = capture.end()
    farewell = [advert.at for advert in adverts if not advert.sent and advert.priority == 0]
    if not farewell or not gone:
        raise RuntimeError("the address stayed" if farewell else "no advert of priority 0")
    return began, farewell[0], max(gone)


@row("process", DIES, ("tracked process killed: farewell after, ms", "20", "0"), ends=True)
def process(pair):
    began, farewell, _ = dies(pair)
    return ((farewell - began) * 1000,)


@row(
    "giving",
    GIVES,
    (f"the same, with {CONNECTIONS} connections to a listed port: all ended after, ms", "-", "-"),
    ("the same: farewell said, address gone, connections ended, after, ms", "200", "-"),
    ends=True,
)
def giving(pair):
    held = os.path.join(os.path.dirname(__file__), "connections.py")
    command = (sys.executable, held, VIP, str(SERVICE_PORT), str(CONNECTIONS))
    client = pair.client.gauge(*command, stdout=subprocess.PIPE)
    client.stdout.readline()
    began, farewell, gone = dies(pair)
    ended = float(client.communicate(timeout=10)[0])
    return (ended - began) * 1000, (max(ended, farewell, gone) - began) * 1000


@row(
    "lateness",
    LATE,
    ("5,000 VIPs at 100 ms, take-back: latest advert, by Locum's own metric, ms", "5", "0"),
    ("the same: longest time between two adverts on the wire, ms", "105", "100"),
)
def lateness(pair):
    gaps = take(pair)["gaps"]
    return pair.a.status()["lateness"]["worst_ms"], max(gaps) * 1000
