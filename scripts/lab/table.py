"""The table that `scripts/bench` ends with."""

import statistics

HEAD = ("median (least to greatest, runs)", "locum", "keepalived", "ratio", "goal", "limit", "floor here")


def told(values):
    if not values:
        return "-"
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))}, {len(values)})"


def number(value):
    """Three digits that count, or all before the point."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def by_round(runs, daemon, title):
    """What was measured, by round."""
    of_daemon = (run for run in runs if run["daemon"] == daemon)
    return {run["round"]: run["values"][title] for run in of_daemon if run["values"].get(title) is not None}


def values(runs, daemon, line):
    title = line.of_keepalived if daemon == "keepalived" and line.of_keepalived else line.title
    found = by_round(runs, daemon, title)
    if line.beyond:
        usual = by_round(runs, daemon, line.beyond)
        return [value - usual[number] for number, value in found.items() if number in usual]
    return list(found.values())


def cells(line, runs):
    """One line: what was measured, both daemons, the ratio of their medians, goal, limit, and the kernel alone."""
    both = [values(runs, daemon, line) for daemon in ("locum", "keepalived")]
    ratio = "-"
    if all(both) and statistics.median(both[1]):
        ratio = f"{statistics.median(both[0]) / statistics.median(both[1]):.2f}"
    return line.title, *map(told, both), ratio, line.goal, line.limit, told([*by_round(runs, "floor", line.floor).values()])


def show(rows, runs):
    lines = [HEAD] + [cells(line, runs) for row in rows for line in row.lines]
    widths = [max(map(len, column)) for column in zip(*lines)]
    print()
    for line in lines:
        title, *rest = line
        columns = [title.ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(rest, widths[1:])]
        print("  ".join(columns))
    failed = {}
    for run in runs:
        if "failed" in run:
            failed.setdefault((run["row"], run["daemon"], run["failed"]), []).append(run)
    for (name, daemon, why), all_such in failed.items():
        print(f"open: {name}, {daemon}, {len(all_such)} times: {why}")
