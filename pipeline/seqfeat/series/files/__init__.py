"""Series and their labels from files, whole or in batches.

The modules, in reading order:

- `reading`: `read`, series and labels from a file of any format
- `tables`: tables in files, as frames, whole, in chunks or without rows
- `csv_files`, `parquet_files`: the two formats of tables
- `array_files`, `ts_files`: formats that hold series themselves
- `streaming`: `read_batches`, the same in batches
- `recordings`: one row per timestep, from files, frames and arrays
- `read_into`: a table larger than memory as an array on disk
"""

__all__: list[str] = []
