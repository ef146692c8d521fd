"""The two daemons that `scripts/bench` compares: the same routers in the words of each."""

import json
import os
from dataclasses import dataclass
from lan import SERVICE_PORT

PRIORITY = {"a": 200, "b": 100}
PEER = {"a": "10.0.0.2", "b": "10.0.0.1"}
# What a script check runs, and the priority of what is real-time.
SCRIPT = "/bin/true"
REALTIME = 20
# Where those are answered that have an address each.
CHECKED_PORT = 8081


@dataclass(frozen=True)
class Router:
    """What both can be told. Of many addresses, the first is advertised, and the others go with it."""

    addresses: tuple
    interface: str = "eth0"
    vrid: int = 51
    interval: float = 1.0
    virtual_mac: bool = False
    # Out of service while this file does not begin with 0.
    tracked: bool = False
    # Out of service once the process ends whose number is in a file.
    process: bool = False
    # Locum alone has it: connections to the service are ended and refused when the addresses are given up.
    drained: bool = False
    # Locum alone has it.
    local_routes: bool = False
    # Locum alone has it: adverts go by eth1 as well.
    second_path: bool = False
    # So many checks a second, by `script` or by `tcp`; or by `tcp-each`, of an address each.
    checks: int = 0
    probe: str = "script"
    # To the other host by unicast.
    unicast: bool = False
    # The thread that sends adverts is real-time, and memory is locked.
    realtime: bool = False
    # Locum alone has it: HTTP on a unix socket.
    http: bool = False
    # As well: what else tells of it, to the page, to HAProxy, to people, to a name server, to files.
    told: bool = False
    # The same, of every change of state.
    all_told: bool = False

    @property
    def name(self):
        return f"{self.interface}-{self.vrid}"

    def skew(self, priority):
        return (256 - priority) / 256 * self.interval

    def down(self, priority):
        """How long a Backup of this priority waits after the last advert."""
        return 3 * self.interval + self.skew(priority)


class Locum:
    name = "locum"

    def start(self, server, routers):
        text = "".join(self.section(server, router) for router in routers)
        if any(router.tracked for router in routers):
            path = track_file(server)
            text += f'[check.app]\ntype = "file"\npath = "{path}"\ncontains = "^0"\ninterval = "100ms"\nfall = 1\n'
        if routers[0].process:
            server.track_process(pid_file(server))
            text += f'[check.process]\ntype = "process"\npidfile = "{pid_file(server)}"\nfall = 1\n'
        for number in range(routers[0].checks):
            text += f'[check.c{number}]\n{self.probe(routers[0].probe, number)}\ninterval = "1s"\nfall = 3\n'
        if routers[0].realtime:
            text = f"[agent]\nrealtime = {REALTIME}\nlock_memory = true\n\n" + text
        if routers[0].http or routers[0].told or routers[0].all_told:
            text += f'[http]\nlisten = "unix:{http_socket(server)}"\n'
        if routers[0].told or routers[0].all_told:
            text += self.told(server, routers[0])
        server.start_locum(text)

    def probe(self, kind, number):
        if kind == "script":
            return f'type = "script"\ncommand = ["{SCRIPT}"]'
        target = f"127.0.0.1:{SERVICE_PORT}" if kind == "tcp" else f"{own_address(number)}:{CHECKED_PORT}"
        return f'type = "tcp"\ntarget = "{target}"'

    def told(self, server, router):
        """Everything that tells of a router: of a fault to people, of its address to a name server that is away."""
        key = server.write("key", "aHVzaC1odXNoLWh1c2gtaHVzaA==")
        signing = server.write("signing", f"hex:{'07' * 32}")
        for secret in (key, signing):
            os.chmod(secret, 0o600)
        nobody, home = "10.0.0.9", server.directory
        on = '["master", "backup", "fault"]' if router.all_told else '"fault"'
        return f"""agent_check = "127.0.0.1:5114"
[journal]
path = "{home}/all.jsonl"
transitions = "{home}/transitions.jsonl"
health = "{home}/health.jsonl"
dns = "{home}/dns.jsonl"
[message.chat]
type = "slack"
url = "https://{nobody}/chat"
on = {on}
[message.hook]
type = "webhook"
url = "https://{nobody}/hook"
key = "file:{signing}"
on = {on}
[message.admins]
type = "mail"
to = "root"
relay = "{nobody}:587"
user = "locum"
password = "file:{key}"
on = {on}
[message.pager]
type = "sms"
url = "https://{nobody}/sms?text={{text}}"
on = {on}
[dns.www]
type = "rfc2136"
name = "www.example"
zone = "example"
server = "{nobody}"
key_name = "locum"
key = "file:{key}"
router = "{router.name}"
address = "192.0.2.1"
"""

    def section(self, server, router):
        first, *others = router.addresses
        addresses = [f'"{first}"'] + [f'{{ address = "{other}", advertise = false }}' for other in others]
        lines = [
            f"[router.{router.name}]",
            f'interface = "{router.interface}"',
            f"vrid = {router.vrid}",
            f"priority = {PRIORITY[server.name]}",
            f'interval = "{router.interval * 1000:.0f}ms"',
            f"addresses = [{', '.join(addresses)}]",
        ]
        lines += [f'peers = ["{PEER[server.name]}"]'] if router.unicast else []
        if router.second_path:
            known = PEER[server.name]
            there = f"10.201.0.{known.rpartition('.')[2]}"
            lines.append(f'second_path = {{ interface = "eth1", peers = {{ "{known}" = "{there}" }} }}')
        lines += ["virtual_mac = true"] if router.virtual_mac else []
        lines += [f"drain_ports = [{SERVICE_PORT}]"] if router.drained else []
        names = ["app"] * router.tracked + ["process"] * router.process + [f"c{number}" for number in range(router.checks)]
        lines += [f"checks = {json.dumps(names)}"] if names else []
        lines += ['install = "local-route"'] if router.local_routes else []
        return "\n".join(lines) + "\n\n"

