"""What ``--help`` says beyond the options, with examples."""

from __future__ import annotations

__all__ = ["DETAILS", "of"]

DETAILS = {
    "train": """\
Learns features without the labels, then a classifier of the features, and compares
accuracy with what is simpler: the most frequent class, raw values, PCA, an untrained
encoder. Without labels it learns the features alone.

The model that is saved is the one that was measured, unless --cv or --refit say
otherwise. Ctrl-C ends the training and keeps what was trained.""",
    "search": """\
Cross-validates each size, shows score against size, time of a fit and bytes of the
file, and with -o trains the best on all of DATA and saves it. Without labels the score
is the share of the variance that the reconstruction explains.""",
    "embed": """\
DATA may be larger than memory: tables and .npy are read in parts, and the output is
written as they come and takes its place when it is whole. A long table has to be
sorted by series for that; one that is not is read whole, which is said.""",
    "predict": "DATA may be larger than memory, as for seqfeat embed.",
    "evaluate": """\
Accuracy with its 95 % interval, each class's precision and recall, who is taken for
whom, and how well the series are rebuilt. DATA may be larger than memory.""",
    "anomalies": """\
The series that the model rebuilds worst, from the worst on; errors are mean squares in
units of each channel's standard deviation. DATA may be larger than memory.""",
    "info": """\
Prints the model's card after checking that the file is the one that was saved. Opens
nothing, so it is safe for files from anybody.""",
    "export": """\
One file that runs wherever ONNX does, without Python: scaling, encoder and classifier.
Compared with the model before it is written.""",
    "report": """\
A single HTML file that asks no host for anything: scores, confusion matrix, learning
curve, a map of the series to point at, the strangest series.""",
    "convert": """\
The columns are those of the series' ids, time (0, 1, ...), channel_0, channel_1 and so
on, and label if there are labels. DATA may be larger than memory.""",
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
  seqfeat anomalies models/meters.joblib new.csv -o errors.csv""",
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


def of(command: str | None) -> str:
    """Return the examples of a command, or of the whole program."""
    return f"examples:\n{EXAMPLES[command]}"
