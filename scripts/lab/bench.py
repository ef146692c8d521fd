"""The measurements of `scripts/bench`, which says what they are: runs every row, alternating."""

import argparse
import json
import os
import struct
import subprocess
import sys
import time
from datetime import datetime

# Each of these files registers its rows.
import rows_takeover  # noqa: F401
import rows_pools  # noqa: F401
import rows_load
import rows_scale  # noqa: F401
import rows_telling  # noqa: F401
from daemons import Keepalived, Locum, LocumBeforeKeepalived
from lan import LOCUM, sh, switch
from pair import ROWS, Lab, Pair
from table import show

RESULT = "target/bench/result.json"
RUNS = {"quick": 1, "full": 5}
# No scene begins later, since the longest takes the rest: what is missing has fewer runs, as the table says.
LONGEST_SECONDS = {"quick": 245, "full": 2190}
FAILURES = (
    TimeoutError,
    RuntimeError,
    OSError,
    KeyError,
    IndexError,
    ValueError,
    struct.error,
    subprocess.SubprocessError,
)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Locum beside keepalived.")
    parser.add_argument("--quick", action="store_true", help="one run of most rows: under 5 minutes")
    parser.add_argument("--only", nargs="+", metavar="ROW", help=f"these rows: {' '.join(row.name for row in ROWS)}")
    parser.add_argument("--runs", type=int, help="how many runs of each row")
    chosen = parser.parse_args()
    unknown = set(chosen.only or ()) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no such row: {' '.join(sorted(unknown))}")
    return chosen


def play(lab, daemon, scene, rows, quick):
    """One start of the daemons, or more where a row ends them. Returns its runs, one for each row."""
    pair, runs = Pair(lab, daemon, scene, quick), []
    for row in rows:
        run = {"row": row.name, "daemon": daemon.name, "values": {}}
        try:
            pair.settle()
            run["values"] = dict(zip((title for title, *_ in row.lines), row.measure(pair)))
        except FAILURES as error:
            run["failed"] = f"{type(error).__name__}: {error}"
        if row.ends or "failed" in run:
            pair.end()
        runs.append(run)
        print(f"{row.name} {daemon.name}: {run.get('failed') or list(run['values'].values())}", file=sys.stderr)
    pair.end()
    return runs


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
    chosen = arguments()
    mode = "quick" if chosen.quick else "full"
    rows = [row for row in ROWS if row.name in chosen.only] if chosen.only else ROWS
    rows = [row for row in rows if chosen.only or not (chosen.quick and row.scene.large)]
    scenes = list(dict.fromkeys(row.scene for row in rows))
    about = facts()
    print("\n".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    switch(rows_load.INTERFACES)
    lab, runs = Lab(rows_load.INTERFACES), []
    began = time.monotonic()
    for _ in range(chosen.runs or RUNS[mode]):
        for scene in scenes:
            if not chosen.only and time.monotonic() - began > LONGEST_SECONDS[mode]:
                continue
            of_scene = [row for row in rows if row.scene == scene]
            for daemon in (LocumBeforeKeepalived() if scene.foreign else Locum(), Keepalived()):
                runs += play(lab, daemon, scene, of_scene, chosen.quick)
    show(rows, runs)
    with open(RESULT, "w", encoding="utf-8") as file:
        took = time.monotonic() - began
        json.dump(about | {"mode": mode, "seconds": took, "runs": runs}, file, indent=1)
    print(f"every run: {RESULT}; {took:.0f} s")


main()
