# SPDX-License-Identifier: GPL-2.0
"""Plots, as SVG, of nothing but what is in the rows."""

import math
from xml.sax.saxutils import escape

import join

COLOURS = ["#3366aa", "#cc7722", "#338855", "#884499"]
MISSED = "#bb3333"


class Canvas:
    """Collects the elements of one picture."""

    def __init__(self, width, height, title):
        self.size = (width, height)
        self.parts = []
        self.text(10, 20, title, size=15)

    def text(self, x, y, text, *, size=11, anchor="start"):
        """Text whose base line begins, ends or is centred at x, y."""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
                          f'text-anchor="{anchor}">{escape(text)}</text>')

    def line(self, points, colour="#999", width=1, dashes=""):
        """A line through points."""
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(f'<polyline points="{where}" fill="none" stroke="{colour}" '
                          f'stroke-width="{width}"{dash}/>')

    def bar(self, x, y, width, height, colour):
        """A filled rectangle."""
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" '
                          f'height="{height}" fill="{colour}"/>')

    def svg(self):
        """The file."""
        width, height = self.size
        body = "\n".join(self.parts)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" font-family="sans-serif">\n'
                f'<rect width="{width}" height="{height}" fill="white"/>\n{body}\n</svg>\n')


def bars(title, lines):
    """A bar for each (label, value, goal); the goal is a mark."""
    left, scale, most = 400, 300, 2.0
    canvas = Canvas(left + int(scale * most) + 80, 60 + 18 * len(lines), title)
    bottom = 45 + 18 * len(lines)
    for tick in (0, 0.5, 1, 1.5, 2):
        x = left + scale * tick
        canvas.line([(x, 34), (x, bottom)], "#ccc" if tick != 1 else "#555")
        canvas.text(x, bottom + 12, f"{tick:g}", anchor="middle")
    for i, (label, value, goal) in enumerate(lines):
        y = 40 + 18 * i
        missed = goal is not None and value > goal
        canvas.text(left - 6, y + 10, label, anchor="end")
        canvas.bar(left, y, scale * min(value, most), 12, MISSED if missed else COLOURS[0])
        canvas.text(left + scale * min(value, most) + 4, y + 10, f"{value:.2f}")
        if goal is not None:
            x = left + scale * min(goal, most)
            canvas.line([(x, y - 2), (x, y + 14)], "#000", 2)
    return canvas.svg()


class Axes:
    """Places points of two logarithmic or linear scales."""

    def __init__(self, canvas, box, xs, ys):
        self.canvas, self.box = canvas, box
        self.xs, self.ys = xs, ys

    def at(self, x, y):
        """Where a point is."""
        left, top, width, height = self.box
        return (left + width * share(x, *self.xs), top + height * (1 - share(y, *self.ys)))

    def grid(self, xticks, yticks):
        """Ticks are (value, label)."""
        left, top, width, height = self.box
        for value, label in xticks:
            x = self.at(value, self.ys[0])[0]
            self.canvas.line([(x, top), (x, top + height)], "#ddd")
            self.canvas.text(x, top + height + 14, label, anchor="middle")
        for value, label in yticks:
            y = self.at(self.xs[0], value)[1]
            self.canvas.line([(left, y), (left + width, y)], "#ddd")
            self.canvas.text(left - 5, y + 4, label, anchor="end")


def share(value, low, high, logarithmic):
    """Where value is between low and high, from 0 to 1."""
    if logarithmic:
        value, low, high = math.log10(value), math.log10(low), math.log10(high)
    return (value - low) / (high - low)


