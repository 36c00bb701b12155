"""Tables in Markdown."""

from collections.abc import Iterable


def markdown(header: list[str], lines: Iterable[list[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"


def unique(values: Iterable) -> list:
    return list(dict.fromkeys(values))
