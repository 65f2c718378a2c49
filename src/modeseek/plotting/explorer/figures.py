"""The two plots of the page, as Bokeh models without data: the map of the points, and the stability plot.

`page.js` fills and updates them. Bokeh numbers its models as they are made; here they are numbered anew, so that the
same input gives the same page.
"""

import json
import re
from typing import Any

import numpy as np
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, FixedTicker, LinearColorMapper, LogTicker, Range1d
from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.plotting import figure
from bokeh.resources import Resources

from modeseek.plotting.palette import COLORS
from modeseek.scale_space import BandwidthPath

HEX = ["#" + bytes(np.rint(255 * color).astype(np.uint8)).hex() for color in COLORS]


def library() -> str:
    """Return BokehJS."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw).replace(
        "</script", "<\\/script"
    )


def map_figure() -> dict[str, Any]:
    """Return the plot of two columns: an image, points, modes, and a ring around the point below the pointer."""
    plot: Any = figure(
        sizing_mode="stretch_both", x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1),
        tools="pan,box_zoom,wheel_zoom,reset",
        active_drag="pan", active_scroll=None, output_backend="canvas", toolbar_location="above", name="map",
    )  # fmt: skip
    plot.toolbar.logo = None  # it leads out of the page
    image = ColumnDataSource(
        {"image": [np.zeros((1, 1), np.uint32)], "x": [0], "y": [0], "w": [1], "h": [1]}, name="image"
    )
    plot.image_rgba("image", x="x", y="y", dw="w", dh="h", source=image)
    colors = LinearColorMapper(palette=HEX, low=-0.5, high=len(HEX) - 0.5)
    points = ColumnDataSource({"x": [], "y": [], "color": []}, name="points")
    plot.scatter("x", "y", size=5, line_color=None, fill_alpha=0.85, fill_color={"field": "color", "transform": colors},
                 source=points)  # fmt: skip
    modes = ColumnDataSource({"x": [], "y": []}, name="modes")
    plot.scatter("x", "y", marker="x", size=13, line_color="white", line_width=5.5, source=modes)
    plot.scatter("x", "y", marker="x", size=12, line_color="black", line_width=2.2, source=modes)
    under = ColumnDataSource({"x": [], "y": []}, name="under")
    plot.scatter("x", "y", size=13, fill_color=None, line_width=2.5, source=under, name="ring")
    return _numbered(plot)


def stability_figure(path: BandwidthPath, start: float) -> dict[str, Any]:
    """Return the number of clusters against the bandwidth, as `modeseek.plot.bandwidths` draws it."""
    h = path.bandwidths
    edges = np.concatenate([h[:1], np.sqrt(h[1:] * h[:-1]), h[-1:]])
    steps = np.repeat(edges, 2)[1:-1]
    modes = np.minimum(path.n_modes, 3 * path.n_clusters.max())
    top = float(modes.max())
    plot: Any = figure(
        sizing_mode="stretch_both", x_axis_type="log", x_range=Range1d(start=float(h[0]), end=float(h[-1])), tools="",
        name="stability", y_range=Range1d(start=0, end=top + 1), toolbar_location=None,
        x_axis_label="bandwidth", y_axis_label="clusters",
    )  # fmt: skip
    plot.xaxis.ticker = plot.xgrid.ticker = LogTicker(mantissas=[1, 2, 5])
    every = max(1, int(np.ceil((top + 1) / 6)))
    plot.yaxis.ticker = FixedTicker(ticks=list(range(0, int(top) + 2, every)))
    plot.ygrid.ticker = plot.yaxis[0].ticker
    if path.chosen is not None:
        plot.add_layout(BoxAnnotation(left=path.chosen.low, right=path.chosen.high, fill_color=HEX[0], fill_alpha=0.16,
                                      line_color=None))  # fmt: skip
    plot.line(steps, np.repeat(modes, 2), line_color="#949494", line_width=1.6, legend_label="modes of 2 % and more")
    plot.line(steps, np.repeat(path.n_clusters, 2), line_color=HEX[0], line_width=3, legend_label="more than chance")
    plot.add_layout(Span(location=start, dimension="height", line_width=2, line_dash="dashed", name="now"))
    plot.legend.background_fill_alpha = 0
    plot.legend.border_line_color = None
    plot.legend.padding = 2
    return _numbered(plot)


def _numbered(plot: Any) -> dict[str, Any]:
    """Return the plot as Bokeh writes it, its models numbered from 1."""
    plot.background_fill_color = plot.border_fill_color = None  # until the page gives its own, dark or light
    text = json.dumps(json_item(plot))
    names = dict.fromkeys(re.findall(r'"id": "(p\d+)"', text))
    new = {old: f"{plot.name}{number}" for number, old in enumerate(names, 1)}
    return json.loads(re.sub(r'"(p\d+)"', lambda match: f'"{new.get(match[1], match[1])}"', text))
