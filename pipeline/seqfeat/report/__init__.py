"""A report on a model and a set of series, as one HTML file. It needs ``seqfeat[report]``.

- `writer`: `save_report`, which checks its arguments, runs the analysis and writes the page
- `analysis`: everything that the model is asked about the series, as numbers
- `drawn_series`: selects the series to draw, thins long ones and packs them for the page
- `classification`: accuracy with its confidence interval, and how classes are confused
- `summary`: the model, its data, parameters and versions in words
- `figures`: the plots, made with Bokeh
- `page`: the HTML page, made with Jinja from ``assets/page.html``, ``.css`` and ``.js``
"""

from seqfeat.report.writer import save_report

__all__ = ["save_report"]
