"""`kernels`: the weight of a neighbour against its distance, g(r) with r = |x - x_i| / h."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.kernels import KERNELS
from modeseek.plotting.arrays import positive
from modeseek.plotting.canvas import axes_or_new, caption
from modeseek.plotting.palette import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kernel = str | Callable[[Any], Any]

FORMULAS = {
    "gaussian": r"e^{-r^2/2}",
    "triangular": r"\max(0,\ 1 - r)",
    "epanechnikov": r"\max(0,\ 1 - r^2)",
    "biweight": r"\max(0,\ 1 - r^2)^2",
    "flat": r"1\ \mathrm{if}\ r \leq 1,\ \mathrm{else}\ 0",
}
DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
FARTHEST = 3.5  # bandwidths


def kernels(
    kernels: Kernel | Sequence[Kernel] = ("gaussian", "triangular"),
    *,
    bandwidth: float = 1.0,
    ax: "Axes | None" = None,
) -> "Axes":
    r"""Draw weight functions: how much a neighbour counts at which distance.

    A step of mean shift moves x to the mean of the points x_i, each weighted by g(\|x - x_i\| / h).

    Parameters
    ----------
    kernels : str, callable or a sequence of them, default ("gaussian", "triangular")
        Names of weight functions of `modeseek.kernels`, or functions g(r) of the distance in bandwidths that
        take an array.
    bandwidth : float, default 1.0
        h. With 1.0 the distance is shown in bandwidths, otherwise in the units of the data.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default, a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    ValueError
        If a name is not known or a function returns something else than finite weights.

    Examples
    --------
    >>> import modeseek as ms
    >>> ax = ms.plot.kernels(["gaussian", "flat", lambda r: 1 / (1 + r**2)], bandwidth=2.5)
    >>> len(ax.lines)
    3
    """
    h = positive("bandwidth", bandwidth)
    single = isinstance(kernels, str) or callable(kernels)
    chosen: list[Any] = [kernels] if single else list(kernels)  # type: ignore[arg-type]
    if not chosen:
        raise ValueError(f"kernels is empty; name at least one of {', '.join(KERNELS)}")
    r = np.unique(np.concatenate([np.linspace(0.0, FARTHEST, 701), [np.nextafter(1.0, 2.0)]]))  # flat drops at 1
    curves = [(_label(kernel), _weights(kernel, r)) for kernel in chosen]
    ax = axes_or_new(ax, (6.4, 3.8))
    for i, (label, g) in enumerate(curves):
        color = COLORS[i % len(COLORS)]
        ax.fill_between(h * r, g, color=color, alpha=0.08, linewidth=0)
        ax.plot(h * r, g, color=color, ls=DASHES[i % len(DASHES)], lw=2.0, label=label)
    ax.set_xlim(0, h * FARTHEST)
    ax.set_ylim(bottom=min(0.0, *(g.min() for _, g in curves)))
    distance = "distance in bandwidths, $r = |x - x_i|\\,/\\,h$"
    unit = distance if h == 1 else f"distance $|x - x_i|$, bandwidth $h = {h:g}$"
    caption(ax, "How much a neighbour counts", unit, "weight $g(r)$")
    ax.legend(frameon=False)
    return ax


def _label(kernel: Any) -> str:
    name = kernel if isinstance(kernel, str) else getattr(kernel, "__name__", type(kernel).__name__)
    known = isinstance(kernel, str) or KERNELS.get(name) is kernel
    formula = FORMULAS.get(name) if known else None
    return f"{name}: $g(r) = {formula}$" if formula else name.strip("<>")


def _weights(kernel: Any, r: NDArray[np.float64]) -> NDArray[np.float64]:
    if isinstance(kernel, str):
        if kernel not in KERNELS:
            raise ValueError(f"unknown kernel {kernel!r}; known are {', '.join(KERNELS)}, or pass a function g(r)")
        kernel = KERNELS[kernel]
    elif not callable(kernel):
        raise TypeError(f"a kernel must be a name or a function g(r), got {kernel!r}")
    g = np.asarray(kernel(r), dtype=float)
    if g.shape != r.shape or not np.isfinite(g).all():
        raise ValueError(
            f"the kernel {_label(kernel)} must return one finite weight for each distance: an array of shape "
            f"{r.shape} for distances of that shape, got {g.shape}"
        )
    return g
