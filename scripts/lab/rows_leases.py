"""Rows of `scripts/bench` on what a Master of many addresses costs that does nothing but hold them."""

import time
from daemons import Router
from gauges import pss_of, usage
from pair import Scene, end, row
from rows_pools import ipv4

ADDRESSES = 1000
SECONDS = 5
LEASED = Scene("leases", (Router(ipv4(ADDRESSES)),), locum_only=True, large=True)


@row("leases-1000", LEASED, ("1,000 leased VIPs: CPU of the Master, % of a processor", "1", "-"))
def leases(pair):
    # Its announcements are over then.
    pair.await_age(10)
    before = usage(pair.a.daemon.pid)
    time.sleep(SECONDS)
    return ((usage(pair.a.daemon.pid) - before) / SECONDS / 1e9 * 100,)


@row("guardian", LEASED, ("1,000 VIPs: memory of the guardian, KiB", "2048", "-"), ends=True)
def guardian(pair):
    end(pair.b)
    # The parent of the daemon is what was started.
    return (pss_of(pair.a.daemon.pid),)
