"""The house: which file of the package imports which, as a graph and as a picture.

    python -m tests.house

draws ``.github/house.svg`` from the imports (`make house`). A test compares the picture with the
imports, so that it cannot go stale, and others check their direction.
"""

import ast
from functools import cache
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline" / "seqfeat"
PICTURE = ROOT / ".github" / "house.svg"

ROOMS = {
    "version": "the version",
    "exceptions": "errors and warnings",
    "runtime": "devices, threads, processes, files",
    "series": "converts and scales the input",
    "sklearn_compat": "what differs between scikit-learn's versions",
    "nn": "the network, and its compiled kernels",
    "inference": "applies a trained network to series",
    "training": "plans a fit, and trains",
    "autoencoder": "LSTMAutoencoder",
    "pipeline": "make_classifier, a pipeline's parts",
    "datasets": "Japanese Vowels",
    "distributed": "one fit on several processes",
    "saving": "files, cards, ONNX",
    "adapters": "aeon and sktime",
    "cluster": "Dask",
    "inspection": "why a model predicts what it predicts",
    "display": "plots",
    "report": "a report as one HTML file",
    "cli": "the command line",
}
"""The rooms, from the bottom to the top: each imports only what comes before it."""

HIDDEN = {"version", "exceptions", "__init__", "__main__"}
"""What the picture leaves out: everyone imports these, or nobody."""


def sources():
    """Return all files of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    """Return a file's dotted name within the package, such as ``nn.kernels.program``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(name):
    return name.partition(".")[0]


@cache
def imported_names(path):
    """Return the dotted names that a file imports, also for types and within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
            names |= {one.value for one in node.args if isinstance(one, ast.Constant)}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def imports():
    """Return the graph: for each file, by name, the files of the package that it imports."""
    known = {name_of(path) for path in sources()}
    graph = {}
    for path in sources():
        found = set()
        for name in imported_names(path):
            parts = name.split(".")
            if parts[0] != "seqfeat":
                continue
            own = [".".join(parts[1:stop]) for stop in range(len(parts), 1, -1)]
            # A name that is no module is defined in the one before it, or in the package's own.
            found.add(next((module for module in own if module in known), "__init__"))
        graph[name_of(path)] = found - {name_of(path)}
    return graph


def room_imports():
    """Return the graph of the rooms."""
    graph = {}
    for name, found in imports().items():
        graph.setdefault(room_of(name), set()).update(map(room_of, found))
    return {room: found - {room} for room, found in graph.items()}


# The picture

BOX = 236, 56
GAP = 26, 50
MARGIN = 28


def shown_arrows():
    """Return the rooms' imports, without those that other arrows imply."""
    graph = {room: found - HIDDEN for room, found in room_imports().items() if room not in HIDDEN}

    @cache
    def below(room):
        return set().union(graph[room], *map(below, graph[room]))

    return {
        room: {other for other in found if not any(other in below(mid) for mid in found)}
        for room, found in graph.items()
    }


def levels(graph):
    """Return each room's height above the lowest."""

    @cache
    def level(room):
        return 1 + max(map(level, graph[room]), default=-1)

    found = {room: level(room) for room in graph}
    for room in graph:
        users = [found[other] for other in graph if room in graph[other]]
        # Where nothing is below, right under whoever needs it.
        if not graph[room] and users and min(users) > 1:
            found[room] = min(users) - 1
    return found


def draw():
    """Return the picture as SVG."""
    arrows = shown_arrows()
    height_of, order = levels(arrows), list(ROOMS)
    rows = [[] for _ in range(max(height_of.values()) + 1)]
    for room in arrows:
        rows[height_of[room]].append(room)
        for other in arrows[room]:
            for between in range(height_of[other] + 1, height_of[room]):
                # An arrow passes here, between the boxes.
                rows[between].append((room, other))

    def column(one):
        if isinstance(one, str):
            return order.index(one)
        return (order.index(one[0]) + order.index(one[1])) / 2 + 0.5

    for row in rows:
        row.sort(key=column)

    def width_of(one):
        return BOX[0] if isinstance(one, str) else 0

    widths = [sum(map(width_of, row)) + (len(row) - 1) * GAP[0] for row in rows]
    total_width = 2 * MARGIN + max(widths)
    total_height = 2 * MARGIN + len(rows) * BOX[1] + (len(rows) - 1) * GAP[1]
    place = {}
    for number, (row, width) in enumerate(zip(rows, widths, strict=True)):
        left = (total_width - width) / 2
        top = total_height - MARGIN - BOX[1] - number * (BOX[1] + GAP[1])
        for one in row:
            place[one] = left + width_of(one) / 2, top
            left += width_of(one) + GAP[0]
    paths = []
    for room in arrows:
        for other in sorted(arrows[room]):
            between = [place[one] for row in reversed(rows) for one in row if one == (room, other)]
            paths.append(_path([place[room], *between, place[other]]))
    boxes = [_box(room, *place[room]) for room in arrows]
    return HEAD.format(width=total_width, height=total_height) + "\n".join(
        [*paths, *boxes, "</svg>", ""]
    )


HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>The packages of seqfeat; each imports only those below it</title>
<style>
text {{ font-family: system-ui, sans-serif; text-anchor: middle; fill: #1b2733 }}
.name {{ font-size: 15px; font-weight: 600 }}
.what {{ font-size: 11px; fill: #46586b }}
.room {{ fill: #eef3f8; stroke: #5b7a99; stroke-width: 1.2 }}
path {{ fill: none; stroke: #8aa0b6; stroke-width: 1.2 }}
</style>
<defs><marker id="head" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">
<polygon points="0,0 9,4 0,8" fill="#8aa0b6"/></marker></defs>
<rect width="{width}" height="{height}" fill="white"/>
"""


def _path(points):
    """Return an arrow from the bottom of the first box to the top of the last."""
    (x, y), *rest = points
    # Apart from each other where several arrive or leave.
    x, y = x + (rest[0][0] - x) / 14, y + BOX[1]
    parts = [f"M{x:.0f},{y:.0f}"]
    for number, (to_x, to_y) in enumerate(rest, 1):
        is_last = number == len(rest)
        to_x, to_y = to_x + (x - to_x) / 14 * is_last, to_y - is_last
        bend = (to_y - y) / 2
        parts.append(f"C{x:.0f},{y + bend:.0f} {to_x:.0f},{to_y - bend:.0f} {to_x:.0f},{to_y:.0f}")
        x, y = to_x, to_y
        if not is_last:
            y += BOX[1]
            parts.append(f"L{x:.0f},{y:.0f}")
    return f'<path d="{" ".join(parts)}" marker-end="url(#head)"/>'


def _box(room, centre, top):
    name = f"{room}.py" if (PACKAGE / f"{room}.py").exists() else f"{room}/"
    return "\n".join(
        [
            f'<rect class="room" x="{centre - BOX[0] / 2:.0f}" y="{top:.0f}" width="{BOX[0]}" '
            f'height="{BOX[1]}" rx="7"/>',
            f'<text class="name" x="{centre:.0f}" y="{top + 24:.0f}">{escape(name)}</text>',
            f'<text class="what" x="{centre:.0f}" y="{top + 42:.0f}">{escape(ROOMS[room])}</text>',
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(f"Drew {PICTURE.relative_to(ROOT)}.")
