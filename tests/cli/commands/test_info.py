import json

from tests.commands import ok


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
