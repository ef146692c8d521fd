"""Rows of `scripts/bench` with one router of many addresses: the better host takes them, and gives them up."""

import socket
import time
from daemons import Router
from gauges import Capture, Watch, spread
from lan import Probing, ended
from pair import Scene, held, row


def ipv4(count):
    return tuple(f"10.1.{n // 250}.{n % 250 + 1}" for n in range(count))


def ipv6(count):
    return "fe80::51", *(f"fd00:1::{n + 1:x}" for n in range(count - 1))


def pool(name, addresses, large=False, locum_only=False, **how):
    beside = {"together": "waiting", "lasts": 10} if len(addresses) == 1 else {}
    sizes = {"large": large, "few": "virtual_mac" in how}
    return Scene(name, (Router(addresses, **how),), holder="b", locum_only=locum_only, **sizes, **beside)


def take(pair):
    """Starts the better host. Returns what its kernel and its network saw, and what a client did."""
    addresses = pair.router.addresses
    prefix = "fd00:1::" if ":" in addresses[0] else "10.1."
    count = sum(address.startswith(prefix) for address in addresses)
    capture, watch = Capture(pair.a), Watch(pair.a, prefix, added=count)
    probing = Probing(pair.client, address=addresses[0]) if prefix == "10.1." else None
    time.sleep(0.3)
    pair.start(pair.a)
    pair.await_move(pair.a, pair.b)
    watch.wait(30)
    pair.over()
    # Long enough for announcements, where rows tell of them; the capture waits a second besides.
    time.sleep(0 if pair.router.virtual_mac else 1)
    adverts, announcements = capture.end()
    kind = "route" if pair.router.local_routes and pair.daemon.name == "locum" else "address"
    added = [at for address, at in watch.first(kind, True).items() if address in addresses]
    if len(added) < count:
        raise RuntimeError(f"{len(added)} of {count} addresses came")
    decided = min([advert.at for advert in adverts if advert.sent] + added)
    announced = {}
    for announcement in announcements:
        announced.setdefault(told(announcement.address), announcement.at)
    own = [advert.at for advert in adverts if advert.sent]
    missing = set(addresses) - announced.keys() - {"fe80::51"}
    return {
        "gaps": [later - earlier for earlier, later in zip(own, own[1:])],
        "outage": probing.report()["longest_outage_ms"] if probing else None,
        "installed": spread(added),
        "announced": None if missing else (max(announced[a] for a in announced.keys() & addresses) - decided) * 1000,
    }


def told(address):
    return address if isinstance(address, str) else socket.inet_ntop(socket.AF_INET6, address)


def give_up(pair):
    """Stops the better host. Returns how long the addresses take to go, and how many stay."""
    if pair.a.daemon is None:
        pair.start(pair.a)
        pair.await_move(pair.a, pair.b)
    addresses = set(pair.router.addresses)
    prefix = "fd00:1::" if "fe80::51" in addresses else "10.1."
    there = {address for address in held(pair.a) & addresses if address.startswith(prefix)}
    watch = Watch(pair.a, prefix, gone=len(there), seconds=20)
    pair.a.daemon.terminate()
    ended(pair.a.daemon, 30)
    left = len(held(pair.a) & there)
    watch.wait(0.5 if left else 20)
    if left:
        watch.process.kill()
        return None, left
    # Of some the kernel tells that their route went, or with their interface, and of some itself.
    return spread([event["at"] for event in watch.events() if not event["added"]]), left


SIZES = [(1, True), (1000, False), (5000, True)]
INSTALL_GOALS = {1000: ("12", "12"), 5000: ("340", "340")}
ANNOUNCE_GOALS = {1000: "install + 3", 5000: "install + 12"}


def on_the_interface(count):
    return f"IPv4 {count:,} VIPs: first to last on the interface, ms"


def ipv4_rows(count, large):
    name = f"IPv4 {count:,} VIPs"
    lines = [(f"{name}: take-back, outage of the first, ms", "0" if count == 1 else "2", "0")]
    if count > 1:
        lines.append((on_the_interface(count), *INSTALL_GOALS[count], f"ipv4-{count}"))
        announced = f"{name}: all announced after the decision, ms"
        lines.append((announced, ANNOUNCE_GOALS[count], "10 for 5,000", f"ipv4-{count}-announced"))

    @row(f"take-{count}", pool(f"ipv4-{count}", ipv4(count), large), *lines)
    def take_back(pair):
        found = take(pair)
        return (found["outage"], found["installed"], found["announced"])[: len(lines)]


for size in SIZES:
    ipv4_rows(*size)


def local_route_rows(count, large, goal, limit):
    scene = pool(f"local-route-{count}", ipv4(count), large, True, local_routes=True)
    title = f"IPv4 {count:,} VIPs as local routes: first to last, ms"

    @row(f"local-route-{count}", scene, (title, goal, limit, f"route-{count}", on_the_interface(count)))
    def local_routes(pair):
        return (take(pair)["installed"],)


local_route_rows(1000, True, "3", "2.5")
local_route_rows(5000, True, "10", "8.7")


def virtual_mac_rows(name, family, count, large, install, leave):
    addresses = (ipv6 if family == "IPv6" else ipv4)(count)
    scene = pool(f"{name}-{count}", addresses, large, virtual_mac=True)
    title = f"{family} {count:,} VIPs, virtual MAC"

    floor = f"{family.lower()}-macvlan-{count}"

    @row(f"take-{name}-{count}", scene, (f"{title}: first to last, ms", *install, floor))
    def take_back(pair):
        return (take(pair)["installed"],)

    gone = (f"{title}: first to last given up, ms", *leave, f"{floor}-gone")

    @row(f"give-up-{name}-{count}", scene, gone, (f"{title}: left behind", "0", "0"), ends=True)
    def leave_all(pair):
        return give_up(pair)


virtual_mac_rows("ipv6-vmac", "IPv6", 1000, False, ("15", "12.8"), ("-", "macvlan delete"))
virtual_mac_rows("ipv6-vmac", "IPv6", 5000, True, ("220", "212"), ("47", "macvlan delete"))
virtual_mac_rows("vmac", "IPv4", 5000, True, ("-", "-"), ("30", "macvlan delete"))
