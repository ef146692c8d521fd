"""The floors of `scripts/bench`: what the kernel of this machine alone takes for what the rows measure.

Each is done by benches/probe/floor.rs, on the host of the better daemon, while no daemon runs.
"""

import json
import re
import statistics
import subprocess
import sys
import time
from daemons import SCRIPT
from gauges import Watch, spread
from lan import PROBE, SERVICE_PORT, ended, sh

ADVERTS, MANY, SECONDS, TAKEOVERS, ROUTERS = 5_120, 300, 3, 3, 1_020


def floors(lab, names):
    """Of those names the values: milliseconds, and microseconds of CPU."""
    found = {}
    for name in names:
        # Some are measured with others.
        if name in found:
            continue
        try:
            found |= one(lab, name)
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            print(f"floor {name}: {error}", file=sys.stderr)
        lab.a.end_gauges()
        lab.b.end_gauges()
    return found


def one(lab, name):
    if kind := re.fullmatch(r"ipv4-(\d+)(-announced)?", name):
        return dict(zip((f"ipv4-{kind[1]}", f"ipv4-{kind[1]}-announced"), on_interface(lab.a, "ipv4", int(kind[1]))))
    if kind := re.fullmatch(r"(ipv4|ipv6|route)(-macvlan)?-(\d+)", name):
        way = in_new_interface if kind[2] else on_interface
        return {name: way(lab.a, kind[1], int(kind[3]))[0]}
    if kind := re.fullmatch(r"(ipv4|ipv6)-macvlan-(\d+)-gone", name):
        return {name: in_new_interface(lab.a, kind[1], int(kind[2]))[1]}
    return {name: OTHERS[name](lab)}


def floor(host, *what):
    return json.loads(sh("ip", "netns", "exec", host.name, PROBE, "floor", *map(str, what)))


def add(host, kind, count, interface, *how):
    """From the kernel's first event to its last, as the rows have it."""
    watch = Watch(host, "fd00:1::" if kind == "ipv6" else "10.1.", added=count, seconds=30)
    floor(host, "add", kind, "--interface", interface, "--count", count, *how)
    watch.wait(30)
    return spread(watch.first("route" if kind == "route" else "address", True).values())


def on_interface(host, kind, count):
    """How long that takes; and until they are announced besides, all after the last has come, with IPv4."""
    try:
        came = add(host, kind, count, "eth0")
        if kind != "ipv4":
            return (came,)
        return came, came + floor(host, "announce", "--interface", "eth0", "--count", count)["took_ms"]
    finally:
        what = ("route", "flush", "table", "local", "root") if kind == "route" else ("address", "flush", "to")
        sh("ip", "-n", host.name, *what, "10.1.0.0/16")


def in_new_interface(host, kind, count):
    """One that is filled while it is down, then set up, and then deleted."""
    sh("ip", "-n", host.name, "link", "add", "floor", "link", "eth0", "type", "macvlan", "mode", "private")
    try:
        sh("ip", "-n", host.name, "link", "set", "floor", "addrgenmode", "none")
        came = add(host, kind, count, "floor", "--raise")
        watch = Watch(host, "fd00:1::" if kind == "ipv6" else "10.1.", gone=count, seconds=30)
        floor(host, "delete", "--interface", "floor")
        watch.wait(30)
        return came, spread([event["at"] for event in watch.events() if not event["added"]])
    except Exception:
        sh("ip", "-n", host.name, "link", "delete", "floor")
        raise


def sent(lab):
    return floor(lab.a, "send", "--from", lab.a.address, "--count", ADVERTS)["each_us"]


def received(lab):
    command = (PROBE, "floor", "receive", "--at", lab.b.address, "--count", str(ADVERTS))
    receiver = lab.b.gauge(*command, stdout=subprocess.PIPE)
    receiver.stdout.readline()
    sent(lab)
    return json.loads(receiver.communicate(timeout=10)[0])["each_us"]


def lived(lab, *how):
    found = floor(lab.a, "live", "--interface", "eth0", "--from", lab.a.address, *how)
    sh("ip", "-n", lab.a.name, "address", "flush", "to", "10.1.0.0/16")
    return found["each_us"]


def idle(lab):
    return lived(lab, "--count", SECONDS) * 60 / 1000


def sent_and_leased(lab):
    return lived(lab, "--count", SECONDS, "--routers", ROUTERS) / ROUTERS


def taken(lab):
    """From when a sleep had to end to the kernel's event; the median."""
    times = []
    for _ in range(TAKEOVERS):
        watch = Watch(lab.a, "10.1.", added=1, seconds=5)
        due = floor(lab.a, "take", "--interface", "eth0", "--from", lab.a.address)["at"]
        watch.wait(5)
        times += [at - due for at in watch.first("address", True).values()]
        sh("ip", "-n", lab.a.name, "address", "flush", "to", "10.1.0.0/16")
    return statistics.median(times) * 1000


def connected(lab, a_second):
    how = ("--count", a_second, "--every", 1000 // a_second)
    return floor(lab.a, "connect", f"127.0.0.1:{SERVICE_PORT}", *how)["each_us"]


def exit_of_two_packet_sockets(lab):
    holder = lab.a.gauge(PROBE, "floor", "hold", stdout=subprocess.PIPE)
    holder.stdout.readline()
    began = time.monotonic()
    holder.terminate()
    ended(holder)
    return (time.monotonic() - began) * 1000


OTHERS = {
    "advert-sent": sent_and_leased,
    "advert-received": received,
    "live": idle,
    "take": taken,
    "exit": exit_of_two_packet_sockets,
    "spawn": lambda lab: floor(lab.a, "spawn", SCRIPT, "--count", MANY)["each_us"],
    "connect-100": lambda lab: connected(lab, 100),
    "connect-1000": lambda lab: connected(lab, 1000),
}
