"""Rows of `scripts/bench` with one router, one address and adverts every second: who has it, and when."""

import random
import time
from daemons import Router
from gauges import Capture, Carrier, Watch, family, outage_after, pss, usage
from lan import VIP, Probing, ended, sh
from pair import Scene, end, held, kill, row

# With others beside it, what takes half a millisecond would mostly be the wait for a processor. Floods follow.
ALONE = Scene("alone", (Router((VIP,)),))
IDLE = Scene("idle", (Router((VIP,)),), together="idle")
ONE = Scene("one", (Router((VIP,)),), together="waiting", lasts=22)
SECOND = Scene("second-path", (Router((VIP,), second_path=True),), together="waiting", locum_only=True)
LONELY = Scene("isolated", (Router((VIP,)),), together="waiting", lasts=22)
FOREIGN = Scene("foreign", (Router((VIP,)),), foreign=True, large=True, together="waiting")
HANDED = Scene("handover", (Router((VIP,), tracked=True),), together="waiting")
TRACKED = Scene("fault", (Router((VIP,), tracked=True),), together="waiting")
PEERS = Scene("peers", (Router((VIP,), tracked=True, unicast=True),), together="waiting")
KILLED = Scene("killed", (Router((VIP,)),), together="waiting", lasts=15)
ALL_KILLED = Scene("all-killed", (Router((VIP,)),), large=True, together="waiting", lasts=15)


# Ten seconds after its start Locum gives memory back, once; and the announcements of a new Master are over.
CALM = 10.6
CUT = "cable cut to the VIP at the Backup, ms"
CPU, MEMORY = "idle Master: CPU, ms a minute", "idle Master: PSS, KiB"


@row(
    "idle",
    IDLE,
    (CPU, "6", "-", "live"),
    ("idle Backup: CPU, ms a minute", "6", "-"),
    (MEMORY, "4096", "-"),
)
def idle(pair):
    pair.await_age(CALM)
    before = [usage(server.daemon.pid) for server in (pair.a, pair.b)]
    began = time.monotonic()
    time.sleep(8)
    minutes = (time.monotonic() - began) / 60
    spent = [usage(server.daemon.pid) - cpu for server, cpu in zip((pair.a, pair.b), before)]
    # Alone on its host, a daemon shares its program with nobody.
    end(pair.b)
    return *(cpu / 1e6 / minutes for cpu in spent), pss(pair.a.daemon.pid)


@row("deleted", ALONE, ("VIP deleted by hand: back after, ms", "2", "one netlink event"))
def deleted(pair):
    watches = [Watch(server, VIP, seconds=0.6) for server in (pair.a, pair.b)]
    sh("ip", "-n", "a", "address", "delete", f"{VIP}/32", "dev", "eth0")
    a, b = (watch.events() for watch in watches)
    gone = next(event["at"] for event in a if not event["added"])
    back = [event["at"] for event in a + b if event["added"] and event["kind"] == "address" and event["at"] > gone]
    if not back:
        raise RuntimeError("nobody holds the address again")
    return ((min(back) - gone) * 1000,)


@row("flap", ONE, ("link flap of 100 ms: outage, ms", "150", "the flap"))
def flap(pair):
    probing = Probing(pair.client)
    time.sleep(0.3)
    pair.a.cable(False)
    time.sleep(0.1)
    pair.a.cable(True)
    time.sleep(pair.down() + 1)
    return (probing.report()["longest_outage_ms"],)


@row("isolated", LONELY, ("Master isolated 7 s, healed: dead for, ms more", "50", "one announcement"))
def isolated(pair):
    probing = Probing(pair.client)
    pair.a.isolate(True)
    time.sleep(7)
    pair.a.isolate(False)
    healed = time.monotonic()
    pair.await_move(pair.a, pair.b)
    time.sleep(8)
    return (outage_after(probing.report(), healed),)


@row(
    "cable",
    ONE,
    (CUT, "3 x interval + skew", "one hop"),
    ("the same, past 3 x interval + skew, ms", "0.3", "0", "take"),
)
def cable(pair):
    capture, watch = Capture(pair.b), Watch(pair.b, VIP, added=1)
    # Long enough for one advert at least.
    time.sleep((1.2 + random.random()) * pair.router.interval)
    cut = time.time()
    pair.a.cable(False)
    watch.wait(pair.down() + 8)
    pair.a.cable(True)
    taken = watch.first("address", True)[VIP]
    adverts, _ = capture.end()
    last = max(advert.at for advert in adverts if not advert.sent and advert.at < taken)
    return (taken - cut) * 1000, (taken - last - pair.down()) * 1000


