"""The bytes of a text file as UTF-8: decompressed, decoded, in blocks of whole lines."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from seqfeat.exceptions import InputError

__all__ = ["text_blocks"]

BLOCK_BYTES = 2**17

UTF_8_MARK = b"\xef\xbb\xbf"
MARKS = {
    UTF_8_MARK: "utf-8",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""The encodings that a byte order mark is certain evidence of; the longer marks come first."""

OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; save the sheet as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save the sheet as CSV",
    b"PAR1": "a Parquet file; give it the suffix .parquet",
    b"ARROW1": "an Arrow file; save it as .parquet",
    b"FEA1": "a Feather file; save it as .parquet",
    b"\x93NUMPY": "a NumPy array; give it the suffix .npy",
    b"\x89HDF": "an HDF5 file; save the table as .csv or .parquet",
    b"%PDF": "a PDF document; save the table as CSV",
    b"{\\rtf": "a formatted document; save the table as CSV",
}
"""What a file is that begins so, and what to do about it."""

DAMAGED = (EOFError, zlib.error, lzma.LZMAError)


def text_blocks(path: Path, encoding: str = "auto") -> Iterator[bytes]:
    """Yield the content of a file as UTF-8, in blocks that end with a line.

    Whether the file is compressed, and how, is decided by its first bytes, not by its name.
    ``encoding="auto"`` is what the byte order mark says, or else UTF-8.

    Raises
    ------
    InputError
        If the file is of another format, damaged, or not text in this encoding.
    """
    try:
        with _open(path) as file:
            yield from _whole_lines(_decoded(path, file, encoding))
    except DAMAGED as error:
        raise InputError(
            f"{path} is compressed, but damaged or cut off ({error}). Copy or download it again."
        ) from error
    except gzip.BadGzipFile as error:
        raise InputError(f"{path} is damaged ({error}). Copy or download it again.") from error


def _open(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(6)
    openers: dict[bytes, Callable[[Path], Any]] = {
        b"\x1f\x8b": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ\x00": lzma.open,
        b"\x28\xb5\x2f\xfd": _open_zstd,
    }
    for mark, opener in openers.items():
        if start.startswith(mark):
            return opener(path)
    return path.open("rb")


def _open_zstd(path: Path) -> Any:
    try:
        return import_module("pyarrow").CompressedInputStream(str(path), "zstd")
    except ImportError as error:
        raise ImportError(
            f"{path} is compressed with zstd, which needs pyarrow: pip install 'seqfeat[parquet]'. "
            "Or decompress it, with zstd -d."
        ) from error


def _decoded(path: Path, file: Any, encoding: str) -> Iterator[bytes]:
    """Yield the content in blocks of any size, as UTF-8 whose validity is checked."""
    block = file.read(BLOCK_BYTES)
    _check_is_text(path, block)
    codec = _codec(block, encoding)
    block = block.removeprefix(UTF_8_MARK) if codec == "utf-8" else block
    decoder = codecs.getincrementaldecoder(codec)()
    n_lines = 0
    while True:
        is_last = not block
        if codec == "utf-8" and block.isascii() and not decoder.getstate()[0]:
            utf_8 = block
        else:
            try:
                utf_8 = decoder.decode(block, is_last).encode()
            except UnicodeError as error:
                line = n_lines + 1 + _lines_before(block, error)
                raise _not_decodable(path, line, encoding, error) from error
        if b"\0" in utf_8:
            line = n_lines + 1 + utf_8.count(b"\n", 0, utf_8.index(b"\0"))
            raise InputError(
                f"{path}, line {line} has a NUL byte, which no text has. If the file is UTF-16 "
                "without a byte order mark, pass encoding='utf-16-le'; otherwise it is damaged, or "
                "no table."
            )
        yield utf_8
        if is_last:
            return
        n_lines += utf_8.count(b"\n")
        block = file.read(BLOCK_BYTES)


def _check_is_text(path: Path, start: bytes) -> None:
    for mark, description in OTHER_FORMATS.items():
        if start.startswith(mark):
            raise InputError(f"{path} is no table of text but {description}.")
    if start[:512].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(
            f"{path} is no table of text but a web page, perhaps the answer of a server instead of "
            "the file. Open it in a browser to see what it says, and download the file again."
        )


def _codec(start: bytes, encoding: str) -> str:
    """Return the name of the codec of a file that begins so."""
    if encoding != "auto":
        try:
            found = codecs.lookup(encoding)
        except (LookupError, TypeError):
            found = None
        if found is None or not found._is_text_encoding:
            raise InputError(
                f"encoding={encoding!r} is no encoding of text; pass 'auto', 'utf-8', 'latin-1', "
                "'cp1252', 'utf-16', or another one that Python knows."
            )
        return "utf-8" if found.name == "utf-8-sig" else found.name
    return next((name for mark, name in MARKS.items() if start.startswith(mark)), "utf-8")


def _lines_before(block: bytes, error: UnicodeError) -> int:
    # A multibyte character may have begun in the block before, so that positions differ a little.
    start = error.start if isinstance(error, UnicodeDecodeError) else 0
    return block.count(b"\n", 0, start)


def _not_decodable(path: Path, line: int, encoding: str, error: UnicodeError) -> InputError:
    if encoding == "auto":
        return InputError(
            f"{path}, line {line} is not UTF-8 ({error}). Pass the encoding that the file was "
            "written in, such as encoding='latin-1', 'cp1252' or 'utf-16', or save it as UTF-8."
        )
    return InputError(
        f"encoding={encoding!r}: {path}, line {line} has another one ({error}). Pass the encoding "
        "that the file was written in, or encoding='auto'."
    )


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Move the boundaries of blocks to where a line ends, whatever the lines end with."""
    held: list[bytes] = []
    is_old_mac: bool | None = None
    for block in _with_whole_ends(blocks):
        if is_old_mac is None and b"\r" in block:
            # Lines that end with a carriage return alone; a file is not a mixture of both.
            is_old_mac = b"\n" not in block
        if is_old_mac:
            block = block.replace(b"\r", b"\n")
        end = block.rfind(b"\n") + 1
        if end:
            yield _with_plain_ends(b"".join([*held, block[:end]]))
            held = []
        if end < len(block):
            held.append(block[end:])
    if held:
        yield _with_plain_ends(b"".join(held))


def _with_whole_ends(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Move the boundaries of blocks such that none separates the two characters of a line end."""
    held = b""
    for block in blocks:
        block = held + block
        held = b"\r" if block.endswith(b"\r") else b""
        yield block.removesuffix(b"\r")
    yield held


def _with_plain_ends(block: bytes) -> bytes:
    """Return lines that end with a line feed alone, except where one may be part of a name."""
    return block if b'"' in block or b"\r" not in block else block.replace(b"\r\n", b"\n")
