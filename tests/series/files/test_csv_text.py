import bz2
import codecs
import gzip
import lzma

import pytest

from seqfeat.series.files import csv_text
from seqfeat.series.files.csv_text import text_blocks
from tests.series.inputs import error_of

LINES = "id,Größe\nä,1\n日本,2\n𝄞,3\n"


def write(folder, content, name="x.csv"):
    path = folder / name
    path.write_bytes(content)
    return path


def text(path, encoding="auto"):
    return b"".join(text_blocks(path, encoding)).decode()


@pytest.fixture(params=[5, 2**17])
def block_bytes(request, monkeypatch):
    """Few bytes, which cut characters and line ends in two, and the usual number."""
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_an_encoding_is_known_by_its_mark(tmp_path, encoding):
    assert text(write(tmp_path, LINES.encode(encoding))) == LINES


@pytest.mark.usefixtures("block_bytes")
def test_big_endian_text_is_known_by_its_mark(tmp_path):
    content = codecs.BOM_UTF16_BE + LINES.encode("utf-16-be")
    assert text(write(tmp_path, content)) == LINES


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "shift_jis", "utf-8"])
def test_an_encoding_may_be_given(tmp_path, encoding):
    lines = "id,Wert\n日本,1\n" if encoding == "shift_jis" else "id,Größe\nä,1\n"
    assert text(write(tmp_path, lines.encode(encoding)), encoding) == lines


@pytest.mark.usefixtures("block_bytes")
def test_text_that_is_not_utf_8_is_named_with_its_line(tmp_path):
    path = write(tmp_path, b"id,t\n" + b"a,1\n" * 30 + "ä,2\n".encode("latin-1"))
    message = error_of(lambda: text(path))
    assert message.startswith(f"{path}, line 32 is not UTF-8 (")
    assert "encoding='latin-1'" in message
    assert error_of(lambda: text(path, "ascii")).startswith("encoding='ascii': ")


@pytest.mark.parametrize("encoding", ["no such", "base64", 8, None])
def test_what_is_no_encoding_is_rejected(tmp_path, encoding):
    path = write(tmp_path, b"id,t\n")
    assert error_of(lambda: text(path, encoding)).startswith(
        f"encoding={encoding!r} is no encoding"
    )


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"]
)
def test_compression_is_known_by_the_first_bytes_whatever_the_name(tmp_path, compress):
    content = compress((LINES * 2000).encode())
    assert text(write(tmp_path, content)) == LINES * 2000
    message = error_of(lambda: text(write(tmp_path, content[:-30])))
    assert "damaged or cut off" in message


def test_zstd_is_decompressed(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    with pyarrow.CompressedOutputStream(str(tmp_path / "x.csv"), "zstd") as file:
        file.write(LINES.encode())
    assert text(tmp_path / "x.csv") == LINES


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_lines_may_end_in_any_way(tmp_path, end):
    content = "id,t\na,1\nb,2\n".replace("\n", end).encode()
    assert text(write(tmp_path, content)) == "id,t\na,1\nb,2\n"


def test_blocks_end_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", 7)
    blocks = list(text_blocks(write(tmp_path, b"id,t\nabc,123\nd,4\ne,5")))
    assert len(blocks) > 1
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    assert b"".join(blocks) == b"id,t\nabc,123\nd,4\ne,5"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"\xd0\xcf\x11\xe0rest", "Excel workbook"),
        (b"PAR1rest", ".parquet"),
        (b"\x93NUMPYrest", ".npy"),
        (b"\n <!DOCTYPE html><html>", "web page"),
        (gzip.compress(b"PK\x03\x04rest", mtime=0), "Excel workbook"),
    ],
)
def test_a_file_of_another_format_is_named(tmp_path, content, what):
    message = error_of(lambda: text(write(tmp_path, content)))
    assert message.startswith(f"{tmp_path / 'x.csv'} is no table of text but a")
    assert what in message


def test_a_nul_byte_is_named_with_its_line(tmp_path):
    message = error_of(lambda: text(write(tmp_path, b"id,t\na,1\nb,\x002\n")))
    assert message.startswith(f"{tmp_path / 'x.csv'}, line 3 has a NUL byte")
    assert "encoding='utf-16-le'" in error_of(
        lambda: text(write(tmp_path, "a,b".encode("utf-16-le")))
    )