@row("second-path", SECOND, ("cable cut, with a second path: VIP at the Backup after, ms", "10", "one hop", "", CUT))
def second_path(pair):
    carrier, watch = Carrier(pair.a), Watch(pair.b, VIP, added=1)
    pair.a.cable(False, interfaces=1)
    watch.wait(pair.down() + 8)
    return ((watch.first("address", True)[VIP] - carrier.lost("eth0")) * 1000,)


def moved(pair, order):
    """An order that moves the address to the Backup. Returns what the client saw, and what it returned."""
    probing = Probing(pair.client)
    time.sleep(0.5)
    returned = order()
    pair.await_move(pair.b, pair.a)
    time.sleep(1)
    report = probing.report()
    return report["lost"], report["longest_outage_ms"], returned


def stop(pair):
    """The Master is told to go. Returns what the client saw, and how long the daemon took to end."""

    def end():
        began = time.monotonic()
        pair.a.daemon.terminate()
        ended(pair.a.daemon)
        return (time.monotonic() - began) * 1000

    return moved(pair, end)


@row(
    "stop",
    ONE,
    ("planned stop: lost probes", "0", "0"),
    ("planned stop: outage, ms", "0", "0"),
    ("clean exit with 1 VIP, ms", "20", "-", "exit"),
    ends=True,
)
def planned_stop(pair):
    return stop(pair)


@row(
    "handover",
    HANDED,
    ("planned handover: lost probes", "0", "0"),
    ("planned handover: outage, ms", "0", "0"),
    ends=True,
)
def handover(pair):
    """An order to Locum; keepalived knows none, and is given a tracked file that says no."""
    known = pair.daemon.name == "locum"
    return moved(pair, lambda: pair.a.locum("handover") if known else pair.a.write("service", "1"))[:2]


@row(
    "stop-foreign",
    FOREIGN,
    ("planned stop, keepalived Backup: lost probes", "0", "0"),
    ("planned stop, keepalived Backup: outage, ms", "0", "0"),
    ends=True,
)
def planned_stop_before_keepalived(pair):
    return stop(pair)[:2]


@row("fault", TRACKED, ("Fault at the Master: Backup has the VIP after, ms", "skew", "one hop"), ends=True)
def fault(pair):
    return after_farewell(pair)


@row("fault-peers", PEERS, ("the same, by unicast to one peer, ms", "2", "one hop"), ends=True)
def fault_before_one_peer(pair):
    return after_farewell(pair)


def after_farewell(pair):
    capture, watch = Capture(pair.b), Watch(pair.b, VIP, added=1, seconds=15)
    pair.a.write("service", "1")
    watch.wait(16)
    taken = watch.first("address", True)
    adverts, _ = capture.end()
    farewell = [advert.at for advert in adverts if not advert.sent and advert.priority == 0]
    if not taken or not farewell:
        raise RuntimeError("no takeover" if farewell else "no advert of priority 0")
    return ((taken[VIP] - farewell[0]) * 1000,)


def after_killing(pair, pids):
    """The outage, how often the answering host changed, and how many hold the address at the end."""
    probing = Probing(pair.client)
    time.sleep(0.5)
    kill(pids)
    time.sleep(8)
    report = probing.report()
    names = [span["name"] for span in report["answered_by"]]
    moves = sum(before != after for before, after in zip(names, names[1:]))
    return report["longest_outage_ms"], moves, sum(VIP in held(server) for server in (pair.a, pair.b))


@row(
    "killed",
    KILLED,
    ("daemon process killed: outage, ms", "0", "0"),
    ("daemon process killed: moves", "0", "0"),
    ("daemon process killed: holders after 8 s", "1", "1"),
    ends=True,
)
def killed(pair):
    """Its parent lives on, where it has one."""
    return after_killing(pair, family(pair.a.daemon.pid)[-1:])


@row(
    "all-killed",
    ALL_KILLED,
    ("all processes killed: outage, ms", "the lease", "-"),
    ("all processes killed: holders after 8 s", "1", "-"),
    ends=True,
)
def all_killed(pair):
    outage, _, holders = after_killing(pair, family(pair.a.daemon.pid))
    return outage, holders
