"""`.ts` files of the UCR and UEA archive as series.

The format, by example: a header, of which most lines are optional, and then one series a line,
with ``:`` between its channels and before its label, and ``?`` or ``NaN`` for a missing value::

    # any text
    @timestamps false
    @univariate false
    @dimensions 2
    @equalLength true
    @seriesLength 3
    @classLabel true Walk Sit
    @data
    1.5,2,?:0,0,1:Walk
    3,2.5,1:1,0,0:Sit

With ``@timestamps true`` a channel is written as ``(time,value),(time,value)``, and with
``@targetLabel true`` the label is a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.series.long import LabelledSeries, from_long
from seqfeat.series.series import to_object_array
from seqfeat.series.time_grid import Step

__all__ = ["read_ts"]

Lines = Iterator[tuple[int, str]]


def read_ts(path: Path, step: Step = "auto") -> LabelledSeries:
    """Return the series of a file and their labels, which are text as it is written there.

    Series with time points are put on a grid, as `from_long` does.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = _content(file)
            header = _read_header(lines, path)
            rows = [_Row(number, line, header) for number, line in lines]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 ({error}). Convert it to UTF-8.") from error
    except _LineError as error:
        raise InputError(f"{path}, {error}") from error
    if not rows:
        raise InputError(f"{path} holds no series; a .ts file has them after the line @data.")
    labels = np.asarray([row.label for row in rows]) if header.has_labels else None
    if header.has_times:
        return LabelledSeries(_on_a_grid(rows, step, path), labels)
    arrays = [row.values for row in rows]
    is_regular = header.is_equal is not False and len({len(array) for array in arrays}) == 1
    return LabelledSeries(np.stack(arrays) if is_regular else to_object_array(arrays), labels)


