"""The document around the plots: one HTML file that holds its style, its scripts, BokehJS and the data.

Names and titles are escaped here. The policy in its head forbids the page to connect to anything.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from modeseek.scale_space import BandwidthPath

SCRIPTS = ("unpack.js", "raster.js", "page.js")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; font-src data:; img-src data: blob:"
)
BESIDE = " 'self' file:"  # pictures of sections lie beside the page


def document(
    data: Mapping[str, Any],
    title: str,
    path: BandwidthPath,
    *,
    lead: Sequence[str] = (),
    sections: Sequence[str] = (),
    footer: str = "",
    style: str = "",
) -> str:
    """Return the page; `lead` and `sections` are pieces of HTML, `style` is CSS for them."""
    from modeseek.plotting.explorer import figures

    start = data["bandwidths"][data["start"]]
    content = {"data": data, "map": figures.map_figure(), "stability": figures.stability_figure(path, start),
               "palette": figures.HEX}  # fmt: skip
    return Template(_read("page.html")).substitute(
        title=escape(title),
        policy=POLICY + BESIDE * bool(sections or lead),
        style=_read("page.css") + style,
        lead="\n".join(lead),
        options="".join(f'<option value="{i}">{escape(name)}</option>' for i, name in enumerate(data["names"])),
        stops=len(data["bandwidths"]) - 1,
        start=data["start"],
        notes=escape(_notes(data)),
        sections="\n".join(sections),
        footer=f"<footer>{escape(footer)}</footer>" if footer else "",
        library=figures.library(),
        content=_in_script(content),
        script="\n".join(_read(name) for name in SCRIPTS),
    )


def _notes(data: Mapping[str, Any]) -> str:
    """Say what the labels are and what is drawn."""
    part = (
        "" if data["drawn"] == data["n"] else f" {data['drawn']:,} of the {data['n']:,} rows are drawn, evenly spaced."
    )
    return (
        f"Labels are those of MeanShift(bandwidth, {data['settings']}), clusters numbered by decreasing weight."
        f" Coordinates are drawn, and told at the pointer, to 1/65,535 of a column's range.{part}"
        " Labels, counts, means and standard deviations are those of all rows."
    )


def _read(name: str) -> str:
    return files("modeseek.plotting.explorer").joinpath(name).read_text(encoding="utf-8")


def _in_script(content: Any) -> str:
    """Return JSON in which nothing ends the script it stands in; what is not a number is null."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
