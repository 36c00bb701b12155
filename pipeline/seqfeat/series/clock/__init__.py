"""Time points as numbers on a clock: numbers, dates and durations, in the forms that tables have.

A column is read in one way from its first row to its last: by the first of `READINGS` that can
read every row. Which ones can is told by the shapes of the texts, such as ``0000-00-00`` for
``2024-02-29``, and where that leaves more than one possibility, by the numbers in them.

- `texts`: texts by their shapes, and the numbers in them
- `column`: the time points of a table, as a clock, as numbers or as texts
- `numbers`, `dates`: what is written in texts
- `reading`, `readings`: the ways to read a column
- `choice`: the one that reads every row
"""

from seqfeat.series.clock.choice import Readings
from seqfeat.series.clock.column import Clock, TimeColumn
from seqfeat.series.clock.reading import Reading

__all__ = ["Clock", "Reading", "Readings", "TimeColumn"]