class Keepalived:
    name = "keepalived"

    def start(self, server, routers):
        text = "global_defs {\n    vrrp_version 3\n}\n"
        if any(router.tracked for router in routers):
            text += f"track_file app {{\n    file {track_file(server)}\n    weight 0\n}}\n"
        for number in range(routers[0].checks):
            what = SCRIPT if routers[0].probe == "script" else f"/bin/bash -c '</dev/tcp/127.0.0.1/{SERVICE_PORT}'"
            text += f'vrrp_script c{number} {{\nscript "{what}"\nuser nobody\ninterval 1\nfall 3\n}}\n'
        if routers[0].realtime:
            text = text.replace("{\n", f"{{\n    vrrp_rt_priority {REALTIME}\n    vrrp_no_swap\n", 1)
        text += "".join(self.section(server, router) for router in routers)
        path = server.write("keepalived.conf", text)
        pids = [os.path.join(server.directory, name) for name in ("keepalived.pid", "vrrp.pid")]
        for pid in filter(os.path.exists, pids):
            # Of one that was killed: its number may be in use.
            os.remove(pid)
        command = ("keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file", path)
        server.daemon = server.start(*command, "--pid", pids[0], "--vrrp_pid", pids[1], log="keepalived.log")

    def section(self, server, router):
        first, *others = (f"{address}/{128 if ':' in address else 32}" for address in router.addresses)
        lines = [
            f"vrrp_instance {router.name} {{",
            "state BACKUP",
            f"interface {router.interface}",
            f"virtual_router_id {router.vrid}",
            f"priority {PRIORITY[server.name]}",
            f"advert_int {router.interval:g}",
            f"virtual_ipaddress {{\n{first}\n}}",
        ]
        lines += ["virtual_ipaddress_excluded {", *others, "}"] if others else []
        lines += [f"unicast_peer {{\n{PEER[server.name]}\n}}"] if router.unicast else []
        lines += [f"use_vmac vrrp{router.vrid}"] if router.virtual_mac else []
        lines += ["track_file {\napp\n}"] if router.tracked else []
        names = [f"c{number}" for number in range(router.checks)]
        lines += ["track_script {", *names, "}"] if names else []
        return "\n".join(lines) + "\n}\n"


class LocumBeforeKeepalived(Locum):
    """Locum at the Master, keepalived at the Backup."""

    def start(self, server, routers):
        (super() if server.name == "a" else Keepalived()).start(server, routers)


def own_address(number):
    """Of the host itself, and another for each check."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def http_socket(server):
    return os.path.join(server.directory, "http.sock")


def track_file(server):
    return server.write("service", "0")


def pid_file(server):
    return os.path.join(server.directory, "process.pid")
