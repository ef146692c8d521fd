"""Rows of `scripts/bench` on whom Locum tells: what that costs, a scrape, and clients of the event stream."""

import json
import socket
import time
from dataclasses import replace
from daemons import Router, http_socket, track_file
from gauges import Capture, Watch
from lan import VIP, Probing, sh
from pair import Scene, end, row
from rows_load import wide
from rows_takeover import CPU, MEMORY, cable, idle

TOLD = Scene("told", (Router((VIP,), told=True),), together="idle", locum_only=True)
HANGING = Scene("hanging", (Router((VIP,)),), together="waiting", locum_only=True, lasts=24)
SCRAPED = Scene("scraped", tuple(replace(router, http=True) for router in wide(1.0, 1)), locum_only=True, large=True)
# The router beside the one that is measured changes its state all the time.
STREAMED = Scene(
    "streamed",
    (Router((VIP,), interval=0.1, http=True), Router(("10.1.0.2",), vrid=52, tracked=True)),
    locum_only=True,
    large=True,
)
CLIENTS, STREAMS = 200, "GET /events HTTP/1.1\r\nHost: locum\r\n\r\n"


def client(server, request, room=None):
    """A connection to the daemon's HTTP that has asked; `room`: of so many bytes for what is not read."""
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(20)
    if room:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    stream.connect(http_socket(server))
    stream.sendall(request.encode())
    return stream


def fetch(server, path):
    """What is answered at a path, without its head."""
    stream, parts = client(server, f"GET {path} HTTP/1.1\r\nHost: locum\r\nConnection: close\r\n\r\n"), []
    with stream:
        while part := stream.recv(1 << 16):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if b" 200 OK" not in head[:20]:
        raise RuntimeError(f"{path}: {head[:80]}")
    return body


def scrape(server):
    """All that is answered to one scrape."""
    answer = fetch(server, "/metrics")
    if b"locum_" not in answer:
        raise RuntimeError(f"no metrics: {answer[:80]}")
    return answer


@row(
    "told",
    TOLD,
    ("page, metrics, messages, DNS, files: PSS more, KiB", "8192", "-", "", "", MEMORY),
    ("the same, idle: CPU more, ms a minute", "0", "0", "", "", CPU),
    ends=True,
)
def told(pair):
    scrape(pair.a)
    cpu, _, memory = idle(pair)
    return memory, cpu


@row(
    "hanging",
    HANGING,
    ("takeover while who is told and the name server hang: ms more", "50", "0"),
    ends=True,
)
def hanging(pair):
    _, usual = cable(pair)
    end(pair.a, pair.b)
    # To them everything is sent to, and nothing comes back.
    rules = "table ip hang { chain in { type filter hook input priority 0; tcp dport { 53, 443, 587 } drop; }; }"
    sh("ip", "netns", "exec", "client", "nft", rules)
    try:
        for server in (pair.a, pair.b):
            pair.start(server, [replace(pair.router, all_told=True)])
        pair.await_move(pair.a, pair.b)
        time.sleep(1)
        _, late = cable(pair)
        receivers = json.loads(fetch(pair.b, "/status"))["messages"]
    finally:
        sh("ip", "netns", "exec", "client", "nft", "delete table ip hang")
    if len(receivers) != 4 or not all(it["waiting"] and not it["sent"] for it in receivers):
        raise RuntimeError(f"they do not hang: {receivers}")
    return (late - usual,)


@row("scrape", SCRAPED, ("255 routers: a scrape, the slowest of 50, ms", "20", "-"))
def scrapes(pair):
    times = []
    for _ in range(50):
        began = time.monotonic()
        scrape(pair.a)
        times.append(time.monotonic() - began)
        time.sleep(0.05)
    return (max(times) * 1000,)


@row(
    "streams",
    STREAMED,
    ("200 event streams and one that reads nothing: longest time between two adverts, ms", "110", "100"),
    ("the same streams: addresses that came to the Backup", "0", "0"),
    ("the same streams: lost probes", "0", "0"),
    ends=True,
)
def streams(pair):
    seconds = 5
    capture, watch, probing = Capture(pair.a), Watch(pair.b, VIP, seconds=seconds + 4), Probing(pair.client, seconds + 10)
    open_streams = [client(pair.a, STREAMS) for _ in range(CLIENTS)]
    hostile, heard = client(pair.a, STREAMS, room=1), 0
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        with open(track_file(pair.a), "w", encoding="ascii") as file:
            file.write("1" if heard % 2 else "0")
        heard += 1
        time.sleep(0.2)
        for stream in open_streams:
            if not stream.recv(1 << 16):
                raise RuntimeError("a stream ended")
    for stream in (*open_streams, hostile):
        stream.close()
    lost = probing.report()["lost"]
    adverts, _ = capture.end()
    own = [advert.at for advert in adverts if advert.sent and advert.vrid == pair.router.vrid]
    gaps = [later - earlier for earlier, later in zip(own, own[1:])]
    taken = sum(event["added"] and event["kind"] == "address" for event in watch.events())
    return max(gaps) * 1000, taken, lost
