# SPDX-License-Identifier: GPL-2.0
"""Tables: for the terminal, and those of Documentation/performance.rst."""

import pathlib
import re

import join


def number(value):
    """Four digits are enough."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def verdict(row):
    """Returns goal and whether it is met."""
    if "goal" not in row:
        return "", ""
    return number(row["goal"]), "yes" if row["met"] else "NO"


def cells(row):
    """Returns row, corpus, side, peer, both values, ratio, goal, met."""
    ratio = row.get("ratio")
    return [row["row"], row["corpus"], row["side"], row.get("peer_name", ""), row["unit"],
            number(row["swapvma"]), number(row.get("peer")),
            f"{ratio:.3f}" if ratio is not None else "", *verdict(row)]


# Of each profile.
FUNCTIONS = 12

HEAD = ["row", "corpus", "side", "peer", "unit", "swapvma", "peer", "ratio", "goal", "met"]


def terminal(rows):
    """All rows, in columns."""
    lines = [HEAD] + [cells(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in lines)


def csv_table(head, lines, widths):
    """A csv-table of reStructuredText."""
    out = [".. csv-table::", f"   :header: {', '.join(quote(cell) for cell in head)}",
           f"   :widths: {', '.join(map(str, widths))}", ""]
    out += ["   " + ", ".join(quote(cell) for cell in line) for line in lines]
    return "\n".join(out)


def quote(cell):
    """One field."""
    return f'"{cell}"' if "," in cell or cell == "" else cell


def goal_table(rows):
    """The rows that have a goal."""
    lines = []
    for row in rows:
        if "goal" in row:
            one = cells(row)
            value = one[7] if row["goal_of"] == "ratio" else one[5]
            lines.append([one[0], one[1], one[3] or "none", value, one[8], one[9]])
    return csv_table(["Row", "Corpus", "Against", "Is", "At most", "Met"], lines,
                     [30, 12, 22, 10, 10, 8])


def peer_table(rows):
    """Ratios on C source, a column for each peer."""
    pairs = [(side, peer) for side, peers in join.PEERS.items() for peer in peers]
    names = []
    ratios = {}
    for row in rows:
        pair = (row["side"], row.get("peer_name"))
        if pair in pairs and row["corpus"] in ("c-source", "zero") and row.get("ratio"):
            name = row["row"] if row["corpus"] == "c-source" else row["row"] + ", zero"
            if "CPU" in name or name.startswith("slope"):
                continue
            if row["corpus"] == "zero" and not name.startswith("first touch"):
                continue
            names += [name] if name not in names else []
            ratios[name, pair] = f"{row['ratio']:.2f}"
    lines = [[name] + [ratios.get((name, pair), "") for pair in pairs] for name in names]
    head = ["Row"] + [f"{side.removeprefix('swapvma ')} / {peer}" for side, peer in pairs]
    return csv_table(head, lines, [30] + [9] * len(pairs))


def corpus_table(rows):
    """Ratios against the main peer, a column for each corpus."""
    corpora = ["zero", "same-filled", "c-source", "elf", "random", "mixed"]
    names, ratios = [], {}
    for row in rows:
        if (row["side"], row.get("peer_name")) != join.MAIN or row["corpus"] not in corpora:
            continue
        if not row["row"].startswith(("swap", "stored", "pool", "first store")) or \
                "codec" in row["row"]:
            continue
        names += [row["row"]] if row["row"] not in names else []
        if row.get("ratio") is not None:
            ratios[row["row"], row["corpus"]] = f"{row['ratio']:.2f}"
    lines = [[name] + [ratios.get((name, corpus), "") for corpus in corpora] for name in names]
    return csv_table(["Row"] + corpora, lines, [30] + [11] * len(corpora))


def other_table(rows):
    """What has neither goal nor peer, and latencies."""
    lines = []
    for row in rows:
        one = cells(row)
        if "CPU" in row["row"]:
            lines.append([one[0], one[4], one[5], one[6], one[7]])
        elif "peer" not in row and row["side"] in ("swapvma lz4", "swapvma test"):
            lines.append([one[0], one[4], one[5], "", ""])
    return csv_table(["Row", "Unit", "swapvma", "zram", "Ratio"], lines, [34, 18, 12, 12, 10])


def plain_name(symbol):
    """The identifiers of a mangled name of Rust, and any other name as it is."""
    if not symbol.startswith("_R"):
        return symbol
    rest = re.sub(r"(?<=[CNMXIt])s[0-9A-Za-z]*_", "", symbol[2:])
    parts = []
    while found := re.search(r"[0-9]+", rest):
        length, start = int(found.group()), found.end()
        part = rest[start:start + length].removeprefix("_")
        if not re.fullmatch(r"[A-Za-z_]\w*", part) or len(part) < length - 1:
            rest = rest[start:]
            continue
        parts.append(part)
        rest = rest[start + length:]
    skipped = ("core", "ops", "kernel", "swapvma")
    return "::".join(part for part in parts if part not in skipped) or symbol


def profile_table(measured):
    """The functions with the most instructions, for swapvma and its peer."""
    parts = []
    wanted = [("swapout", "c-source", join.MAIN), ("swapout", "zero", join.MAIN),
              ("swapout in runs of 1", "zero", join.MAIN), ("swapin", "c-source", join.MAIN),
              ("fault-around", "c-source", join.MAIN), ("swapout", "c-source", join.RAW),
              ("swapin", "c-source", join.RAW)]
    for what, corpus, pair in wanted:
        columns = []
        for name in pair:
            costs = {}
            for (who, row, where), one in measured.items():
                head, _, symbol = row.rpartition(", ")
                if who == name and where == corpus and head == f"profile, {what}":
                    symbol = plain_name(symbol)
                    costs[symbol] = costs.get(symbol, 0) + one["value"]
            columns.append(sorted(((cost, name) for name, cost in costs.items()),
                                  reverse=True)[:FUNCTIONS])
        if not columns[0]:
            continue
        lines = []
        for i in range(max(map(len, columns))):
            line = []
            for column in columns:
                line += [f"``{column[i][1]}``", f"{column[i][0]:.0f}"] \
                    if i < len(column) else ["", ""]
            lines.append(line)
        parts.append(f"{what.capitalize()}, {corpus}, {pair[0]} and {pair[1]}:\n\n" + csv_table(
            [pair[0], "insn/page", pair[1], "insn/page"], lines, [35, 12, 35, 12]))
    return "\n\n".join(parts)


def rewrite(path, rows, measured):
    """Replaces what is between ".. begin NAME" and ".. end NAME"."""
    tables = {"goals": goal_table(rows), "peers": peer_table(rows),
              "corpora": corpus_table(rows), "others": other_table(rows),
              "profile": profile_table(measured)}
    text = pathlib.Path(path).read_text(encoding="utf-8")
    for name, table in tables.items():
        before, begin, rest = text.partition(f".. begin {name}\n")
        _, end, after = rest.partition(f".. end {name}\n")
        if not begin or not end:
            raise SystemExit(f"{path} has no place for the table {name}")
        text = f"{before}{begin}\n{table}\n\n{end}{after}"
    pathlib.Path(path).write_text(text, encoding="utf-8")
