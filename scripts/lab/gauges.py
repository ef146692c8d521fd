"""What `scripts/bench` reads off the system: CPU time, memory, events of the kernel, packets."""

import json
import os
import re
import struct
import subprocess
import time
from collections import namedtuple
from contextlib import suppress
from datetime import datetime
from lan import PROBE

# On the wire, and as Linux writes it in front of a captured packet (LINKTYPE_LINUX_SLL2).
VRRP, ICMPV6, OUTGOING = 112, 58, 4
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
NEIGHBOUR_ADVERT = 136

Advert = namedtuple("Advert", "at interface vrid priority sent")
Announcement = namedtuple("Announcement", "at address")


def family(pid):
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file:
                    found += map(int, file.read().split())
        except FileNotFoundError:
            pass
    return found


def usage(pid):
    """CPU time of a family so far, in nanoseconds: the kernel's clock of each process (CPUCLOCK_SCHED)."""
    return sum(time.clock_gettime_ns(~member << 3 | 2) for member in family(pid))


def usage_with_ended(pid):
    """The same with what its ended children used, in nanoseconds, by the kernel's ticks of 10 ms."""
    ticks = 0
    for member in family(pid):
        # One that has ended meanwhile counts at its parent.
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{member}/stat", encoding="ascii") as file:
            ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def pss(pid, part="Pss"):
    """Memory of a family, in KiB; or a part of it, as the kernel calls it."""
    return sum(pss_of(member, part) for member in family(pid))


def pss_of(pid, part="Pss"):
    """The same of one process."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(rf"^{part}: +(\d+)", file.read(), re.MULTILINE)[1])


def packets(host, what):
    """How many packets the kernel counted at the host's interfaces: `tx` or `rx`."""
    command = ("ip", "-n", host.name, "-json", "-stats", "link", "show")
    links = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return sum(link["stats64"][what]["packets"] for link in links if re.fullmatch(r"eth\d", link["ifname"]))


def spread(times):
    """From the first to the last, in milliseconds."""
    return (max(times) - min(times)) * 1000


class Watch:
    """The kernel's events about addresses on one host, see benches/probe/watch.rs."""

    def __init__(self, host, prefix, added=None, gone=None, seconds=60):
        self.prefix = prefix
        command = [PROBE, "watch", "--prefix", prefix, "--for", f"{seconds}s"]
        command += ["--added", str(added)] if added else []
        command += ["--gone", str(gone)] if gone else []
        self.process = host.gauge(*command, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def wait(self, seconds):
        """Waits until it has seen what it waits for; it need not have."""
        try:
            # It writes when it ends, and more than a pipe holds.
            self.output = self.process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            return False
        return True

    def events(self):
        """Ends it. Returns each event; of an address that came or went again, the first."""
        if self.process.returncode is None:
            self.output = self.process.communicate()[0]
        report = json.loads(self.output)
        if report["overrun"]:
            raise RuntimeError("events of the kernel were lost")
        return report["events"]

    def first(self, kind, added):
        """When each address was first so: {address: seconds since 1970}."""
        found = {}
        for event in self.events():
            if event["kind"] == kind and event["added"] == added:
                found.setdefault(event["what"], event["at"])
        return found


class Carrier:
    """The kernel's events about the links of one host."""

    def __init__(self, host):
        self.process = host.gauge("ip", "-tshort", "-oneline", "monitor", "link", stdout=subprocess.PIPE, text=True)
        # It does not say when it listens.
        time.sleep(0.3)

    def lost(self, interface):
        """Ends it. Returns when that one lost its carrier, in seconds since 1970."""
        self.process.terminate()
        said = self.process.communicate(timeout=10)[0]
        found = re.search(rf"^\[(\S+)\] \d+: {interface}@.*NO-CARRIER", said, re.MULTILINE)
        if not found:
            raise RuntimeError(f"{interface} kept its carrier")
        return datetime.fromisoformat(found[1]).timestamp()


class Capture:
    """The packets of all interfaces of a host, stamped by the kernel: tcpdump writes, this reads."""

    FILTER = "ip proto 112 or ip6 proto 112 or arp or icmp6"

    def __init__(self, host):
        self.path = os.path.join(host.directory, "capture.pcap")
        command = ("tcpdump", "-i", "any", "-y", "LINUX_SLL2", "-B", "65536", "-s", "128", "-Z", "root", "-w", self.path)
        self.process = host.gauge(*command, self.FILTER, stderr=subprocess.PIPE)
        self.process.stderr.readline()
        self.process.stderr.readline()

    def end(self):
        """Ends it. Returns all adverts and all announcements, each in order."""
        # The kernel hands packets over in blocks, at the latest after a second; and ends with none.
        time.sleep(1.2)
        self.process.terminate()
        told = self.process.communicate(timeout=60)[1].decode()
        if not re.search(r"^0 packets dropped by kernel", told, re.MULTILINE):
            raise RuntimeError(f"packets were not captured: {told.strip()}")
        with open(self.path, "rb") as file:
            frames = list(records(file.read()))
        adverts = [found for found in map(advert, frames) if found]
        return adverts, [found for found in map(announcement, frames) if found]


def records(pcap):
    place = 24
    while place + 16 <= len(pcap):
        seconds, micros, length, _ = struct.unpack_from("<IIII", pcap, place)
        frame = pcap[place + 16 : place + 16 + length]
        protocol, _, interface, _, direction = struct.unpack_from("!HHIHB", frame)
        yield seconds + micros / 1e6, protocol, interface, direction, frame[20:]
        place += 16 + length


def advert(record):
    at, protocol, interface, direction, packet = record
    start = 40
    if protocol == IPV4:
        start = (packet[0] & 15) * 4
    elif protocol != IPV6:
        return None
    if packet[9 if protocol == IPV4 else 6] != VRRP:
        return None
    return Advert(at, interface, packet[start + 1], packet[start + 2], direction == OUTGOING)


def announcement(record):
    """A gratuitous ARP or an unsolicited neighbour advertisement that this host sent."""
    at, protocol, _, direction, packet = record
    if direction != OUTGOING:
        return None
    if protocol == ARP and packet[14:18] == packet[24:28]:
        return Announcement(at, ".".join(map(str, packet[14:18])))
    if protocol == IPV6 and packet[6] == ICMPV6 and packet[40] == NEIGHBOUR_ADVERT:
        return Announcement(at, bytes(packet[48:64]))
    return None


def outage_after(report, moment):
    """The longest outage that a probing client saw after a moment (monotonic seconds), in ms from there on."""
    ends = [outage["start_monotonic_ms"] + outage["lasted_ms"] for outage in report["outages"]]
    starts = [max(outage["start_monotonic_ms"], moment * 1000) for outage in report["outages"]]
    return max((end - start for start, end in zip(starts, ends) if end > start), default=0.0)


