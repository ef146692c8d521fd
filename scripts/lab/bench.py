"""The measurements of `scripts/bench`, which says what they are."""

import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from datetime import datetime
from lan import VIP, LOCUM, Host, Probing, Server, sh, switch, wait_for

INTERVAL = 1.0
PRIORITY = {"a": 150, "b": 100}
BOUND = 3 * INTERVAL + (256 - PRIORITY["b"]) / 256 * INTERVAL
RESULT = "target/bench/result.json"

LOCUM_CONFIG = """\
[router.web]
interface = "eth0"
vrid = 51
priority = {priority}
interval = "1s"
addresses = ["{vip}"]
"""
KEEPALIVED_CONFIG = """\
global_defs {{
    vrrp_version 3
}}
vrrp_instance web {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        {vip}/32
    }}
}}
"""


class Locum:
    name = "locum"

    def start(self, server):
        server.start_locum(LOCUM_CONFIG.format(priority=PRIORITY[server.name], vip=VIP))

    def hand_over(self, server):
        server.locum("handover")

    def stop(self, server):
        server.daemon.terminate()


class Keepalived:
    name = "keepalived"

    def start(self, server):
        path = server.write("keepalived.conf", KEEPALIVED_CONFIG.format(priority=PRIORITY[server.name], vip=VIP))
        pids = [os.path.join(server.directory, name) for name in ("keepalived.pid", "vrrp.pid")]
        command = ("keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file", path)
        server.daemon = server.start(*command, "--pid", pids[0], "--vrrp_pid", pids[1], log="keepalived.log")

    def stop(self, server):
        server.daemon.terminate()


class Bench:
    def __init__(self, quick):
        self.quick = quick
        self.runs = []
        switch()
        self.client = Host("client", "10.0.0.9")
        self.a, self.b = Server("a", "10.0.0.1"), Server("b", "10.0.0.2")
        for server in (self.a, self.b):
            server.serve()
        wait_for("the client reaches both", lambda: self.ping("10.0.0.1") and self.ping("10.0.0.2"), 10)

    def ping(self, address):
        command = ("ip", "netns", "exec", "client", "ping", "-c1", "-W1", address)
        return subprocess.run(command, capture_output=True).returncode == 0

    def run(self, daemon, measure):
        """One run: a fresh pair, settled, measured, ended. A run that fails is kept as such."""
        run = {"daemon": daemon.name}
        try:
            for server in (self.a, self.b):
                daemon.start(server)
            wait_for("a holds the address", lambda: self.a.holds() and not self.b.holds(), 15, every=0.1)
            # Announcements are repeated for some seconds; and adverts reach their rhythm.
            time.sleep(1)
            run |= measure(daemon)
        except (TimeoutError, RuntimeError, subprocess.SubprocessError) as error:
            run["failed"] = str(error)
        finally:
            self.end()
        self.runs.append(run)

    def end(self):
        for server in (self.a, self.b):
            server.daemon.terminate()
            try:
                server.daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.daemon.kill()
                server.daemon.wait()
            sh("ip", "-n", server.name, "address", "flush", "dev", "eth0", "to", f"{VIP}/32")
        self.a.cable(True)
        wait_for("a has its carrier back", lambda: self.ping("10.0.0.1"), 10)

    def idle(self, _daemon):
        window = 10 if self.quick else 30
        time.sleep(6)
        before = [usage(server.daemon.pid) for server in (self.a, self.b)]
        began = time.monotonic()
        time.sleep(window)
        minutes = (time.monotonic() - began) / 60
        found = {}
        for role, server, (cpu, ticks) in zip(("master", "backup"), (self.a, self.b), before):
            cpu_now, ticks_now = usage(server.daemon.pid)
            found[f"idle {role}: CPU, ms a minute"] = (cpu_now - cpu) / 1e6 / minutes
            found[f"idle {role}: utime + stime, ticks"] = ticks_now - ticks
            found[f"idle {role}: PSS, KiB"] = pss(server.daemon.pid)
        return found

    def cable(self, _daemon):
        monitor = self.b.start("stdbuf", "-oL", "ip", "-ts", "-4", "monitor", "address", stdout=subprocess.PIPE)
        time.sleep(0.3 + random.random() * INTERVAL)
        began = time.time()
        self.a.cable(False)
        wait_for("b holds the address", self.b.holds, BOUND + 8)
        monitor.terminate()
        line = re.search(rf"\[(\S+)\] \d+: eth0 +inet {VIP}/", monitor.communicate(timeout=10)[0].decode())
        if line is None:
            raise RuntimeError("the kernel told of no new address")
        return {"cable cut to takeover, ms": (datetime.fromisoformat(line[1]).timestamp() - began) * 1000}

    def planned(self, act, what):
        def measure(_daemon):
            probing = Probing(self.client)
            time.sleep(0.5)
            act(self.a)
            wait_for("b holds the address alone", lambda: self.b.holds() and not self.a.holds(), BOUND + 8)
            time.sleep(1)
            report = probing.report()
            return {f"{what}: lost probes": report["lost"], f"{what}: outage, ms": report["longest_outage_ms"]}

        return measure


