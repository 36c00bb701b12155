"""Fault 44: a card that is damaged in any way is refused, in words that say where."""

import hashlib
import json
import os
import random
import re
from pathlib import Path

import pytest

from seqfeat import InputError, ModelFileError
from seqfeat.saving import card_format
from seqfeat.saving.card_format import (
    CARD_VERSION,
    DIGEST,
    MAX_BYTES,
    card_path,
    encode_card,
    owner,
    read_card,
)
from tests.damage import a_bit_of_each_byte, every_bit, flipped

GOLDEN = Path(__file__).parents[1] / "golden" / "joblib" / "golden.json"


@pytest.fixture
def card():
    """A card with all that a card can have."""
    return {
        **json.loads(GOLDEN.read_bytes()),
        "card_version": CARD_VERSION,
        "metrics": {"accuracy": 0.1 + 0.2, "test_series": 12, "tiny": 1e-9},
        "notes": "für Max",
        "reading": {"label": "kind", "time": None, "channels": ["load", "heat"], "step": 0.5},
        "task": "classification",
        "classes": ["a", 1, True],
    }


@pytest.fixture
def path(tmp_path, card):
    path = tmp_path / "m.json"
    path.write_bytes(encode_card(card))
    return path


def refusal(path):
    with pytest.raises(ModelFileError) as caught:
        read_card(path)
    return str(caught.value)


def without_digest(card):
    return {name: value for name, value in card.items() if name != DIGEST}


# There and back


def test_a_card_comes_back_as_it_was_with_its_checksum(path, card):
    found = read_card(path)
    assert without_digest(found) == card
    assert re.fullmatch("[0-9a-f]{64}", found[DIGEST])


def test_a_card_may_be_reformatted(path):
    found = read_card(path)
    names = list(found)
    random.Random(0).shuffle(names)
    shuffled = {name: found[name] for name in names}
    for text in (
        json.dumps(shuffled),
        json.dumps(shuffled, indent=8, ensure_ascii=False).replace("\n", "\r\n"),
    ):
        path.write_bytes(text.encode())
        assert read_card(path) == found


def test_cards_of_version_1_had_no_checksum():
    assert read_card(GOLDEN) == json.loads(GOLDEN.read_bytes())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/m.joblib", "a/m.json"),
        ("m.skops", "m.json"),
        ("m.onnx", "m.onnx.json"),
        ("M.ONNX", "M.ONNX.json"),
        ("m", "m.json"),
    ],
)
def test_a_model_and_its_graph_have_cards_of_different_names(name, expected):
    assert card_path(Path(name)) == Path(expected)


# Flipped bits


def assert_flips_are_noticed(path, bits):
    """Check that with any of these bits flipped, a card is refused, or has the same content."""
    content, n_refused = read_card(path), 0
    for bit in flipped(path, bits):
        try:
            assert read_card(path) == content, bit
        except ModelFileError:
            n_refused += 1
    # 1e-09 is 1E-09, and what is added to 0.3 in 0.30000000000000005 is below a float's precision.
    assert n_refused >= len(bits) - 5


def test_fault_44_a_flipped_bit_of_a_card_is_noticed(path):
    assert_flips_are_noticed(path, a_bit_of_each_byte(path))


@pytest.mark.fuzz
def test_fault_44_every_flipped_bit_of_a_card_is_noticed(path):
    assert_flips_are_noticed(path, every_bit(path))


@pytest.mark.parametrize("change", [{"notes": "better"}, {"notes": None, DIGEST: "0" * 64}])
def test_fault_44_an_edited_card_is_refused(path, change):
    path.write_text(json.dumps({**read_card(path), **change}))
    assert "damaged or edited after it was written" in refusal(path)
    assert DIGEST in refusal(path)


def test_fault_44_a_checksum_is_checked_whatever_the_version_is(path):
    path.write_text(json.dumps({**read_card(path), "card_version": 1}))
    assert "damaged or edited" in refusal(path)
    path.write_text(json.dumps({**read_card(GOLDEN), DIGEST: "0" * 64}))
    assert "damaged or edited" in refusal(path)


def test_fault_44_a_card_of_this_version_has_to_have_a_checksum(path):
    path.write_text(json.dumps(without_digest(read_card(path))))
    assert f"it has no field {DIGEST}" in refusal(path)


# What is no card


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Expecting value"),
        (b"\xff", "codec can't decode"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 800 + b"]" * 800, "some other JSON file"),
        (b'{"card_version": 2, "sha256": "", "versions": NaN}', "not JSON compliant"),
        (b'{"card_version": 2, "sha256": "", "versions": 1e999}', "not JSON compliant"),
        (b"1" * 5000, "digits"),
        (b'"card"', "some other JSON file"),
        (b'{"mine": 1}', "some other JSON file"),
    ],
)
def test_fault_44_other_content_is_refused(path, content, says):
    path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(f"{path} is not a model card")
    assert says in message
    assert "save the model again" in message


