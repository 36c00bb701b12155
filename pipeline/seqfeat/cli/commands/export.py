"""``seqfeat export``: a model as one ONNX file."""

from __future__ import annotations

import argparse
from typing import Any

from seqfeat.cli.console import Console
from seqfeat.cli.models import open_model
from seqfeat.cli.outputs import check_suffix, check_target
from seqfeat.saving.onnx import export_onnx

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result."""
    check_target(options.output, options.model)
    check_suffix(options.output, (".onnx",))
    model = open_model(options)
    path = export_onnx(model.estimator, options.output, dtype=options.dtype, opset=options.opset)
    size = path.stat().st_size
    console.say(f"{options.output}: {size / 1024:.0f} KiB, gives what {options.model} gives")
    return {"command": "export", "output": options.output, "bytes": size}
