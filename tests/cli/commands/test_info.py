import hashlib
import json
import shutil
from pathlib import Path

import pytest

from seqfeat.saving.card_format import DIGEST
from tests.commands import error_of, ok, seqfeat


def test_the_card_is_shown_as_text_and_json(models):
    card = json.loads((models / "m.json").read_text())
    assert ok("info", models / "m.joblib", "--json").json == card
    out = ok("info", models / "m.joblib").out
    assert "--label kind --id meter --time day --channels load,heat --step 1" in out
    assert "verified (SHA-256" in out
    assert "2 (home, shop)" in out
    assert f"test_accuracy = {card['metrics']['test_accuracy']:.6g}" in out


def test_an_autoencoder_is_described_by_its_input_and_parameters(models):
    out = ok("info", models / "rows.joblib").out
    assert "series with 1 channel and any number of timesteps (up to 20 in training)" in out
    assert "missing values: not allowed" in out
    assert "max_iter=12" in out
    assert "classes" not in out
    assert "and 20 timesteps;" in ok("info", models / "wide.joblib").out


def test_a_device_on_which_seqfeat_was_never_run_is_marked(models, monkeypatch):
    monkeypatch.setattr("seqfeat.runtime.device._accelerator", lambda: "cpu")
    assert "auto is cpu on this machine\n" in ok("info", models / "rows.joblib").out
    monkeypatch.setattr("seqfeat.runtime.device._accelerator", lambda: "mps")
    result = ok("info", models / "rows.joblib")
    assert "auto is mps on this machine; seqfeat has never been run on one" in result.out
    assert result.err == ""


def test_a_graph_is_verified_by_its_card_and_shown(tmp_path, models):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "m.onnx"
    out = ok("export", models / "m.joblib", "-o", path).out
    assert f"and its card {path}.json." in out
    assert f"{path} (ONNX graph of Pipeline, " in ok("info", path).out
    assert "2 (home, shop)" in ok("info", path).out
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "does not match its card, m.onnx.json" in error_of("info", path)


def test_fault_44_a_card_with_fields_of_any_type_is_shown_or_refused(tmp_path, models):
    path = Path(shutil.copy(models / "m.joblib", tmp_path))
    card = json.loads((models / "m.json").read_text())
    inner = [(card[name], name) for name in ("input", "reading", "metrics", "versions")]
    for values, where in [(card, ""), *inner]:
        for name in list(values):
            intact = values[name]
            for value in (None, True, 10**400, 0.5, "text", [], [[1]], {}, {"a": [None]}):
                values[name] = value
                write_sealed(tmp_path / "m.json", card)
                result = seqfeat("info", path)
                assert "Traceback" not in result.err
                assert "--debug" not in result.err, (where, name, value)
                assert result.status == 0 or "m.json" in result.err, result.err
            values[name] = intact


def write_sealed(path, card):
    """Write a card that matches its checksum, whatever its fields are."""
    rest = json.dumps({**card, DIGEST: None}, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(rest.encode()).hexdigest()
    path.write_text(json.dumps({**card, DIGEST: digest}))


def test_options_of_the_training_can_be_typed_again(tmp_path, models):
    shutil.copy(models / "m.joblib", tmp_path)
    card = json.loads((models / "m.json").read_text())
    card["reading"] |= {"even_step": "1 days 00:00:00", "time_format": "%d/%m/%Y %H:%M"}
    write_sealed(tmp_path / "m.json", card)
    out = ok("info", tmp_path / "m.joblib").out
    assert "--time-format '%d/%m/%Y %H:%M'" in out
    assert "--step '1 days 00:00:00'" in out
