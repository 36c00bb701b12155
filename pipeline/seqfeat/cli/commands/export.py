"""``seqfeat export``: write a model as an ONNX file with a card."""

from __future__ import annotations

import argparse
from typing import Any

from seqfeat.cli.console import Console
from seqfeat.cli.models import open_model
from seqfeat.cli.outputs import check_output, format_size
from seqfeat.saving.card_format import card_path
from seqfeat.saving.onnx import export_onnx

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return its result."""
    check_output(options.output, (".onnx",), options.model)
    model = open_model(options)
    path = export_onnx(model.estimator, options.output, dtype=options.dtype, opset=options.opset)
    n_bytes = path.stat().st_size
    console.print(
        f"Wrote {options.output} ({format_size(n_bytes)}), whose output matches {options.model}, "
        f"and its card {card_path(path)}."
    )
    return {"command": "export", "output": options.output, "bytes": n_bytes}
