"""Pieces of HTML, escaped, and their style.

They know nothing of what they show; the page around them is that of `modeseek.plotting.explorer`. Pictures are linked
by name and lie beside the page.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

STYLE = """:root { --ground: #fdfdfb; --ink: #22252a; --faint: #646a73; --line: #dcded9; --card: #f3f4f0;
  --link: #175fa6; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181b; --ink: #e3e4e1; --faint: #9aa0a8; --line: #34383e; --card: #1f2226;
    --link: #7db5ec; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 58rem; background: var(--ground);
  color: var(--ink); font: 1.05rem/1.6 system-ui, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.4rem; margin: 3.2rem 0 .6rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
p, ul { max-width: 42rem; margin: .7rem 0; }
a { color: var(--link); }
nav ul { padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; }
figure { margin: 1.2rem 0; }
figure img { display: block; width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; }
figcaption, footer { color: var(--faint); font-size: .92rem; margin-top: .4rem; }
.row { display: grid; gap: 0 1.2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem 1rem .35rem 0; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
pre { overflow-x: auto; padding: .9rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; font: .82rem/1.45 ui-monospace, monospace; }
footer { margin-top: 4rem; border-top: 1px solid var(--line); padding-top: 1rem; }
"""


def contents(sections: Sequence["Section"]) -> str:
    """Return links to the sections."""
    links = "".join(f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in sections)
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>'


class Section:
    """A heading and the pieces below it."""

    def __init__(self, anchor: str, title: str, pieces: Iterable[str]):
        self.anchor, self.title, self.pieces = anchor, title, list(pieces)

    def html(self) -> str:
        """Return the section."""
        heading = f'<section id="{self.anchor}">\n<h2>{escape(self.title)}</h2>'
        return "\n".join([heading, *self.pieces, "</section>"])


def text(words: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(words)}</p>"


def links(files: Mapping[str, str]) -> str:
    """Return a paragraph of links: words, and the file beside the page that they lead to."""
    anchors = (f'<a href="{escape(file)}">{escape(words)}</a>' for words, file in files.items())
    return f"<p>{' &nbsp; '.join(anchors)}</p>"


def picture(file: str, caption: str, alt: str, still: str | None = None) -> str:
    """Return a captioned picture, linked to its full size; `still` is for those who want no motion."""
    quiet = f'<source srcset="{escape(still)}" media="(prefers-reduced-motion: reduce)">' if still else ""
    image = f'<img src="{escape(file)}" alt="{escape(alt)}" loading="lazy">'
    shown = f"<picture>{quiet}{image}</picture>" if still else image
    shown = f'<a href="{escape(file)}">{shown}</a>'
    return f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>"


def side_by_side(*figures: str) -> str:
    """Return figures in a row that becomes a column on a narrow screen."""
    return f'<div class="row">{"".join(figures)}</div>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; all columns but the first are numbers, and stand at the right."""

    def line(cells: Sequence[str], tag: str) -> str:
        first, *others = (escape(cell) for cell in cells)
        numbers = "".join(f'<{tag} class="number">{cell}</{tag}>' for cell in others)
        return f"<tr><{tag}>{first}</{tag}>{numbers}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div class="scroll"><table><thead>{line(headings, "th")}</thead><tbody>{body}</tbody></table></div>'


def terminal(command: str, output: str = "") -> str:
    """Return a command, broken before its options if it is long, and what it printed."""
    shown = command if len(command) <= 90 else command.replace(" --", " \\\n    --")
    printed = "\n".join(line.rstrip() for line in output.strip("\n").splitlines())
    return f"<pre>$ {escape(shown)}\n{escape(printed)}</pre>"