def slope_plot(measured):
    """What a page costs with many, relative to one."""
    curves = []
    for noun, peer in (("regions", "memfd, zram lz4"), ("mappings", "memfd, zram lz4"),
                       ("pages", "anon, zram lz4")):
        for side in ("swapvma lz4", peer):
            for what in ("swapout", "swapin"):
                points = join.curve(measured, side, what, noun)
                if points:
                    curves.append((noun, side, what, points))
    if not curves:
        return None
    top = max(cost / points[0][1] for _, _, _, points in curves for _, cost in points)
    low = min(cost / points[0][1] for _, _, _, points in curves for _, cost in points)
    low = min(0.8, math.floor(10 * low) / 10)
    high = max(1.3, math.ceil(10 * top) / 10)
    canvas = Canvas(760, 500, "Cost of a page, relative to that with one")
    for column, noun in enumerate(("regions", "mappings", "pages")):
        box = (50 + 235 * column, 60, 200, 380)
        axes = Axes(canvas, box, (1, 300000, True), (low, high, False))
        canvas.text(box[0] + 100, 50, noun, anchor="middle", size=13)
        step = 0.1 if high - low < 1.2 else 0.5
        yticks = [low + step * i for i in range(int((high - low) / step + 1.01))]
        axes.grid([(10 ** i, f"1e{i}" if i else "1") for i in range(6)],
                  [(value, f"{value:.1f}") for value in yticks])
        canvas.line([axes.at(1, 1.1), axes.at(300000, 1.1)], "#000", 1, "4 3")
        for which, side, what, points in curves:
            if which == noun:
                ours = side.startswith("swapvma")
                canvas.line([axes.at(count, cost / points[0][1]) for count, cost in points],
                            COLOURS[0 if ours else 1], 2, "" if what == "swapout" else "6 3")
    canvas.text(50, 480, "blue: swapvma; orange: memfd or anonymous memory on zram; "
                         "solid: swapout; dashed: swapin; thin: the goal")
    return canvas.svg()


def latency_plot(rows):
    """Percentiles of a random read fault."""
    curves = {}
    for row in rows:
        head, _, name = row["row"].rpartition(", p")
        if head.startswith("random read fault"):
            tail = 1 - float(name) / 100
            for side, key in (("swapvma lz4", "swapvma"), (row["peer_name"], "peer")):
                curves.setdefault((head, side), []).append((tail, row[key]))
    if not curves:
        return None
    most = max(value for points in curves.values() for _, value in points)
    canvas = Canvas(720, 440, "Random read fault, in medians of the peer (two CPUs)")
    axes = Axes(canvas, (60, 40, 620, 340), (1, 1000, True),
                (0.1, 10 ** math.ceil(math.log10(most)), True))
    axes.grid([(1 / (1 - p), f"{100 * p:g} %") for p in (0, 0.5, 0.9, 0.99, 0.999)],
              [(10 ** i, f"{10 ** i:g}") for i in range(-1, math.ceil(math.log10(most)) + 1)])
    for (head, side), points in curves.items():
        ours, idle = side.startswith("swapvma"), head.endswith("idle")
        canvas.line([axes.at(1 / tail, value) for tail, value in sorted(points, reverse=True)],
                    COLOURS[0 if ours else 1], 2, "6 3" if idle else "")
    canvas.text(60, 420, "blue: swapvma; orange: anonymous memory on zram; "
                         "solid: the other CPU swaps; dashed: it is idle")
    return canvas.svg()


def all_plots(rows, measured):
    """Yields name and text of each."""
    goals = [(f"{row['row']}, {row['corpus']}",
              row["ratio"] if row["goal_of"] == "ratio" else row["swapvma"], row["goal"])
             for row in rows if "goal" in row and not row["row"].startswith("bytes")]
    yield "goals", bars("Rows with a goal: ratio to the peer (the mark is the goal)", goals)
    for name, keep in (("peers", lambda row: row["corpus"] == "c-source"),
                       ("corpora", lambda row: (row["side"], row["peer_name"]) == join.MAIN)):
        lines = [(f"{row['row']}: {row['side']} / {row['peer_name']}" if name == "peers" else
                  f"{row['row']}, {row['corpus']}", row["ratio"], row.get("goal"))
                 for row in rows if row.get("ratio") is not None and keep(row) and
                 row["row"] in ("swapout, runs of 512", "swapin, sequential", "swapin, random",
                                "swapout, clean page again", "stored bytes")]
        yield name, bars("Ratio to the peer, " + ("on C source" if name == "peers" else
                         "lz4, against anonymous memory on zram"), lines)
    for name, text in (("slopes", slope_plot(measured)), ("latency", latency_plot(rows))):
        if text:
            yield name, text