class _LineError(InputError):
    """What is wrong with a line, beginning with ``"line 7"``."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(f"line {number}{problem}")


def _content(file: Iterable[str]) -> Lines:
    """Yield the lines that are neither empty nor comments, with their numbers."""
    for number, line in enumerate(file, 1):
        line = line.strip()
        if line and not line.startswith(("#", "%")):
            yield number, line


# The header


@dataclass
class _Header:
    """What the header says; None where it says nothing.

    Attributes
    ----------
    n_channels : int or None
        The number of channels, if need be from the first series.
    length, whose_length : int and text
        The length that all series must have, and what says so.
    classes : list of text
        The words of ``@classLabel``; a label with spaces is several of them.
    """

    has_times: bool = False
    n_channels: int | None = None
    is_equal: bool | None = None
    length: int | None = None
    whose_length: str = "@seriesLength is"
    has_classes: bool | None = None
    has_targets: bool = False
    classes: list[str] = field(default_factory=list)

    @property
    def has_labels(self) -> bool:
        return bool(self.has_classes) or self.has_targets


def _read_header(lines: Lines, path: Path) -> _Header:
    header = _Header()
    for number, line in lines:
        if not line.startswith("@"):
            raise _LineError(
                number,
                f" is {line[:40]!r}, but the header has not ended; lines of a header start with @, "
                "and the line @data must stand before the first series.",
            )
        key, *words = line[1:].split()
        key = key.lower()
        if key == "data":
            return header
        _read_tag(header, key, words, number)
    raise InputError(f"{path} has no line @data; a .ts file has its series after that line.")


def _read_tag(header: _Header, key: str, words: list[str], number: int) -> None:
    """Add a line of the header to it; tags that say nothing about the series are passed over."""
    if key == "timestamps":
        header.has_times = _boolean(key, words, number)
    elif key == "univariate":
        if _boolean(key, words, number) and header.n_channels is None:
            header.n_channels = 1
    elif key in ("dimension", "dimensions"):
        header.n_channels = _integer(key, words, number)
    elif key == "equallength":
        header.is_equal = _boolean(key, words, number)
    elif key == "serieslength":
        header.length = _integer(key, words, number)
    elif key == "classlabel":
        header.has_classes, header.classes = _boolean(key, words, number), words[1:]
    elif key == "targetlabel":
        header.has_targets = _boolean(key, words, number)
        header.has_classes = bool(header.has_classes) and not header.has_targets


def _boolean(key: str, words: list[str], number: int) -> bool:
    value = words[0].lower() if words else ""
    if value not in ("true", "false"):
        raise _LineError(number, f": @{key} is {value!r}; it must be true or false. Correct it.")
    return value == "true"


def _integer(key: str, words: list[str], number: int) -> int:
    value = words[0] if words else ""
    if not value.isdecimal() or int(value) < 1:
        raise _LineError(
            number, f": @{key} is {value!r}; it must be an integer of at least 1. Correct it."
        )
    return int(value)


# The series


class _Row:
    """One series: its values of shape (n_timesteps, n_channels), or its `table`, and its label."""

    def __init__(self, number: int, line: str, header: _Header) -> None:
        self.number = number
        # Times of day have colons, too.
        fields = re.split(r":(?![^()]*\))" if header.has_times else ":", line)
        fields, self.label = _split_label(number, [one.strip() for one in fields], header)
        if header.has_times:
            self.table = _read_times(number, fields)
            _check_length(number, len(self.table), header)
        else:
            self.values = _read_channels(number, fields)
            _check_length(number, len(self.values), header)


def _split_label(number: int, fields: list[str], header: _Header) -> tuple[list[str], Any]:
    """Return the channels and the label, or None; the first series may complete the header."""
    if header.has_classes is None and not header.has_targets:
        if header.n_channels is None:
            raise _LineError(
                number,
                f" has {len(fields)} parts separated by ':', and the header does not say whether "
                "the last one is a label. Add the line '@classLabel true', or false, to it.",
            )
        header.has_classes = len(fields) > header.n_channels
    if header.n_channels is None:
        header.n_channels = max(1, len(fields) - header.has_labels)
    if len(fields) != header.n_channels + header.has_labels:
        label = " and a label" if header.has_labels else " and no label"
        raise _LineError(
            number,
            f" has {len(fields)} parts separated by ':', and must have {header.n_channels} "
            f"channels{label}, as the header or the first series has. Correct the line, or "
            "@dimensions, @univariate or @classLabel in the header.",
        )
    if not header.has_labels:
        return fields, None
    *channels, label = fields
    if header.has_targets:
        return channels, _numbers(number, label, "@targetLabel")[0]
    _check_class(number, label, header.classes)
    return channels, label


def _check_class(number: int, label: str, classes: list[str]) -> None:
    words = label.split()
    if not words:
        raise _LineError(number, " has no label after its last ':'. Add it, or drop the series.")
    starts = range(len(classes) - len(words) + 1)
    if classes and not any(classes[start : start + len(words)] == words for start in starts):
        raise _LineError(
            number,
            f" has the label {label!r}; @classLabel lists {' '.join(classes[:20])}. Correct the "
            "label, or add it to the list.",
        )


def _numbers(number: int, text: str, what: str) -> list[float]:
    """Return numbers separated by commas, with NaN for question marks."""
    words = text.split(",")
    for place, word in enumerate(words):
        try:
            words[place] = np.nan if word.strip() == "?" else float(word)  # type: ignore[call-overload]
        except ValueError as error:
            raise _not_a_number(number, word, place, what) from error
    if "_" in text:  # Python's own notation, 1_000, is none of this format.
        place = next(index for index, word in enumerate(text.split(",")) if "_" in word)
        raise _not_a_number(number, text.split(",")[place], place, what)
    return words  # type: ignore[return-value]


def _not_a_number(number: int, word: str, place: int, what: str) -> _LineError:
    value = f"{word.strip()[:40]!r}" if word.strip() else "nothing"
    return _LineError(
        number,
        f" has {value} where a number is due, in {what} at position {place}. Write a number, or ? "
        "for a missing value.",
    )


def _read_channels(number: int, fields: list[str]) -> NDArray[np.float64]:
    channels = [_numbers(number, text, f"channel {index}") for index, text in enumerate(fields)]
    for index, channel in enumerate(channels):
        if len(channel) != len(channels[0]):
            raise _LineError(
                number,
                f" has {len(channels[0])} timesteps in channel 0 and {len(channel)} in channel "
                f"{index}; all channels of a series must be as long. Write ? for missing values.",
            )
    return np.array(channels).T


def _check_length(number: int, length: int, header: _Header) -> None:
    """Check that a series is as long as the header says; the first one may complete it."""
    if not header.is_equal:
        return
    if header.length is None:
        header.length, header.whose_length = length, f"the series of line {number} has"
    if length != header.length:
        raise _LineError(
            number,
            f" has {length} timesteps, but {header.whose_length} {header.length}, and the header "
            "says @equalLength true. Correct the line, or write @equalLength false.",
        )


# Time points

PAIR = re.compile(r"\(([^,()]+),([^,()]+)\)")


def _read_times(number: int, fields: list[str]) -> pd.DataFrame:
    """Return the channels of one series as columns, by time point."""
    return pd.DataFrame(
        {index: _read_timed_channel(number, index, text) for index, text in enumerate(fields)}
    )


def _read_timed_channel(number: int, index: int, text: str) -> pd.Series[float]:
    pairs = PAIR.findall(text)
    joined = ",".join(f"({time},{value})" for time, value in pairs)
    if not pairs or joined != re.sub(r"\)\s*,\s*\(", "),(", text):
        raise _LineError(
            number,
            f": channel {index} is {text[:60]!r}; with @timestamps true it must be (time,value) "
            "for each time point, separated by commas. Correct it, or write @timestamps false.",
        )
    times = [time.strip() for time, _ in pairs]
    values = [_numbers(number, value, f"channel {index}")[0] for _, value in pairs]
    channel = pd.Series(values, index=_time_points(number, times))
    if not channel.index.is_unique:
        time = times[int(np.argmax(channel.index.duplicated()))]
        raise _LineError(
            number, f": channel {index} has the time {time} twice. Keep one value for each time."
        )
    return channel


def _time_points(number: int, times: list[str]) -> pd.Index[Any]:
    """Return time points, which are all numbers or all dates."""
    try:
        return pd.Index([float(time) for time in times])
    except ValueError:
        pass
    try:
        return pd.Index(pd.to_datetime(times, format="ISO8601"))
    except (ValueError, OverflowError) as error:
        raise _LineError(
            number,
            f": its times cannot be read ({error}). Write numbers, or dates such as 2024-05-31 "
            "13:30:00.",
        ) from error


def _on_a_grid(rows: list[_Row], step: Step, path: Path) -> NDArray[np.object_]:
    """Return series with time points as `from_long` does."""
    try:
        table = pd.concat({row.number: row.table for row in rows}, names=["line", "time"])
        channels = [f"channel {index}" for index in table.columns]
        table = table.set_axis(channels, axis=1).reset_index()
        X = from_long(table, "line", "time", channels, step=step).X
    except (InputError, TypeError) as error:
        raise InputError(f"{path}, whose lines count as series: {error}") from error
    return to_object_array(list(X))
