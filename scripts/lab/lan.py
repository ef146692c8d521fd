"""A switched LAN of network namespaces, and the programs that run in them.

Runs inside `scripts/inside`, which takes everything down; so nothing here cleans up.
"""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("LOCUM_BUILD", "release")
LOCUM = f"target/{BUILD}/locum"
PROBE = f"target/{BUILD}/examples/probe"
SWITCH = "switch"
VIP = "10.0.0.100"
ECHO_PORT, SERVICE_PORT = 7000, 8080


def sh(*command):
    """Runs a command to its end, and returns its output; a failure is an exception with the reason."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def wait_for(what, condition, seconds, every=0.01):
    """Waits until `condition()` is true and returns its value; says what was awaited in vain."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(every)
    raise TimeoutError(f"not within {seconds} s: {what}")


def ended(process, seconds=20):
    """Waits for a process to end, and is told at once: `wait` with a time looks in ever greater steps."""
    if process.poll() is not None:
        return process.returncode
    pidfd = os.pidfd_open(process.pid)
    try:
        if not select.select([pidfd], [], [], seconds)[0]:
            raise TimeoutError(f"not ended within {seconds} s: {' '.join(process.args[4:6])}")
    finally:
        os.close(pidfd)
    return process.wait()


class Host:
    """One namespace with `eth0` on the switch; `eth1` and more are each on a segment of their own."""

    def __init__(self, name, address, interfaces=1):
        self.name, self.address, self.interfaces = name, address, interfaces
        self.directory = os.path.join(os.environ["TMPDIR"], name)
        self.gauges = []
        # What its probing clients reported.
        self.saw = []
        os.mkdir(self.directory)
        sh("ip", "netns", "add", name)
        sh("ip", "-n", name, "link", "set", "dev", "lo", "up")
        for number in range(interfaces):
            self.plug(number)

    def port(self, number=0):
        """The switch's end of a cable."""
        return f"{self.name}.{number}" if number else self.name

    def plug(self, number):
        own, port = f"eth{number}", self.port(number)
        sh("ip", "-n", self.name, "link", "add", own, "type", "veth", "peer", "name", port, "netns", SWITCH)
        sh("ip", "-n", SWITCH, "link", "set", "dev", port, "master", f"br{number}", "up")
        sh("ip", "-n", self.name, "link", "set", "dev", own, "up")
        *_, host = self.address.split(".")
        address = f"10.20{number}.0.{host}" if number else self.address
        sh("ip", "-n", self.name, "address", "add", f"{address}/24", "dev", own)

    def start(self, *command, log="log", **options):
        """Starts a program here; its output goes to a file."""
        with open(os.path.join(self.directory, log), "ab") as out:
            options = {"stdout": out, "stderr": out} | options
            return subprocess.Popen(("ip", "netns", "exec", self.name, *command), **options)

    def gauge(self, *command, **options):
        """The same of what measures, which a measurement that fails leaves running."""
        self.gauges.append(self.start(*command, **options))
        return self.gauges[-1]

    def end_gauges(self):
        for gauge in self.gauges:
            gauge.kill()
            gauge.wait()
        self.gauges.clear()

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def cable(self, up, interfaces=None):
        """Pulls all cables out of the switch, or that of the first ones, or puts them back: this end loses or gets its
        carrier."""
        for number in range(interfaces or self.interfaces):
            sh("ip", "-n", SWITCH, "link", "set", "dev", self.port(number), "up" if up else "down")

    def isolate(self, isolated):
        """Joins no other host any more, with the carrier as it was; or joins them again."""
        for number in range(self.interfaces):
            place = ("nomaster",) if isolated else ("master", f"br{number}")
            sh("ip", "-n", SWITCH, "link", "set", "dev", self.port(number), *place)

    def holds(self, address=VIP):
        return f" {address}/" in sh("ip", "-n", self.name, "-4", "address", "show", "dev", "eth0")

    def get(self, url):
        """What a web server answers to this host."""
        code = "import sys, urllib.request as web; print(web.urlopen(sys.argv[1], timeout=2).read().decode())"
        return sh("ip", "netns", "exec", self.name, sys.executable, "-c", code, url).strip()

    def log(self, name="log"):
        with open(os.path.join(self.directory, name), encoding="utf-8", errors="replace") as file:
            return file.read()


class Server(Host):
    """A host that runs Locum and, behind the address, an echo server and a small real service."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # Of its own: two hosts' daemons would share the memory of one file.
        self.program = shutil.copy(LOCUM, tempfile.mkdtemp(prefix=f"{self.name}."))

    def serve(self):
        self.echo = self.start(PROBE, "serve", self.name, "--port", str(ECHO_PORT))
        self.start_service()

    def start_service(self):
        self.service = self.start(PROBE, "service", self.name, "--port", str(SERVICE_PORT))

    def stop_service(self):
        """Kills the service, and leaves the echo server alone: the client asks that one."""
        self.service.kill()
        self.service.wait()

    def track_process(self, path):
        """Starts a process that does nothing, and writes its number into a file."""
        self.tracked = self.gauge("sleep", "1000")
        with open(path, "w", encoding="ascii") as file:
            file.write(str(self.tracked.pid))

    def locum(self, *arguments):
        """Asks this host's daemon."""
        return sh(LOCUM, *arguments, "--socket", os.path.join(self.directory, "locum.sock"))

    def start_locum(self, config):
        path = self.write("locum.toml", config)
        socket = os.path.join(self.directory, "locum.sock")
        self.daemon = self.start(self.program, "run", "--config", path, "--socket", socket, log="locum.log")
        self.started = time.time()

    def status(self):
        """The daemon's status, with `asked`: the time it holds for. None while there is no answer."""
        socket = os.path.join(self.directory, "locum.sock")
        done = subprocess.run((LOCUM, "status", "--json", "--socket", socket), capture_output=True, timeout=10)
        if not done.stdout:
            return None
        return json.loads(done.stdout) | {"asked": time.time()}

    def became(self, state):
        """When the router came into `state`, by the wall clock; None while it is in another."""
        status = self.status()
        if status is None or status["routers"][0]["state"] != state:
            return None
        return status["asked"] - status["routers"][0]["since_ms"] / 1000


class Probing:
    """A client that asks the virtual address once a millisecond, until it is told to report."""

    def __init__(self, host, seconds=60, address=VIP):
        target = f"{address}:{ECHO_PORT}"
        command = (PROBE, "run", target, "--every", "1ms", "--for", f"{seconds}s", "--json")
        self.host, self.process = host, host.gauge(*command, stdout=subprocess.PIPE)

    def report(self):
        self.process.terminate()
        self.host.saw.append(json.loads(self.process.communicate(timeout=30)[0]))
        return self.host.saw[-1]


def switch(segments=1):
    """The switch: a bridge for each segment, in a namespace of its own."""
    sh("ip", "netns", "add", SWITCH)
    for number in range(segments):
        sh("ip", "-n", SWITCH, "link", "add", f"br{number}", "type", "bridge")
        sh("ip", "-n", SWITCH, "link", "set", f"br{number}", "up")