def test_fault_44_a_huge_file_is_not_read(path):
    with path.open("ab") as file:
        file.truncate(2**40)  # takes no space on disk, but would not fit in memory
    assert f"it has {2**40} bytes, and a card has at most {MAX_BYTES}" in refusal(path)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_fault_44_what_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / "m.json"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert "it is not a file" in refusal(path)


# Wrong types

WRONG = {
    "card_version": [None, True, -1, 2.0, "2"],
    "file": [None, 1, ["m.joblib"]],
    "format": [None, "pickle", [], {}],
    "bytes": ["12", -1, 1.5, True, 2**63],
    "sha256": [None, "0" * 63, "G" * 64, 0],
    "saved": [None, 2026],
    "versions": [None, [], "0.1.0"],
    "versions.seqfeat": [None, 1, "one", "1"],
    "versions.numpy": [2.3],
    "versions.torch": [None, 2],
    "notes": [1, ["a"], {}],
    "metrics": [None, [], "0.9"],
    "metrics.accuracy": [None, "0.9", True, [0.9], 10**400],
    "input": [1, [], "any"],
    "input.n_channels": [None, "2", 2.5],
    "input.n_timesteps": [None, "all", 1.5, [3]],
    "input.longest_training_series": [None, -1],
    "input.missing": [None, 0],
    "input.names": ["load", [1], {}],
    "input.embedding_dim": [None, "4"],
    "reading": [1, [], "auto"],
    "reading.label": [1, ["kind"]],
    "reading.series_id": [0],
    "reading.time": [{}],
    "reading.channels": ["load,heat", [1, 2], {}],
    "reading.step": [[1], True, {}],
    "reading.even_step": [[1]],
    "reading.channels_first": ["no", 0],
    "reading.time_format": [1],
    "reading.separator": [0],
    "reading.decimal": [[","]],
    "reading.encoding": [8],
    "reading.header": ["no", 1],
    "reading.na_values": ["?", [0]],
    "classes": [1, {}, True],
    "estimator": [None, 1],
    "parameters": [None, []],
    "notice": [None, 1],
}
OPTIONAL = {"reading", *(name for name in WRONG if name.startswith("reading."))}
MISSING = object()


def change(card, name, value):
    """Return a card in which a field has another value, or in which it is missing."""
    outer, _, inner = name.rpartition(".")
    values = {**(card[outer] if outer else card), inner: value}
    if value is MISSING:
        del values[inner]
    return {**card, outer: values} if outer else values


def write_sealed(path, card):
    """Write a card that matches its checksum, whatever its fields are."""
    rest = json.dumps({**card, DIGEST: None}, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(rest.encode()).hexdigest()
    path.write_text(json.dumps({**card, DIGEST: digest}))


@pytest.mark.parametrize("name", WRONG)
def test_fault_44_a_field_of_the_wrong_type_is_named_with_its_value(path, card, name):
    for value in WRONG[name]:
        changed = change(card, name, value)
        write_sealed(path, changed)
        shown = re.escape(repr(value)[:57])
        assert re.search(rf"its field {name} is {shown}.*, and should be \S", refusal(path))
        with pytest.raises(InputError, match=rf"cannot be written: its field {name} is {shown}"):
            encode_card(changed)


@pytest.mark.parametrize("name", [*WRONG, "input.n_channels"])
def test_fault_44_a_missing_field_is_named(path, card, name):
    write_sealed(path, change(card, name, MISSING))
    if name in OPTIONAL or name in ("versions.torch", "metrics.accuracy"):
        read_card(path)
    elif name in ("card_version", "sha256", "versions"):
        assert "some other JSON file" in refusal(path)
    else:
        assert f"it has no field {name}, which is " in refusal(path)


def test_the_fields_of_a_newer_card_are_not_known(path, card):
    newer = {**card, "card_version": CARD_VERSION + 1, "metrics": "on the web", "input": 5}
    write_sealed(path, newer)
    assert read_card(path)["metrics"] == "on the web"
    write_sealed(path, {**newer, "file": 5})
    assert "its field file is 5" in refusal(path)


def test_a_card_too_large_to_be_read_again_is_not_written(card, monkeypatch):
    monkeypatch.setattr(card_format, "MAX_BYTES", 10_000)
    with pytest.raises(InputError, match=r"most of them in its field notes, but may .* 10000"):
        encode_card({**card, "notes": "x" * 10_000})


# Whose card it is


@pytest.mark.parametrize("name", ["m.joblib", "other.skops"])
def test_the_model_of_a_card_is_found_also_if_the_card_is_damaged(path, card, name):
    model = path.with_name(name)
    path.write_text(json.dumps({**card, "file": name, DIGEST: "damaged"}))
    assert owner(path) is None
    model.touch()
    assert owner(path) == model


@pytest.mark.parametrize("name", [None, 5, [], "", ".", "..", "../m", "a\0", "\ud800", "x" * 300])
def test_a_name_that_no_file_has_belongs_to_no_model(path, card, name):
    path.write_text(json.dumps({**card, "file": name}))
    assert owner(path) is None
