"""What is not a model, or not the one of its card, is refused in words that say what it is."""

import io
import json
import os
import zipfile

import joblib
import numpy as np
import pytest

import seqfeat
from seqfeat import ModelFileError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def refusal(path, error=ModelFileError):
    with pytest.raises(error) as caught:
        seqfeat.load(path)
    return str(caught.value)


def dumped(content, **options):
    file = io.BytesIO()
    joblib.dump(content, file, **options)
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        # Without a date, which would differ between the processes that share the tests.
        archive.writestr(zipfile.ZipInfo("a.txt"), "text")
    return file.getvalue()


def array():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says", "is_pickle"),
    [
        (dumped({"a": 1}), "a pickle", True),
        (dumped({"a": 1}, compress=3), "compressed data", True),
        (dumped({"a": 1}, compress=("gzip", 3)), "compressed data", True),
        (dumped({"a": 1}, compress=("xz", 3)), "compressed data", True),
        (zipped(), "a zip archive", False),
        (array(), "a NumPy array", False),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture", False),
        (b"series,time\n1,2\n", "text", False),
        ("ü".encode() * 2000, "text", False),
        (b"a" + "ü".encode() * 2000, "text", False),
        (b"\0\1\2\xff" * 9, "binary data of an unknown kind", False),
    ],
)
def test_fault_25_a_file_without_a_card_is_described(tmp_path, content, says, is_pickle):
    path = tmp_path / "m.joblib"
    path.write_bytes(content)
    message = refusal(path)
    assert (
        "is not a model of seqfeat, or was copied without its card: there is no m.json" in message
    )
    assert f"By its content, it is {says}" in message
    assert "copy m.json from where it came from" in message
    assert ("that executes code" in message) == is_pickle


def test_a_model_that_seqfeat_did_not_save_is_refused_without_its_card(tmp_path, pipeline):
    joblib.dump(pipeline, tmp_path / "m.joblib")
    assert "is a pickle" in refusal(tmp_path / "m.joblib")


def test_fault_25_what_is_no_file_is_named(tmp_path):
    assert "no file" in refusal(tmp_path / "m.joblib", error=FileNotFoundError)
    assert "is a folder; pass" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe.joblib")
    assert "is a device or a pipe; pass" in refusal(tmp_path / "pipe.joblib")
    (tmp_path / "empty.joblib").touch()
    assert "is empty" in refusal(tmp_path / "empty.joblib")


@pytest.fixture
def saved(tmp_path, pipeline):
    return seqfeat.save(pipeline, tmp_path / "m.joblib")


def test_a_name_without_its_suffix_leads_to_a_question(saved):
    message = refusal(saved.with_suffix(""), error=FileNotFoundError)
    assert message.endswith("Did you mean m.joblib?")


def test_a_card_is_not_a_model(saved):
    message = refusal(saved.with_suffix(".json"))
    assert "has the name of a card" in message


def test_a_file_whose_card_belongs_to_another_is_refused(saved, pipeline):
    other = saved.with_suffix(".skops")
    other.write_bytes(b"something else")
    message = refusal(other)
    assert "does not match its card, m.json: it has 14 bytes" in message
    assert message.endswith("The card was written for m.joblib.")


def test_a_card_that_gives_another_size_is_refused(saved):
    card = saved.with_suffix(".json")
    fields = json.loads(card.read_text())
    fields.pop("card_sha256")
    card.write_text(json.dumps({**fields, "card_version": 1, "bytes": fields["bytes"] + 1}))
    assert "does not match its card" in refusal(saved)


def test_a_model_may_be_saved_over_a_damaged_card_of_its_own(saved, pipeline):
    card = saved.with_suffix(".json")
    card.write_text(card.read_text().replace("seqfeat", "seqfaet"))
    refusal(saved)
    seqfeat.load(seqfeat.save(pipeline, saved))
