"""The descriptions and examples that ``--help`` shows."""

from __future__ import annotations

__all__ = ["DESCRIPTIONS", "EXAMPLES", "examples_of"]

DESCRIPTIONS = {
    "train": """\
An LSTM autoencoder learns features without labels. If DATA has labels, a classifier is
trained on these features and compared with simple baselines: the most frequent class, raw
values, PCA, and an untrained encoder.

By default, a quarter of the series is held out as a test set, and the saved model is the
one that was tested. With --cv or --refit, the saved model is trained on all series.
Ctrl-C stops the training and keeps the best weights so far.""",
    "search": """\
Cross-validates every embedding size and shows its score, the time of a fit and the size
of the model file. With -o, also trains the best size on all of DATA and saves the model.
The score is the accuracy or, without labels, R squared of the reconstruction.""",
    "embed": """\
DATA may be larger than memory: tables and .npy files are read and written in batches, and
FILE appears once it is complete. In a long table, the rows of each series must be
together; otherwise the table is read whole, with a warning.""",
    "predict": "DATA may be larger than memory; see seqfeat embed --help.",
    "evaluate": """\
Shows the accuracy with its 95% confidence interval, precision and recall of each class,
the confusion matrix, and R squared of the reconstruction. DATA may be larger than memory.""",
    "anomalies": """\
Ranks series by reconstruction error, the mean squared error in units of each channel's
standard deviation. With --steps, ranks stretches of timesteps: those beyond the threshold
of a model that was trained with --contamination, otherwise those with at least half of
the largest error of their series. DATA may be larger than memory.""",
    "info": """\
Verifies the checksums of a model file, or of an ONNX file that seqfeat export wrote, and
of its card, and prints the card. The model is not loaded, so this is safe with files from
untrusted sources.""",
    "export": """\
Writes scaling, encoder and classifier as a single ONNX graph, which runs without Python.
The output of the graph is checked against the model's before the file is written. A card
next to it, FILE.json, holds its checksum; seqfeat info FILE verifies it.""",
    "report": """\
Writes one HTML file that works offline: scores, confusion matrix, learning curve, an
interactive map of the series, and the most anomalous series.""",
    "convert": """\
The table has a column for the series' id, then time (0, 1, ...), channel_0, channel_1, ...,
and label if DATA has labels. DATA may be larger than memory.""",
}

EXAMPLES = {
    None: """\
  seqfeat train meters.csv --id meter --time day --label kind -o models/meters.joblib
  seqfeat embed models/meters.joblib new.csv -o features.parquet
  seqfeat report models/meters.joblib new.csv -o report.html
  seqfeat train --help""",
    "train": """\
  seqfeat train demo:japanese-vowels -o models/vowels.joblib
  seqfeat train wide.csv --label kind --id name --classifier svc -o models/wide.joblib
  seqfeat train long.parquet --id patient --time hour --channels pulse,spo2 \\
      --label outcome --missing mask --cv 5 --report report.html -o models/icu.joblib
  seqfeat train train.ts --test test.ts --embedding-dim 16,32,64 --jobs 2 -o models/a.joblib
  seqfeat train unlabelled.npy --set pooling=max -o models/features.joblib""",
    "search": """\
  seqfeat search train.ts --jobs 2 --plot sizes.png -o models/best.joblib
  seqfeat search long.csv --id meter --time day --label kind --embedding-dim 8,32,128
  seqfeat search train.ts --strategy halving --cluster tcp://scheduler:8786""",
    "embed": """\
  seqfeat embed models/meters.joblib new.csv -o features.parquet
  seqfeat embed models/meters.joblib huge.parquet -o features.npy
  seqfeat embed models/meters.joblib other.csv --id site -o features.csv""",
    "predict": """\
  seqfeat predict models/meters.joblib new.csv
  seqfeat predict models/meters.joblib new.csv --probabilities -o kinds.parquet
  seqfeat predict models/meters.joblib new.csv --json | jq .predictions""",
    "evaluate": """\
  seqfeat evaluate models/vowels.joblib demo:japanese-vowels
  seqfeat evaluate models/meters.joblib new.csv --label kind --json""",
    "anomalies": """\
  seqfeat anomalies models/meters.joblib new.csv --top 20
  seqfeat anomalies models/meters.joblib new.csv -o errors.csv
  seqfeat anomalies models/meters.joblib new.csv --steps --by-channel -o steps.parquet""",
    "info": """\
  seqfeat info models/meters.joblib
  seqfeat info models/meters.joblib --json | jq .metrics""",
    "export": "  seqfeat export models/meters.joblib -o meters.onnx",
    "report": """\
  seqfeat report models/vowels.joblib demo:japanese-vowels -o report.html
  seqfeat report models/meters.joblib new.csv --title 'Meters in May' -o report.html""",
    "convert": """\
  seqfeat convert demo:japanese-vowels:train -o utterances.csv
  seqfeat convert archive.ts -o archive.parquet""",
}


def examples_of(command: str | None) -> str:
    """Return the examples of a command, or with None those of the whole program."""
    return f"examples:\n{EXAMPLES[command]}"
