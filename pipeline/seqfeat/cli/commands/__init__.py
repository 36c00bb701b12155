"""The commands of ``seqfeat``, one module each.

Each has a function ``run(options, console)``, which does the work, prints the result as
text and returns it for ``--json``.

- `train`, `search`: a model from a file
- `embed`, `predict`, `evaluate`, `anomalies`: what a model makes of new series
- `info`, `export`, `report`: a model as a summary, an ONNX file or an HTML page
- `convert`: series in one format from any other
"""
