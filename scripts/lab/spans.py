"""Who held the address, and for how long: from the kernel's events to the numbers of `scripts/faults`."""

COORDINATED_WITHIN = 1.0


def spans(events, began, end, at_first):
    """When one server held the address, as [(from, to)], from its events about it, which go back a little further."""
    found, since = [], began if at_first else None
    for event in events:
        if event["kind"] != "address" or event["at"] > end:
            continue
        if event["added"] and since is None:
            since = event["at"]
        elif not event["added"] and since is not None:
            found.append((since, event["at"]))
            since = None
    found += [(since, end)] if since is not None else []
    return [(max(start, began), stop) for start, stop in found if stop > began]


def both(one, other):
    """When both held it."""
    pairs = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return sorted((start, stop) for start, stop in pairs if start < stop)


def neither(one, other, began, end):
    """How long nobody held it, in seconds."""
    free, last = 0.0, began
    for start, stop in sorted(one + other):
        free += max(0.0, start - last)
        last = max(last, stop)
    return free + max(0.0, end - last)


def holders(held_by, end):
    """Who held it, one after the other: `a b a`, and `nobody` where nobody did at the end."""
    since = sorted((start, name) for name, held in held_by.items() for start, _ in held)
    kept = any(stop >= end for held in held_by.values() for _, stop in held)
    return " ".join([name for _, name in since] + ([] if kept else ["nobody"]))


def judge(one, other, began, end, farewells):
    """(seconds with two holders, the longest coordinated overlap in seconds, seconds with none)."""
    two, overlap = 0.0, 0.0
    for start, stop in both(one, other):
        if any(0 <= start - farewell <= COORDINATED_WITHIN for farewell in farewells):
            overlap = max(overlap, stop - start)
        else:
            two += stop - start
    return two, overlap, neither(one, other, began, end)
