"""`Exploration`: what the page shows, computed; and the page."""

import html as text
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting.explorer import document
from modeseek.plotting.explorer.census import census, sums_of
from modeseek.plotting.explorer.clusterings import Clusterings, Floats
from modeseek.plotting.explorer.packing import packed, quantised, smallest
from modeseek.plotting.explorer.shades import lasting_colors
from modeseek.scale_space import BandwidthPath

MOST_DRAWN = 4_000_000  # coordinates in a page
MOST_DESCRIBED = 50  # clusters in its table
MOST_STATISTICS = 300_000  # numbers of all of its tables


class Exploration:
    """Clusters at every bandwidth of a path, and the page that shows them.

    Attributes
    ----------
    path : BandwidthPath
        What `modeseek.bandwidth_path` found.
    bandwidths : ndarray of shape (m,)
        Ascending: those of the path, and the one it chose.
    start : int
        Number of the chosen one, from 0.
    """

    def __init__(
        self,
        X: NDArray[np.floating],
        sample_weight: Floats | None,
        found: Clusterings,
        names: list[str],
        title: str,
        standardize: bool = False,
        fidelity: str = "certified",
    ):
        self.path: BandwidthPath = found.path
        self.bandwidths, self.start, self.title = found.bandwidths, found.start, title
        self._found = found
        self._settings = f"standardize={standardize}, " * standardize + f'fidelity="{fidelity}"'
        self._data = self._described(X, sample_weight, names)

    def labels(self, stop: int) -> NDArray[np.int32]:
        """Return the labels at ``bandwidths[stop]``, (n,): those that are saved from the page."""
        return self._found.labels(stop)

    def html(
        self, title: str | None = None, *, lead: Sequence[str] = (), sections: Sequence[str] = (), footer: str = "",
        style: str = "",
    ) -> str:  # fmt: skip
        """Return the page.

        Parameters
        ----------
        title : str, optional
            Another one.
        lead, sections : sequence of str
            Pieces of HTML below the title, and below the plots: they go in as they are.
        footer : str
            Words at the end; they are escaped.
        style : str
            CSS for the pieces.

        Returns
        -------
        str
            The whole document.
        """
        return document.document(
            self._data, title or self.title, self.path, lead=lead, sections=sections, footer=footer, style=style
        )

    def save(self, path: str | Path) -> Path:
        """Write the page, and return where."""
        target = Path(path)
        target.write_text(self.html(), encoding="utf-8")
        return target

    def _repr_html_(self) -> str:
        """Return a frame that holds the page, for notebooks."""
        style = "width:100%;height:900px;border:0"
        return (
            f'<iframe title="{text.escape(self.title)}" style="{style}" srcdoc="{text.escape(self.html())}"></iframe>'
        )

    def _described(self, X: NDArray[np.floating], sample_weight: Floats | None, names: list[str]) -> dict[str, Any]:
        """Return all that the page knows, as it is written there."""
        (n, d), found = X.shape, self._found
        m = len(found.bandwidths)
        sums = sums_of(X, sample_weight, found)
        rows = int(np.clip(MOST_STATISTICS // (3 * d * m), 1, MOST_DESCRIBED))
        described = [census(found, sums, stop, rows) for stop in range(m)]
        n_drawn = min(n, max(1, MOST_DRAWN // d))
        drawn = (2 * np.arange(n_drawn) + 1) * n // (2 * n_drawn)
        columns = [quantised(X[drawn, column]) for column in range(d)]
        return {
            "n": n,
            "drawn": n_drawn,
            "names": names,
            "lows": [low for _, low, _ in columns],
            "highs": [high for _, _, high in columns],
            "settings": self._settings,
            "bandwidths": found.bandwidths.tolist(),
            "start": found.start,
            "rows": rows,
            "weighted": sample_weight is not None,
            "sizes": [len(c.counts) for c in described],
            "coordinates": packed(np.concatenate([q for q, _, _ in columns])),
            "codes": packed(smallest(found.codes)),
            "histories": packed(smallest(found.histories.T)),
            "counts": packed(smallest(np.concatenate([c.counts for c in described]))),
            "weights": packed(np.concatenate([c.weights for c in described])),
            "colors": packed(np.concatenate(lasting_colors(found, sums.weights))),
            "modes": packed(np.concatenate([modes[:rows].ravel() for modes in found.modes])),
            "means": packed(np.concatenate([c.means.ravel() for c in described])),
            "deviations": packed(np.concatenate([c.deviations.ravel() for c in described])),
        }
