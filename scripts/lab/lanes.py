"""Lanes: copies of the network of `scripts/bench` that share nothing but the machine, and who plays what when."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque, namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle

# Namespaces of networks have names, and those are files: they end with the lane.
APART = 'mount -t tmpfs lane /run/netns && ip link set lo up && exec "$@"'
DAEMONS = ("locum", "keepalived")

Task = namedtuple("Task", "scene daemon rows")


class Lane:
    """A process that plays tasks, one after the other.

    It says `settled` when the daemons are as the first row wants them, and goes on when it is told to; `measured` when
    nothing is left but to end them; and then what it measured.
    """

    def __init__(self, number):
        # `nothing`: the runs of one that has died.
        self.number, self.runs, self.nothing = number, None, []
        self.open()

    def open(self):
        player = os.path.join(os.path.dirname(__file__), "play.py")
        self.process = subprocess.Popen(
            ("unshare", "--mount", "--net", "sh", "-c", APART, "sh", sys.executable, player),
            env=os.environ | {"TMPDIR": tempfile.mkdtemp(prefix=f"lane{self.number}.")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def reopen(self):
        """Another one where it has died: its network could not be made whole again, say."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.open()

    def say(self, line):
        # One that has died is known by its silence.
        with suppress(OSError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def hear(self, awaited):
        """Waits for that word, or for the runs, which come in its place where something failed."""
        while self.runs is None:
            line = self.process.stdout.readline()
            said = json.loads(line) if line else self.nothing
            if said == awaited:
                return
            if isinstance(said, list):
                self.runs = said

    def begin(self, task, quick):
        self.runs = None
        of_row = {"daemon": task.daemon, "values": {}, "failed": f"lane {self.number} ended"}
        self.nothing = [{"row": name} | of_row for name in task.rows]
        self.say(json.dumps({"daemon": task.daemon, "rows": task.rows, "quick": quick}))
        self.hear("settled")

    def measure(self):
        self.say("go")
        self.hear("measured")

    def finish(self):
        self.hear(None)
        if self.runs is self.nothing:
            self.reopen()
        return [run | {"lane": self.number} for run in self.runs]

    def floors(self, names):
        self.runs, self.nothing = None, []
        self.say(json.dumps({"floors": names}))
        return self.finish()


def next_of(waiting):
    """The next task; None where another lane has had the last one."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


class Rounds:
    """Plays every scene with both daemons: one round is one run of each row."""

    def __init__(self, rows, quick, lanes):
        self.rows, self.quick = rows, quick
        self.lanes = [Lane(number) for number in range(lanes)]

    def one(self, number):
        """One round. Whoever went first in one goes second in the next."""
        wanted = sorted({line.floor for row in self.rows for line in row.lines if line.floor})
        runs = self.lanes[0].floors(wanted) if wanted else []
        tasks = self.tasks(DAEMONS if number % 2 == 0 else DAEMONS[::-1])
        runs += self.in_turn([task for task in tasks if not task.scene.together])
        for together in sorted({task.scene.together for task in tasks} - {""}):
            runs += self.at_once([task for task in tasks if task.scene.together == together])
        return [run | {"round": number} for run in runs]

    def tasks(self, order):
        scenes = dict.fromkeys(row.scene for row in self.rows)
        of = {scene: [row.name for row in self.rows if row.scene == scene] for scene in scenes}
        plays = ((scene, daemon) for scene in scenes for daemon in order)
        return [Task(scene, daemon, of[scene]) for scene, daemon in plays if daemon == "locum" or not scene.locum_only]

    def in_turn(self, tasks):
        """One at a time. While the last one's daemons end, the next one's wait for the first takeover, no more."""
        runs, before = [], None
        for task, lane in zip(tasks, cycle(self.lanes[:2])):
            began = time.monotonic()
            # With one lane there is nowhere else to wait.
            if before is lane:
                runs += before.finish()
            lane.begin(task, self.quick)
            if before not in (None, lane):
                runs += before.finish()
            lane.measure()
            note(task, began)
            before = lane
        return runs + (before.finish() if before else [])

    def at_once(self, tasks):
        """In all lanes. Those that take long begin: then all end together, more or less."""
        waiting = deque(sorted(tasks, key=lambda task: -task.scene.lasts))

        def play_some(lane):
            runs = []
            while task := next_of(waiting):
                began = time.monotonic()
                lane.begin(task, self.quick)
                lane.measure()
                runs += lane.finish()
                note(task, began)
            return runs

        with ThreadPoolExecutor(len(self.lanes)) as threads:
            return sum(threads.map(play_some, self.lanes), [])


def note(task, began):
    print(f"scene {task.scene.name}, {task.daemon}: {time.monotonic() - began:.0f} s", file=sys.stderr)
