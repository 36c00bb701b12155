import numpy as np
import pandas as pd
import pytest

import seqfeat as library
from seqfeat.series import as_series, windows
from tests.commands import assert_close, error_of, meters, ok

pytestmark = pytest.mark.usefixtures("one_thread", "small_batches")

RECORDINGS = ["--id", "who", "--time", "when", "--window", "1s", "--stride", "0.5s"]


def step_errors(autoencoder, X):
    """Return the squared errors of each series in scaled units, (n_timesteps, n_channels)."""
    series = as_series(X, missing="mask")
    rebuilt = as_series(autoencoder.reconstruct(X), missing="mask").values
    errors = ((series.values.astype(float) - rebuilt) / autoencoder.scale_) ** 2
    return [error[:length] for error, length in zip(errors, series.lengths, strict=True)]


@pytest.fixture(scope="module")
def spiked(tmp_path_factory):
    """New series, one of which has a spike in the channel heat."""
    frame = meters(24, seed=1)
    row = frame.index[frame["meter"] == "m007"][4]
    frame.loc[row, "heat"] += 50
    path = tmp_path_factory.mktemp("spiked") / "spiked.csv"
    frame.to_csv(path, index=False)
    return path


def test_a_spike_is_found_with_its_series_timestep_and_channel(models, spiked):
    result = ok("anomalies", models / "m.joblib", spiked, "--steps", "--top", "1", "--json").json
    assert (result["ids"], result["first"], result["last"]) == (["m007"], [4], [4])
    assert result["channels"] == ["heat"]
    assert result["channel_shares"][0] > 0.9
    title, header, line = ok(
        "anomalies", models / "m.joblib", spiked, "--steps", "--top", "1"
    ).out.splitlines()
    assert title.startswith("Largest errors in 24 series of ")
    assert header.split() == ["meter", "from", "to", "error", "vs.", "mean", "channel"]
    assert line.split()[:3] == ["m007", "4", "4"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_file_has_a_row_for_each_timestep(tmp_path, models, model, new, suffix):
    path = tmp_path / f"steps{suffix}"
    arguments = ["anomalies", models / "m.joblib", models / "new.csv", "--steps", "--by-channel"]
    result = ok(*arguments, "-o", path, "--json").json
    frame = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    errors = step_errors(model["autoencoder"], new.X)
    lengths = [len(error) for error in errors]
    assert frame["meter"].tolist() == np.repeat(new.X.index, lengths).tolist()
    assert frame["timestep"].tolist() == np.concatenate([np.arange(n) for n in lengths]).tolist()
    joined = np.concatenate(errors)
    np.testing.assert_allclose(frame[["error_load", "error_heat"]], joined, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(frame["error"], np.nanmean(joined, axis=1), rtol=1e-3, atol=1e-5)
    assert result["n_timesteps"] == len(frame)
    assert result["mean_error"] == pytest.approx(frame["error"].mean())


def test_stretches_have_at_least_half_of_the_largest_error_of_their_series(models, model, new):
    arguments = ["anomalies", models / "m.joblib", models / "new.csv", "--steps", "--top", "999"]
    result = ok(*arguments, "--json").json
    listed = pd.DataFrame({name: result[name] for name in ("ids", "first", "last", "errors")})
    assert listed["errors"].is_monotonic_decreasing
    errors = [error.mean(axis=1) for error in step_errors(model["autoencoder"], new.X)]
    for name, error in zip(new.X.index, errors, strict=True):
        is_listed = np.zeros(len(error), dtype=bool)
        for stretch in listed[listed["ids"] == name].itertuples():
            is_listed[stretch.first : stretch.last + 1] = True
            assert_close([stretch.errors], [error[stretch.first : stretch.last + 1].max()])
        np.testing.assert_array_equal(is_listed, error >= 0.5 * error.max())


def test_windows_are_joined_to_their_recordings(tmp_path, monkeypatch):
    monkeypatch.setattr("seqfeat.cli.commands.anomalous_steps.WINDOW_VALUES", 100)
    rng = np.random.default_rng(0)
    when = pd.Timestamp("2026-01-31") + pd.to_timedelta(100 * np.arange(63), "ms")
    frame = pd.concat(
        pd.DataFrame({"who": who, "when": when, "x": rng.normal(size=63), "y": rng.normal(size=63)})
        for who in ("ann", "bob")
    )
    frame.to_csv(tmp_path / "all.csv", index=False)
    few = ["--embedding-dim", "2", "--max-iter", "0", "--no-baselines"]
    path = tmp_path / "m.joblib"
    ok("train", tmp_path / "all.csv", *RECORDINGS, *few, "-o", path)
    arguments = ["anomalies", path, tmp_path / "all.csv", "--steps", "-o", tmp_path / "steps.csv"]
    out = ok(*arguments).out
    assert "in 2 recordings of 120 timesteps" in out
    steps = pd.read_csv(tmp_path / "steps.csv", parse_dates=["time"])
    # The last 3 timesteps do not fill a window.
    assert steps["recording"].tolist() == ["ann"] * 60 + ["bob"] * 60
    assert steps["time"].tolist() == [*when[:60], *when[:60]]
    X, _, groups, _ = windows(frame, "1s", "0.5s", by="who", time="when")
    errors = np.stack(step_errors(library.load(path), X)).mean(axis=2)
    for who in ("ann", "bob"):
        covering = [[] for _ in range(60)]
        for number, window in enumerate(errors[groups == who]):
            for step, error in enumerate(window):
                covering[5 * number + step].append(error)
        expected = [np.mean(some) for some in covering]
        found = steps.loc[steps["recording"] == who, "error"]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_marks_beside_errors_are_numbers_in_an_array(tmp_path, npy):
    few = ["--embedding-dim", "2", "--max-iter", "0", "--no-baselines"]
    path = tmp_path / "m.joblib"
    ok("train", npy, *few, "--contamination", "0.2", "-o", path)
    ok("anomalies", path, npy, "--steps", "-o", tmp_path / "steps.npy")
    errors, marks = np.load(tmp_path / "steps.npy").T
    threshold = -library.load(path).timestep_threshold_
    np.testing.assert_array_equal(marks, errors > threshold)
    ids = pd.read_csv(tmp_path / "steps.ids.csv")
    assert list(ids) == ["series", "timestep"]
    assert len(ids) == len(errors)


def test_errors_of_channels_need_timesteps(models):
    message = error_of("anomalies", models / "m.joblib", models / "new.csv", "--by-channel")
    assert message == "--by-channel needs --steps, which writes the error of each timestep."


# Thresholds


@pytest.fixture(scope="module")
def with_thresholds(models, tmp_path_factory):
    """A model for which a tenth of the training series and timesteps is anomalous."""
    path = tmp_path_factory.mktemp("thresholds") / "m.joblib"
    few = ["--embedding-dim", "2", "--max-iter", "0", "--no-baselines", "--test-size", "0"]
    data = [models / "train.csv", "--id", "meter", "--time", "day", "--channels", "load,heat"]
    ok("train", *data, *few, "--contamination", "0.1", "-o", path)
    return path


def test_timesteps_beyond_the_threshold_are_marked_and_listed(tmp_path, models, with_thresholds):
    arguments = ["anomalies", with_thresholds, models / "train.csv", "--steps", "--top", "999"]
    result = ok(*arguments, "--json", "-o", tmp_path / "steps.csv").json
    steps = pd.read_csv(tmp_path / "steps.csv")
    threshold = -library.load(with_thresholds).timestep_threshold_
    np.testing.assert_array_equal(steps["is_anomalous"], steps["error"] > threshold)
    assert result["threshold"] == threshold
    assert result["n_anomalous"] == steps["is_anomalous"].sum()
    assert steps["is_anomalous"].mean() == pytest.approx(0.1, abs=0.02)
    n_listed = np.subtract(result["last"], result["first"]) + 1
    assert n_listed.sum() == result["n_anomalous"]
    assert ok(*arguments).out.startswith(f"{result['n_anomalous']} of {len(steps)} timesteps have ")


def test_series_beyond_the_threshold_are_marked(tmp_path, models, with_thresholds):
    arguments = ["anomalies", with_thresholds, models / "train.csv"]
    result = ok(*arguments, "--json", "-o", tmp_path / "errors.csv").json
    errors = pd.read_csv(tmp_path / "errors.csv")
    assert errors["is_anomalous"].sum() == result["n_anomalous"] == 4
    np.testing.assert_array_equal(errors["is_anomalous"], errors["error"] > result["threshold"])
    lines = ok(*arguments).out.splitlines()
    assert lines[0].startswith("4 of 40 series have errors above ")
    assert [line.endswith("anomalous") for line in lines[3:]] == [True] * 4 + [False] * 6


def test_without_anomalous_timesteps_none_are_listed(tmp_path, models, with_thresholds):
    estimator = library.load(with_thresholds)
    estimator.timestep_threshold_ = -1e9
    library.save(estimator, tmp_path / "m.joblib")
    columns = ["--id", "meter", "--time", "day", "--channels", "load,heat"]
    result = ok("anomalies", tmp_path / "m.joblib", models / "train.csv", *columns, "--steps")
    assert result.out.splitlines()[0].startswith("0 of ")
    assert len(result.out.splitlines()) == 1
