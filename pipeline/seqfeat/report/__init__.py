"""A report on a model and series: one HTML page that holds all it needs. Needs ``seqfeat[report]``.

- `sampling`: which series are drawn, and long ones thinned
- `findings`: what a model makes of series, each stage run once
- `scores`: accuracy, its confidence interval, confusions
- `facts`: parameters, versions and timings, in words
- `figures`: the plots, by Bokeh
- `page`: the HTML around them
- `saving`: `save_report`, which brings these together
"""

from seqfeat.report.saving import save_report

__all__ = ["save_report"]
