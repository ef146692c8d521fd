"""The measurements of `scripts/bench`, which says what they are: runs every row, round by round."""

import argparse
import json
import os
import subprocess
import time
from datetime import datetime

from lan import LOCUM, sh
from lanes import Rounds
from play import ROWS
from table import show

RESULT = "target/bench/result.json"
RUNS = {"quick": 1, "full": 5}
# No round begins that would end later, if it takes as long as those so far: then every row has as many runs.
SECONDS = {"quick": 290, "full": 2395}
# More would wait for each other: a machine of two processors has time for the clients of so many.
LANES = 4


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Locum beside keepalived.")
    parser.add_argument("--quick", action="store_true", help="one run of most rows: under 5 minutes")
    parser.add_argument("--only", nargs="+", metavar="ROW", help=f"these rows: {' '.join(row.name for row in ROWS)}")
    parser.add_argument("--runs", type=int, help="how many runs of each row")
    parser.add_argument("--lanes", type=int, default=LANES, help="how many rows that wait are played at a time")
    chosen = parser.parse_args()
    unknown = set(chosen.only or ()) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"no such row: {' '.join(sorted(unknown))}")
    return chosen


def with_needed(rows):
    """And those whose values theirs are shown beside."""
    needed = {title for row in rows for line in row.lines for title in (line.beyond, line.of_keepalived) if title}
    return [row for row in ROWS if row in rows or any(line.title in needed for line in row.lines)]


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
    rows = with_needed([row for row in rows if chosen.only or not (chosen.quick and row.large)])
    about = facts()
    print("\n".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    rounds, runs, spent = Rounds(rows, chosen.quick, chosen.lanes), [], []
    began = time.monotonic()
    for number in range(chosen.runs or RUNS[mode]):
        so_far = time.monotonic() - began
        if spent and chosen.runs is None and so_far + so_far / number > SECONDS[mode]:
            print(f"no time for a round {number + 1}: one takes {so_far / number:.0f} s")
            break
        runs += rounds.one(number)
        spent.append(time.monotonic() - began - so_far)
    show(rows, runs)
    with open(RESULT, "w", encoding="utf-8") as file:
        times = {"seconds": time.monotonic() - began, "rounds": spent}
        json.dump(about | {"mode": mode} | times | {"runs": runs}, file, indent=1)
    print(f"every run: {RESULT}; {times['seconds']:.0f} s, {len(spent)} rounds")


main()
