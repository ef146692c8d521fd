"""The table that `scripts/bench` ends with."""

import statistics

HEAD = ("median (least to greatest, runs)", "locum", "keepalived", "ratio", "goal", "limit")


def told(values):
    if not values:
        return "-"
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))}, {len(values)})"


def number(value):
    """Three digits that count, or all before the point."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def cells(line, runs):
    """One line: what was measured, both daemons, the ratio of their medians, goal and limit."""
    title, goal, limit = line
    both = [
        [run["values"][title] for run in runs if run["daemon"] == name and run["values"].get(title) is not None]
        for name in ("locum", "keepalived")
    ]
    ratio = "-"
    if all(both) and statistics.median(both[1]):
        ratio = f"{statistics.median(both[0]) / statistics.median(both[1]):.2f}"
    return title, *map(told, both), ratio, goal, limit


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