def family(pid):
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for thread in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    return found


def usage(pid):
    """CPU time of a family so far: nanoseconds by the scheduler, ticks by utime + stime."""
    nanoseconds = ticks = 0
    for member in family(pid):
        with open(f"/proc/{member}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        for thread in os.listdir(f"/proc/{member}/task"):
            with open(f"/proc/{member}/task/{thread}/schedstat", encoding="ascii") as file:
                nanoseconds += int(file.read().split()[0])
    return nanoseconds, ticks


def pss(pid):
    total = 0
    for member in family(pid):
        with open(f"/proc/{member}/smaps_rollup", encoding="ascii") as file:
            total += int(re.search(r"^Pss: +(\d+)", file.read(), re.MULTILINE)[1])
    return total


def measures(runs):
    return dict.fromkeys(key for run in runs for key in run if key not in ("daemon", "failed"))


def told(values):
    if not values:
        return "-"
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f}, {len(values)})"


def show(runs):
    print(f"\n{'median (least to greatest, runs)':31} {'locum':>36} {'keepalived':>36}  ratio")
    for measure in measures(runs):
        if "ticks" in measure:
            continue
        both = [
            [run[measure] for run in runs if run["daemon"] == name and measure in run]
            for name in ("locum", "keepalived")
        ]
        ratio = "-"
        if all(both) and statistics.median(both[1]):
            ratio = f"{statistics.median(both[0]) / statistics.median(both[1]):.2f}"
        print(f"{measure:31} {told(both[0]):>36} {told(both[1]):>36}  {ratio:>5}")
    for run in runs:
        if "failed" in run:
            print(f"failed: {run['daemon']}: {run['failed']}")
    early, late = (BOUND - INTERVAL) * 1000, BOUND * 1000
    print(f"\n3 x interval + skew is {late:.0f} ms; cut just before the next advert that is {early:.0f} ms")


def facts():
    keepalived = subprocess.run(("keepalived", "--version"), capture_output=True, text=True)
    return {
        "when": datetime.now().astimezone().isoformat(timespec="seconds"),
        "kernel": os.uname().release,
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "locum": sh(LOCUM, "--version").strip(),
        "keepalived": (keepalived.stderr or keepalived.stdout).splitlines()[0],
    }


def main():
    quick = "--quick" in sys.argv
    about = facts()
    print("\n".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    bench = Bench(quick)
    locum, keepalived = Locum(), Keepalived()
    for _ in range(2 if quick else 5):
        for daemon in (locum, keepalived):
            bench.run(daemon, bench.idle)
    for _ in range(2 if quick else 7):
        for daemon in (locum, keepalived):
            bench.run(daemon, bench.cable)
    for _ in range(2 if quick else 10):
        bench.run(locum, bench.planned(locum.hand_over, "planned handover"))
        for daemon in (locum, keepalived):
            bench.run(daemon, bench.planned(daemon.stop, "planned stop"))
    show(bench.runs)
    with open(RESULT, "w", encoding="utf-8") as file:
        json.dump(about | {"quick": quick, "bound_ms": BOUND * 1000, "runs": bench.runs}, file, indent=1)
    print(f"every run: {RESULT}")


main()
