# SPDX-License-Identifier: GPL-2.0
"""The rows: what was measured of swapvma and of a peer, joined, and the goals."""

import json
import sys

# What each kind of region is compared with. The first one is the peer of the
# goals.
PEERS = {
    "swapvma lz4": ["anon, zram lz4", "memfd, zram lz4", "anon, zswap lz4"],
    "swapvma zstd": ["anon, zram zstd"],
    "swapvma uncompressed": ["anon, RAM disk", "userfaultfd", "TTM"],
    "swapvma block": ["anon, RAM disk"],
    "swapvma file": ["file, ext4"],
}
MAIN = ("swapvma lz4", "anon, zram lz4")
RAW = ("swapvma uncompressed", "anon, RAM disk")
TEXT = ("c-source", "elf")
# Rows of what takes as many pages as it takes: the most by which the sides may differ.
ABOUT = {"out and in, memory.max": 0.1}
BUSY = "random read fault, other CPU swaps"


def read(paths):
    """Returns what was measured, by side, row and corpus."""
    measured = {}
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                one = json.loads(line)
                measured[one["side"], one["row"], one["corpus"]] = one
    return measured


def goal_of(row, corpus, ours, peer):
    """Returns the most that the ratio may be, or the value of a row without a peer."""
    goal = None
    if (ours, peer) == MAIN:
        if corpus in TEXT and row.startswith("swapout, runs of"):
            goal = 0.95
        elif corpus in TEXT and row in ("swapin, sequential", "swapin, random", "swapin, zipf"):
            goal = 0.85
        elif corpus in TEXT and "over the codec" in row:
            goal = 0.5
        elif corpus in TEXT and row == "swapout, clean page again":
            goal = 0.1
        elif corpus == "zero" and row.startswith("swapout, runs of"):
            goal = 0.5
        elif row == f"{BUSY}, p99" or row.endswith(("at a limit", "at memory.max")):
            goal = 1.0
    elif (ours, peer) == RAW:
        if row in ("swapout, runs of 64", "swapout, runs of 512", "swapin, sequential",
                   "swapin, random"):
            goal = 0.5
    elif row == "fault-around, a page of it":
        goal = 0.25
    elif row.startswith("munmap wait") and row.endswith("median"):
        goal = 1.0
    elif row == "bytes of table, dense region":
        # The level above the leaves has an eighth of a percent more.
        goal = 8.02
    if row.startswith("slope of "):
        goal = 1.1
    return goal


def make(row, corpus, unit, ours, peer, goal_is_of="ratio"):
    """One object; ours and peer are name, value and pages, peer may be None."""
    result = {"row": row, "corpus": corpus, "unit": unit, "side": ours[0],
              "swapvma": round(ours[1], 4)}
    moved = {"swapvma": ours[2]}
    judged = ours[1]
    if peer:
        ratio = ours[1] / peer[1] if peer[1] else None
        result |= {"peer": round(peer[1], 4), "peer_name": peer[0],
                   "ratio": ratio and round(ratio, 4)}
        moved["peer"] = peer[2]
        if abs(ours[2] - peer[2]) > ABOUT.get(row, 0) * peer[2]:
            sys.exit(f"{row}, {corpus}: {ours[0]} moved {ours[2]} pages, {peer[0]} {peer[2]}")
        if goal_is_of == "ratio":
            judged = ratio
    goal = goal_of(row, corpus, ours[0], peer[0] if peer else None)
    if goal is not None and judged is not None:
        result |= {"goal": goal, "goal_of": goal_is_of if peer else "value",
                   "met": judged <= goal}
    result["pages_moved"] = moved
    return result


def plain(measured):
    """Rows that were measured as they are."""
    for (side, row, corpus), one in measured.items():
        if not side.startswith("swapvma") or row.startswith("profile, "):
            continue
        ours = (side, one["value"], one["pages"])
        found = False
        for name in PEERS.get(side, []):
            peer = measured.get((name, row, corpus))
            if peer:
                found = True
                yield make(row, corpus, one["unit"], ours,
                           (name, peer["value"], peer["pages"]))
        if not found:
            yield make(row, corpus, one["unit"], ours, None)


def over_codec(measured):
    """What is left without the codec, whose cost is the same on both sides."""
    rows = {"swapout": ("swapout, runs of 512", "lz4, compress"),
            "swapin, sequential,": ("swapin, sequential", "lz4, decompress"),
            "swapin, random,": ("swapin, random", "lz4, decompress")}
    for name, (row, codec) in rows.items():
        for corpus in TEXT:
            sides = []
            for side in MAIN:
                one = measured.get((side, row, corpus))
                bare = measured.get(("codec", codec, corpus))
                if one and bare:
                    sides.append((side, one["value"] - bare["value"], one["pages"]))
            if len(sides) == 2:
                yield make(f"{name} over the codec", corpus, "insn/page", *sides)


def around(measured):
    """A page that a fault nearby mapped, against a fault."""
    key = ("swapvma lz4", "refault, sequential, fault-around", "c-source")
    many, one = measured.get(key), measured.get((key[0], "refault, one fault each", key[2]))
    if many and one:
        yield make("fault-around, a page of it", key[2], "insn/page",
                   (key[0], many["value"], many["pages"]),
                   ("swapvma lz4, one fault each", one["value"], one["pages"]))


def curve(measured, side, what, noun):
    """Returns the counts and costs of rows such as "swapin, 100 regions"."""
    points = []
    for (name, row, _), one in measured.items():
        head, _, tail = row.rpartition(", ")
        count, _, last = tail.partition(" ")
        if name == side and head == what and last == noun and count.isdigit():
            points.append((int(count), one["value"]))
    return sorted(points)


def slopes(measured):
    """Cost with as many as there are, over that with one."""
    for noun, name in (("regions", "memfd, zram lz4"), ("mappings", "memfd, zram lz4"),
                       ("pages", "anon, zram lz4")):
        for what in ("swapout", "swapin", "munmap and close"):
            sides = []
            for side in ("swapvma lz4", name):
                points = curve(measured, side, what, noun)
                if len(points) > 1:
                    sides.append((side, points[-1][1] / points[0][1], points[-1][0]))
            if len(sides) == 2:
                yield make(f"slope of {what}, 1 to {sides[0][2]} {noun}", "pattern", "times",
                           sides[0], sides[1], goal_is_of="value")


def join(measured):
    """Returns all rows."""
    rows = list(plain(measured))
    for more in (over_codec, around, slopes):
        rows += more(measured)
    return rows
