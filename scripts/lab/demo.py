"""The steps of `scripts/demo`, which says what it is."""

import os
import re
import signal
import sys
import time
from gauges import family
from lan import SERVICE_PORT, VIP, Host, Probing, Server, switch, wait_for

CONFIG = """\
[router.web]
interface = "eth0"
vrid = 51
priority = {priority}
interval = "{interval}"
addresses = ["{vip}"]
checks = ["app", "chat"]

[check.app]
type = "http"
url = "http://127.0.0.1:8080/health"
interval = "200ms"
fall = 2

[check.chat]
type = "websocket"
url = "ws://127.0.0.1:8080/"
send = "ping"
expect = "^ping$"
interval = "200ms"
fall = 2
"""
PRIORITY = {"a": 150, "b": 100}
# For a machine that has other things to do too.
ALLOWANCE = 0.3


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s)", text).groups()
    return int(number) / (1000 if unit == "ms" else 1)


class Demo:
    def __init__(self, interval):
        self.interval = interval
        length = seconds(interval)
        self.skew = (256 - PRIORITY["b"]) / 256 * length
        self.down = 3 * length + self.skew
        # Two failures in a row, each found within an interval and the time of a probe.
        self.detection = 2 * 0.2
        self.failed = []
        switch()
        self.client = Host("client", "10.0.0.9")
        self.a, self.b = Server("a", "10.0.0.1"), Server("b", "10.0.0.2")

    def start(self):
        for server in (self.a, self.b):
            server.serve()
            self.start_locum(server)
        settled = lambda: self.a.became("MASTER") and self.b.became("BACKUP")
        wait_for("a is Master and b Backup", settled, self.down + 10)

    def start_locum(self, server):
        priority = PRIORITY[server.name]
        server.start_locum(CONFIG.format(priority=priority, interval=self.interval, vip=VIP))

    def step(self, what, act, taker, longest, detected=None):
        """Does `act`; `taker` shall become Master and answer, after an outage of `longest` at most.

        `act` returns what it has to say. `detected` finds when the failure was noticed.
        """
        giver = self.a if taker is self.b else self.b
        probing = Probing(self.client)
        time.sleep(0.3)
        began = time.time()
        try:
            said = act() or ""
            taken = wait_for(f"{taker.name} takes over", lambda: self.taken(taker, began), self.down + 8)
            found = detected and wait_for("the failure is noticed", lambda: detected(began), 5)
            wait_for(f"{taker.name} holds {VIP} alone", lambda: taker.holds() and not giver.holds(), 5)
            time.sleep(0.4)
            web = self.client.get(f"http://{VIP}:{SERVICE_PORT}/")
        except (TimeoutError, RuntimeError) as error:
            return self.tell(what, "", [str(error)], probing.report())
        report = probing.report()
        timeline = f"detected {ms(found - began)}, " if found else ""
        timeline += f"taken {ms(taken - began)}"
        problems = []
        if report["longest_outage_ms"] > (longest + ALLOWANCE) * 1000:
            problems.append(f"outage longer than {ms(longest + ALLOWANCE)}")
        if (who := report["answered_by"][-1]["name"]) != taker.name:
            problems.append(f"{who} answers instead of {taker.name}")
        if web != taker.name:
            problems.append(f"the web server of {web} answers instead of {taker.name}'s")
        return self.tell(what, timeline, problems, report, said)

    def taken(self, taker, began):
        """When `taker` became Master since `began`; a little before it, since its clock is coarse."""
        became = taker.became("MASTER")
        return became if became and became > began - 0.01 else None

    def tell(self, what, timeline, problems, report, said=""):
        outage, lost, sent = report["longest_outage_ms"], report["lost"], report["sent"]
        who = " then ".join(span["name"] for span in report["answered_by"])
        print(f"{'FAILED' if problems else 'held':6} {what}")
        if timeline:
            print(f"         {timeline}; client outage {outage:.0f} ms ({lost} of {sent} probes lost); answered by {who}")
        for line in [said, *problems]:
            if line:
                print(f"         {line}")
        sys.stdout.flush()
        if problems:
            self.failed.append(what)

    def router_in_fault(self, _began):
        return self.a.became("FAULT")

    def kill_daemon(self):
        """As a crash does it. Its guardian, whose child it is, does the rest."""
        os.kill(family(self.a.daemon.pid)[1], signal.SIGKILL)
        time.sleep(0.2)
        left = "still holds" if self.a.holds() else "does not hold"
        return f"200 ms after the SIGKILL a {left} {VIP}, until b is heard: its guardian has said farewell"


def ms(length):
    return f"{length * 1000:.0f} ms"


def steps(demo):
    demo.start()
    a, b = demo.a, demo.b
    print(f"two servers, a (priority 150) and b (100), one address {VIP}, adverts every {demo.interval},")
    print("HTTP and WebSocket checks every 200 ms; times count from the event\n", flush=True)
    demo.step("planned handover from a to b", lambda: a.locum("handover").strip(), b, 0)
    demo.step("a resumes", lambda: a.locum("resume").strip(), a, 0)
    demo.step("the service on a dies", a.stop_service, b, demo.detection + demo.skew, demo.router_in_fault)
    demo.step("the service on a is back", a.start_service, a, 0)
    demo.step("the daemon on a is killed", demo.kill_daemon, b, 0)
    demo.step("its guardian has started it again", lambda: None, a, 0)
    demo.step("the cable of a is pulled", lambda: a.cable(False), b, demo.down, demo.router_in_fault)
    demo.step("the cable of a is back", lambda: a.cable(True), a, 0)


def main():
    demo = Demo(sys.argv[1] if len(sys.argv) > 1 else "1s")
    try:
        steps(demo)
    except (TimeoutError, RuntimeError) as error:
        print(f"FAILED {error}")
        demo.failed.append("all the rest")
    print(f"\nnot held: {', '.join(demo.failed)}" if demo.failed else "\nevery step held")
    if demo.failed:
        for server in (demo.a, demo.b):
            print(f"\nlog of {server.name}:\n{server.log('locum.log')}")
    sys.exit(1 if demo.failed else 0)


main()
