"""Parquet files, and folders of them, as pandas frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from seqfeat.exceptions import InputError

__all__ = ["ParquetTable"]

NO_PYARROW = "Parquet needs pyarrow: pip install 'seqfeat[parquet]'"


class ParquetTable:
    """A Parquet file or a folder of Parquet files. Needs pyarrow."""

    has_dtypes = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the whole table, by default with all columns."""
        names = None if columns is None else list(columns)
        try:
            return _keys_as_columns(pd.read_parquet(self.path, columns=names), keys)
        except ImportError as error:
            raise ImportError(NO_PYARROW) from error
        except (ValueError, OSError) as error:
            raise self._invalid(error) from error

    def empty(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return the columns and the index of the table, without any rows."""
        return _keys_as_columns(self._dataset().schema.empty_table().to_pandas(), keys)

    def chunks(
        self,
        n_rows: int,
        keys: Sequence[str],
        columns: Sequence[str] | None = None,
        dtypes: dict[str, Any] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in chunks of at most `n_rows`; the file's own dtypes apply."""
        pyarrow, dataset = _import_pyarrow(), self._dataset()
        # Reading ahead by one batch only, and caching nothing; or memory grows with the file.
        options = {
            "batch_size": n_rows,
            "batch_readahead": 1,
            "fragment_readahead": 1,
            "use_threads": False,
            "fragment_scan_options": pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False),
        }
        names = None if columns is None else list(columns)
        try:
            for batches in _group(dataset.to_batches(columns=names, **options), n_rows):
                chunk = pyarrow.Table.from_batches(batches).to_pandas()
                yield _without_categories(_keys_as_columns(chunk, keys))
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise self._invalid(error) from error

    def _dataset(self) -> Any:
        pyarrow = _import_pyarrow()
        try:
            return pyarrow.dataset.dataset(self.path, format="parquet", partitioning="hive")
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise self._invalid(error) from error

    def _invalid(self, error: Exception) -> InputError:
        return InputError(
            f"{self.path} is not a Parquet file ({str(error).strip()}). It may be damaged, or have "
            "another format; write it again."
        )


def _import_pyarrow() -> Any:
    try:
        import_module("pyarrow.dataset")
    except ImportError as error:
        raise ImportError(NO_PYARROW) from error
    return import_module("pyarrow")


def _group(batches: Iterable[Any], n_rows: int) -> Iterator[list[Any]]:
    """Group batches up to `n_rows` rows, as a file with small row groups has small batches."""
    group: list[Any] = []
    for batch in batches:
        if group and sum(map(len, group)) + len(batch) > n_rows:
            yield group
            group = []
        if len(batch):
            group.append(batch)
    if group:
        yield group


def _keys_as_columns(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the named levels of the index as columns if there is a key among them."""
    levels = [name for name in frame.index.names if name is not None]
    return frame.reset_index(level=levels) if set(levels) & set(keys) else frame


def _without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Replace categorical columns by their values, as chunks may have different categories."""
    dtypes = {
        name: column.cat.categories.dtype
        for name, column in frame.items()
        if isinstance(column.dtype, pd.CategoricalDtype)
    }
    return frame.astype(dtypes) if dtypes else frame
