"""Parquet files, and folders of them, as pandas frames."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError
from seqfeat.series.files.names import as_names
from seqfeat.series.numbers import frame_from_arrow

__all__ = ["ParquetTable"]

NO_PYARROW = "Parquet needs pyarrow: pip install 'seqfeat[parquet]'"
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""The name of a folder whose rows have no value in the column that the folder stands for."""
INDEX_WITHOUT_NAME = re.compile(r"__index_level_\d+__")


class ParquetTable:
    """A Parquet file, or a folder of such files in the order of their names. Needs pyarrow.

    The names of folders may hold columns, as in ``id=7/part-0.parquet``. Those among the keys are
    read, as numbers only where `as_names` says so.
    """

    has_dtypes = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the whole table, by default with all columns."""
        tables = [
            self._complete(part, rows, keys, columns)
            for part in self._parts
            for rows in part.batches(self._physical(columns))
        ]
        return _as_frame(tables, keys) if tables else self.empty(keys)

    def empty(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return the columns and the index of the table, without any rows."""
        part = self._parts[0]
        rows = _Rows(part.schema.empty_table(), 0)
        return _as_frame([self._complete(part, rows, keys, None)], keys)

    def chunks(
        self,
        n_rows: int,
        keys: Sequence[str],
        columns: Sequence[str] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in chunks of at most `n_rows`; the file's own dtypes apply.

        A row whose cells are lists counts as many times as they are long on average.
        """
        n_rows = max(1, int(n_rows / self._values_per_row))
        tables = (
            self._complete(part, rows, keys, columns)
            for part in self._parts
            for rows in part.batches(self._physical(columns), n_rows)
        )
        for group in _group(tables, n_rows):
            yield _as_frame(group, keys)

    @cached_property
    def holds_lists(self) -> bool:
        """Whether there are cells that hold lists."""
        return any(map(_import_pyarrow().types.is_nested, self._schema.values()))

    @cached_property
    def _parts(self) -> list[_Part]:
        """The files, of which there is at least one."""
        pyarrow = _import_pyarrow()
        paths = [self.path]
        if self.path.is_dir():
            # Hidden files and folders are what other programs have not finished, or keep apart.
            paths = [
                path
                for path in sorted(self.path.rglob("*"))
                if path.suffix.lower() == ".parquet"
                and path.is_file()
                and not any(name[0] in "._" for name in path.relative_to(self.path).parts)
            ]
        if not paths:
            raise InputError(
                f"{self.path} has no .parquet files but hidden ones, whose names, or those of "
                "their folders, begin with '.' or '_'. Rename them."
            )
        parts = [_Part(pyarrow, path) for path in paths]
        for part, values in zip(parts, _folder_columns(self.path, paths), strict=True):
            part.folders = {name: one for name, one in values.items() if name not in parts[0].names}
        return parts

    @cached_property
    def _schema(self) -> dict[str, Any]:
        """The columns that all files have, by name, and their common types."""
        first, *others = self._parts
        types = first.plain_types()
        for part in others:
            own = part.plain_types()
            if set(own) != set(types):
                missing, extra = sorted(set(types) - set(own)), sorted(set(own) - set(types))
                raise InputError(
                    f"{part.path} has not the columns of {first.path}: it lacks {missing} and has "
                    f"{extra} in addition. All files of a folder must have the same columns; "
                    "write them again, or move the file elsewhere."
                )
            for name, type_ in own.items():
                if type_ != types[name]:
                    types[name] = _common_type(name, types[name], type_, first, part)
        return types

    @cached_property
    def _folder_types(self) -> dict[str, Any]:
        """The columns that the names of the folders hold, and their types."""
        pyarrow = _import_pyarrow()
        names = {name: None for part in self._parts for name in part.folders}
        return {
            name: pyarrow.array([part.folders.get(name) for part in self._parts]).type
            for name in names
        }

    @cached_property
    def _values_per_row(self) -> float:
        """How long the lists of a row are on average; 1 if no column holds any."""
        if not self.holds_lists:
            return 1.0
        n_values = np.sum([part.n_values() for part in self._parts], axis=0)
        n_rows: int = sum(part.metadata.num_rows for part in self._parts)
        return max(1.0, float(n_values.max()) / max(1, n_rows))

    def _physical(self, columns: Sequence[str] | None) -> list[str]:
        """Return the names of the columns, or those of them that are asked for, in the files."""
        virtual = self._parts[0].index_ranges
        names = [name for name in self._schema if name not in virtual]
        return [name for name in names if columns is None or name in columns]

    def _complete(
        self, part: _Part, rows: _Rows, keys: Sequence[str], columns: Sequence[str] | None
    ) -> Any:
        """Return rows of a file as they are in the whole table.

        That is, with the types that all files have in common, and with what is no column of the
        file: an index that is a range, and the names of its folders.
        """
        pyarrow = _import_pyarrow()
        arrays, fields = [], []
        for name, type_ in {**self._schema, **self._folder_types}.items():
            if name in self._schema:
                is_wanted = columns is None or name in columns
            else:
                is_wanted = name in keys if columns is None else name in columns
            if not is_wanted:
                continue
            if name in part.index_ranges:
                array = pyarrow.array(part.index_ranges[name][rows.start : rows.stop])
            elif name in self._schema:
                with part.errors():
                    array = _cast(rows.table[name], type_)
            else:
                array = pyarrow.array([part.folders.get(name)] * len(rows.table), type_)
            arrays.append(array)
            fields.append(pyarrow.field(name, type_))
        schema = pyarrow.schema(fields, metadata=self._parts[0].pandas_metadata())
        return pyarrow.Table.from_arrays(arrays, schema=schema)


@dataclass(frozen=True)
class _Rows:
    """Consecutive rows of a file, from the row `start` on."""

    table: Any
    start: int

    @property
    def stop(self) -> int:
        return self.start + len(self.table)


@dataclass
class _Part:
    """One file.

    Attributes
    ----------
    folders : dict
        The columns that the names of its folders hold, and their values.
    index_ranges : dict
        Named ranges that pandas kept as an index, which are no columns of the file.
    """

    pyarrow: Any
    path: Path
    folders: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.errors(), self._open() as file:
            self.schema, self.metadata = file.schema_arrow, file.metadata
        index = self._pandas().get("index_columns", [])
        self.index_ranges = {
            level["name"]: range(level["start"], level["stop"], level["step"])
            for level in index
            if isinstance(level, dict) and level["name"] is not None
        }
        self.names = {*self.schema.names, *self.index_ranges}

    def _open(self) -> Any:
        return self.pyarrow.parquet.ParquetFile(self.path, pre_buffer=False)

    def _pandas(self) -> dict[str, Any]:
        """Return what pandas noted down about the frame, if it wrote the file."""
        metadata = (self.schema.metadata or {}).get(b"pandas", b"{}")
        return json.loads(metadata)  # type: ignore[no-any-return]

    def pandas_metadata(self) -> dict[bytes, bytes] | None:
        """Return the same, with ranges that have a name as any other index, and without others."""
        pandas = self._pandas()
        if not pandas:
            return None
        levels = [
            level["name"] if isinstance(level, dict) else level for level in pandas["index_columns"]
        ]
        pandas["index_columns"] = [level for level in levels if level is not None]
        int64 = {"pandas_type": "int64", "numpy_type": "int64", "metadata": None}
        pandas["columns"] += [{"name": one, "field_name": one} | int64 for one in self.index_ranges]
        return {b"pandas": json.dumps(pandas).encode()}

    def plain_types(self) -> dict[str, Any]:
        """Return the types of the columns, without categories and other ways to write text."""
        for name in self.schema.names:
            if self.schema.names.count(name) > 1:
                raise InputError(
                    f"{self.path}: more than one column is called {name!r}. Rename them."
                )
        types = {one.name: _plain(self.pyarrow, one.type) for one in self.schema}
        return types | dict.fromkeys(self.index_ranges, self.pyarrow.int64())

    def batches(self, names: list[str], n_rows: int | None = None) -> Iterator[_Rows]:
        """Yield the rows, whole or at most `n_rows` at once."""
        size = max(1, self.metadata.num_rows) if n_rows is None else n_rows
        start = 0
        with self.errors(), self._open() as file:
            # Nothing is read ahead where memory matters; or it would grow with the file.
            for batch in file.iter_batches(size, columns=names, use_threads=n_rows is None):
                table = self.pyarrow.Table.from_batches([batch])
                yield _Rows(table, start)
                start += len(table)

    def n_values(self) -> list[int]:
        """Return the number of values of each column, where all elements of lists count."""
        groups = [self.metadata.row_group(index) for index in range(self.metadata.num_row_groups)]
        return [
            sum(group.column(column).num_values for group in groups)
            for column in range(self.metadata.num_columns)
        ]

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Name the file in errors of pyarrow."""
        try:
            yield
        except (self.pyarrow.ArrowException, OSError) as error:
            raise InputError(
                f"{self.path} is not a Parquet file ({str(error).strip()}). It may be damaged, or "
                "have another format; write it again."
            ) from error


def _import_pyarrow() -> Any:
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        raise ImportError(NO_PYARROW) from error


def _folder_columns(root: Path, paths: list[Path]) -> list[dict[str, Any]]:
    """Return the columns that the names of the folders between root and file hold, by file."""
    texts = []
    for path in paths:
        folders = path.relative_to(root).parts[:-1] if path != root else ()
        pairs = [folder.partition("=") for folder in folders if "=" in folder]
        texts.append(
            {
                unquote(name): None if value == NO_VALUE else unquote(value)
                for name, _, value in pairs
            }
        )
    names = {name: None for row in texts for name in row}
    values: list[dict[str, Any]] = [{} for _ in paths]
    for name in names:
        column = pd.Series([row.get(name) for row in texts], dtype=object)
        for row, value in zip(values, as_names(column).tolist(), strict=True):
            row[name] = None if pd.isna(value) else value
    return values


def _plain(pyarrow: Any, type_: Any) -> Any:
    """Return the type of the values themselves, for columns that pyarrow would not compare."""
    if pyarrow.types.is_dictionary(type_):
        return _plain(pyarrow, type_.value_type)
    is_view = getattr(pyarrow.types, "is_string_view", None)
    return pyarrow.string() if is_view is not None and is_view(type_) else type_


def _common_type(name: str, type_: Any, other: Any, first: _Part, part: _Part) -> Any:
    """Return a type that holds the values of both files."""
    pyarrow = first.pyarrow
    schemas = [pyarrow.schema([(name, one)]) for one in (type_, other)]
    try:
        return pyarrow.unify_schemas(schemas, promote_options="permissive").field(name).type
    except pyarrow.ArrowException as error:
        raise InputError(
            f"column {name!r} is {other} in {part.path} and {type_} in {first.path}. Write it "
            "with the same type to all files of a folder."
        ) from error


def _cast(column: Any, type_: Any) -> Any:
    return column if column.type == type_ else column.cast(type_)


def _group(tables: Iterable[Any], n_rows: int) -> Iterator[list[Any]]:
    """Group tables up to `n_rows` rows, as a file with small row groups comes in small ones."""
    group: list[Any] = []
    for table in tables:
        if group and sum(map(len, group)) + len(table) > n_rows:
            yield group
            group = []
        if len(table):
            group.append(table)
    if group:
        yield group


def _as_frame(tables: list[Any], keys: Sequence[str]) -> pd.DataFrame:
    """Return tables as one frame, with the index as columns if there is a key among its levels."""
    table = _import_pyarrow().concat_tables(tables)
    frame = frame_from_arrow(table, keys)
    levels = [name for name in frame.index.names if name is not None]
    return frame.reset_index(level=levels) if set(levels) & set(keys) else frame
