"""Faults 50 and 51: text that a terminal would obey or cannot show, output that goes nowhere."""

import io
import os
import subprocess
import sys

import pandas as pd
import pytest

from seqfeat.cli.streams import OutputStream
from tests.commands import LONG, QUICK, meters, ok, seqfeat


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """A folder with a table whose ids and labels would steer a terminal, and a model of it."""
    folder = tmp_path_factory.mktemp("evil")
    table = meters()
    table["meter"] = "\x1b[2J" + table["meter"]
    table["kind"] = table["kind"].map({"home": "\u202emoh", "shop": "sh\nop\x07"})
    table.to_csv(folder / "table.csv", index=False)
    shown = ok("train", folder / "table.csv", *LONG, *QUICK, "-o", folder / "m.joblib")
    return folder, shown


def test_fault_50_names_are_escaped_in_all_that_a_command_prints(evil):
    folder, trained = evil
    model, table = folder / "m.joblib", folder / "table.csv"
    shown = [
        trained,
        ok("evaluate", model, table),
        ok("anomalies", model, table),
        ok("info", model),
    ]
    shown.append(seqfeat("train", table, "--id", "\x1b]0;x", "-o", folder / "n.joblib"))
    shown.append(seqfeat("no\x1b[1m"))
    for result in shown:
        lines = (result.out + result.err).splitlines()
        assert lines
        assert all(line.isprintable() for line in lines), lines
    evaluated = shown[1].out
    assert r"\u202emoh" in evaluated
    assert r"sh\nop\x07" in evaluated
    assert r"\x1b[2J" in shown[2].out


def test_fault_50_the_name_of_a_file_fakes_no_line(evil, tmp_path):
    folder, _ = evil
    output = tmp_path / "a\nSaved fake.csv"
    result = ok("predict", folder / "m.joblib", folder / "table.csv", "-o", output)
    assert result.out.count("\n") == 1
    assert output.exists()


def test_fault_50_data_is_printed_as_it_is_unless_to_a_terminal(evil, monkeypatch):
    folder, _ = evil
    result = ok("predict", folder / "m.joblib", folder / "table.csv")
    predicted = pd.read_csv(io.StringIO(result.out), index_col=0)
    assert predicted.index.str.startswith("\x1b[2Jm").all()

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    OutputStream("stdout").write(result.out)
    assert "\x1b" not in terminal.getvalue()


# Spreadsheets


def test_fault_50_a_spreadsheet_takes_no_cell_for_a_formula_if_asked(tmp_path):
    table = meters()
    table["meter"] = (
        table["meter"]
        .map({"m000": "=cmd|' /C calc'!A0", "m001": "+1-1", "m002": "@SUM(1)", "m003": "-5"})
        .fillna(table["meter"])
    )
    table["kind"] = "=" + table["kind"]
    table.to_csv(tmp_path / "t.csv", index=False)
    model = tmp_path / "m.joblib"
    ok("train", tmp_path / "t.csv", *LONG, *QUICK, "--no-baselines", "-o", model)

    def cells(*options):
        ok("embed", model, tmp_path / "t.csv", "-o", tmp_path / "f.csv", *options)
        ok("convert", tmp_path / "t.csv", *LONG, "-o", tmp_path / "c.csv", *options)
        features = pd.read_csv(tmp_path / "f.csv", index_col=0)
        labels = pd.read_csv(tmp_path / "c.csv")["label"]
        return set(features.index), set(labels), features.to_numpy()

    ids, labels, values = cells("--safe-csv")
    assert {"'=cmd|' /C calc'!A0", "'+1-1", "'@SUM(1)", "-5", "m004"} <= ids
    assert labels == {"'=home", "'=shop"}
    plain_ids, plain_labels, plain_values = cells()
    assert {"=cmd|' /C calc'!A0", "+1-1", "@SUM(1)", "-5", "m004"} <= plain_ids
    assert plain_labels == {"=home", "=shop"}
    assert (values == plain_values).all()


# Streams that cannot be written to


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table whose labels few encodings have, and a model of it."""
    folder = tmp_path_factory.mktemp("files")
    table = meters()
    table["kind"] = table["kind"].map({"home": "家", "shop": "店±"})
    table.to_csv(folder / "t.csv", index=False)
    arguments = ["--no-baselines", "-o", folder / "m.joblib"]
    ok("train", folder / "t.csv", *LONG, *QUICK, *arguments)
    return folder


def shell(folder, command, **environment):
    """Run a command of a shell, in which ``seqfeat`` is this installation's."""
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"set -o pipefail; seqfeat() {{ '{sys.executable}' -m seqfeat \"$@\"; }}; {command}",
        ],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


TRAIN = f"seqfeat train t.csv {' '.join(LONG + QUICK)} --no-baselines -o new.joblib"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_fault_51_text_that_the_encoding_lacks_is_escaped(folder, encoding):
    commands = "seqfeat predict m.joblib t.csv"
    if encoding == "ascii":
        commands = f"{TRAIN} && seqfeat evaluate m.joblib t.csv && {commands}"
    status, out, err = shell(folder, commands, PYTHONIOENCODING=encoding)
    assert status == 0, err
    assert b"\\u5bb6" in out
    assert "Traceback" not in err.decode(encoding)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        (">&-", b"seqfeat: error: standard output: it is closed\n"),
        ("> /dev/full", b"seqfeat: error: standard output: No space left on device\n"),
        ("| true", b""),
    ],
)
def test_fault_51_what_cannot_be_printed_costs_no_model(folder, redirection, message):
    if "full" in redirection and not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    (folder / "new.joblib").unlink(missing_ok=True)
    # A pipe breaks at once: `true` ends before anything is printed.
    options = "--quiet --cv 2 --set verbose=1"
    status, _, err = shell(folder, f"{TRAIN} {options} {redirection}")
    assert status == 1
    where = b". But the model is saved in new.joblib." if message else b""
    assert err == message.removesuffix(b"\n") + where + message[-1:]
    assert ok("info", folder / "new.joblib").out


@pytest.mark.slow
@pytest.mark.parametrize("command", ["--help", "predict m.joblib t.csv"])
def test_fault_51_every_output_may_be_closed_or_full(folder, command):
    for redirection in (">&-", "> /dev/full", "| true"):
        status, _, err = shell(folder, f"seqfeat {command} {redirection}")
        assert status == 1
        assert b"Traceback" not in err
        assert b"Exception ignored" not in err


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full"])
def test_fault_51_messages_that_nobody_gets_change_nothing(folder, redirection):
    assert shell(folder, f"{TRAIN} {redirection}")[0] == 0
    assert shell(folder, f"seqfeat info nothing.joblib {redirection}")[0] == 1
    assert shell(folder, f"seqfeat nonsense {redirection}")[0] == 2
