"""Why a model predicts what it predicts: `occlusion`."""

from __future__ import annotations

__all__: list[str] = []
