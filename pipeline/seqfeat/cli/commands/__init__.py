"""The commands of ``seqfeat``, one module each.

Each has a function ``run(options, console)``, which does the work, prints the result as
text and returns it for ``--json``.

- `train`, `search`: fit a model and save it
- `embed`, `predict`, `evaluate`, `anomalies`: apply a saved model to series
- `info`, `export`, `report`: describe a saved model, or export it
- `convert`: rewrite series as a long table
"""
