"""Plays scenes of `scripts/bench` on hosts of its own. `python3 play.py` is one lane: it reads what to play, a line
each, and answers with a line of runs. See lanes.py for what is said in between, and pair.py for what a scene is."""

import json
import struct
import subprocess
import sys
import time

# Each of these files registers its rows.
import rows_takeover  # noqa: F401
import rows_pools  # noqa: F401
import rows_load
import rows_scale  # noqa: F401
import rows_telling  # noqa: F401
import rows_giving  # noqa: F401
import rows_leases  # noqa: F401
from daemons import Keepalived, Locum, LocumBeforeKeepalived
from pair import ROWS, Lab, Pair
from rows_floor import floors

FAILURES = (
    TimeoutError,
    RuntimeError,
    OSError,
    KeyError,
    IndexError,
    ValueError,
    StopIteration,
    struct.error,
    subprocess.SubprocessError,
)


def play(pair, rows, settled, measured):
    """One start of the daemons, or more where a row ends them. Returns its runs, one for each row."""
    runs = []
    for row in rows:
        last = row is rows[-1]
        run, began = {"row": row.name, "daemon": pair.daemon.name, "values": {}}, time.monotonic()
        pair.over = measured if last else lambda: None
        try:
            pair.settle()
            settled()
            run["values"] = dict(zip((line.title for line in row.lines), row.measure(pair)))
        except FAILURES as error:
            run["failed"] = f"{type(error).__name__}: {error}"
            settled()
        pair.over()
        if row.ends or "failed" in run or last:
            pair.end()
        # Who reads that later sees whether answers were lost or late, and whether the client itself had to wait.
        run["clients"], pair.client.saw = pair.client.saw, []
        run["seconds"] = round(time.monotonic() - began, 1)
        runs.append(run)
        what = run.get("failed") or [*run["values"].values()]
        print(f"{row.name} {pair.daemon.name}: {what}, {run['seconds']} s", file=sys.stderr)
    return runs


def once(action):
    """Does it the first time, and never again."""
    done = []

    def at_most_once():
        if not done:
            done.append(True)
            action()

    return at_most_once


def tell(what):
    print(json.dumps(what), flush=True)


def settled():
    tell("settled")
    sys.stdin.readline()


def main():
    lab = Lab(rows_load.INTERFACES)
    while line := sys.stdin.readline():
        job = json.loads(line)
        if "floors" in job:
            tell([{"row": "floor", "daemon": "floor", "values": floors(lab, job["floors"])}])
            continue
        rows = [row for row in ROWS if row.name in job["rows"]]
        scene = rows[0].scene
        locum = LocumBeforeKeepalived() if scene.foreign else Locum()
        pair = Pair(lab, Keepalived() if job["daemon"] == "keepalived" else locum, scene, job["quick"])
        tell(play(pair, rows, once(settled), once(lambda: tell("measured"))))


if __name__ == "__main__":
    main()
