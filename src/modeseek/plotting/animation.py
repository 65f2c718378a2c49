"""`animate`: points flowing to their modes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting import arrays, models
from modeseek.plotting.canvas import axes_or_new, caption, mark_centers, need_matplotlib, share_scale, some_rows
from modeseek.plotting.journey import Journey
from modeseek.plotting.journey import blurring as blur
from modeseek.plotting.journey import climbing as climb
from modeseek.plotting.movie import check_target, write
from modeseek.plotting.palette import colors_of
from modeseek.plotting.scatter import marker_area

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes

PLANE, LINE, DPI = (6.0, 5.2), (6.4, 2.8), 90  # inches, inches, dots per inch
MODE_SIZE = 6.0
REST = 800  # milliseconds that the first and the last frame are held


def animate(
    X: Any,
    bandwidth: Any,
    *,
    blurring: bool = False,
    n_frames: int = 40,
    weights: Any = None,
    labels: Any = None,
    columns: arrays.Columns = (0, 1),
    max_points: int = 3000,
    interval: float = 80,
    save: str | Path | None = None,
    ax: "Axes | None" = None,
) -> "FuncAnimation":
    """Animate mean shift: points flow to their modes, in the colours of the clusters that they end in.

    In the standard form each position climbs the density of the data, which stay where they are (shown pale), ::

        x <- sum_i w_i g(|x - x_i| / h) x_i / sum_i w_i g(|x - x_i| / h),
        g(r) = exp(-r^2 / 2);

    the positions are those of `MeanShift.path`. In the blurring form the data themselves move, for the five
    rounds of the fast.ai notebook (`modeseek.textbook.meanshift`). Frames are interpolated between the steps,
    more of them where points move farther.

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        Points. One column is drawn as a strip.
    bandwidth : float, what else ``MeanShift(bandwidth)`` takes, or a MeanShift
        h, in the units of X. The blurring form needs a number. Of a model the points take the way that its ``path``
        tells, with its kernel and metric; ``MeanShift(h, blurring=True)`` blurs until nothing moves any more.
    blurring : bool, default False
        Whether the data themselves move, for five rounds.
    n_frames : int, default 40
        Number of different frames; the first and the last are held for a moment.
    weights : array-like of shape (n,), optional
        Sample weights, for the standard form.
    labels : array-like of shape (n,), optional
        Colours by these labels (negative: grey) instead of the clusters that the points end in.
    columns : int, str or two of them, default (0, 1)
        Columns to draw; the clustering uses all.
    max_points : int, default 3000
        Most points that are drawn; of more, as many at random. In the standard form the density is still that
        of all points.
    interval : float, default 80
        Milliseconds a frame.
    save : str or path, optional
        Also write it: ``.gif``, ``.html`` (one page with a player, which needs nothing else), or ``.mp4`` if
        ffmpeg is installed.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default, a new figure (a pyplot figure, unless `save` is given).

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Keep a reference to it as long as it is to run. In a Jupyter notebook, show it by
        ``IPython.display.HTML(animation.to_jshtml())``.

    Raises
    ------
    ValueError
        If X is empty or holds NaN, labels or columns do not fit it, or `save` has an unknown suffix.
    TypeError
        If X is not numeric or labels are not integers.
    RuntimeError
        If ``.mp4`` is asked for and there is no ffmpeg.
    ImportError
        If Matplotlib is not installed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> with TemporaryDirectory() as folder:
    ...     target = Path(folder) / "points.gif"
    ...     animation = ms.plot.animate(X[::20], bandwidth=2.5, n_frames=4, save=target)
    ...     target.read_bytes()[:3]
    b'GIF'
    """
    need_matplotlib()
    target = None if save is None else check_target(save)
    table = arrays.Table.of(X, columns)
    matrix = table.matrix()
    n_frames, interval = arrays.as_count("n_frames", n_frames, 2), arrays.positive("interval", interval)
    colors = None if labels is None else arrays.as_labels(labels, table.n)
    rows = some_rows(table.n, arrays.as_count("max_points", max_points))
    if blurring and weights is not None:
        raise ValueError("weights are for the standard form: leave them out, or blurring=False")
    if blurring and models.is_model(bandwidth) and not bandwidth.blurring:
        raise ValueError("the model climbs: leave out blurring=True, or pass MeanShift(bandwidth, blurring=True)")
    moves_all = blurring and not models.is_model(bandwidth)
    journey = blur(matrix, rows, bandwidth) if moves_all else climb(matrix, rows, bandwidth, weights)
    scene = _Scene(
        _axes(ax, target, PLANE if len(table.columns) == 2 else LINE),
        journey,
        table.columns,
        journey.labels if colors is None else colors[rows],
    )
    caption(scene.ax, "", *[*table.axis_names(), ""][:2])
    animation = scene.animation(n_frames, interval)
    if target is not None:
        if ax is None:  # lay out once, not for every frame
            scene.figure.draw_without_rendering()
            scene.figure.set_layout_engine("none")
        write(animation, target, 1000 / interval, journey.title)
    return animation


def _axes(ax: "Axes | None", target: Path | None, size: tuple[float, float]) -> "Axes":
    """Return `ax`, or a new one; a figure made to be written is not pyplot's and need not be closed."""
    if ax is None and target is not None:
        from matplotlib.figure import Figure

        return Figure(figsize=size, dpi=DPI, layout="constrained").subplots()
    return axes_or_new(ax, size)


class _Scene:
    """The artists of an animation: where the points were, where they are, the modes, the step."""

    def __init__(self, ax: "Axes", journey: Journey, columns: list[int], labels: NDArray[np.integer[Any]]):
        self.ax, self.journey, self.columns = ax, journey, columns
        self.figure: Any = ax.get_figure(root=True)
        rng = np.random.default_rng(0)
        self.height = rng.uniform(-1, 1, len(labels)) if len(columns) == 1 else None
        self.order = rng.permutation(len(labels))
        starts, colors = self.on_plane(journey.steps[0]), colors_of(labels)[self.order]
        x, y = starts.T
        area = marker_area(len(labels))
        ax.scatter(x, y, s=area, c=colors, alpha=0.28, linewidths=0, zorder=1)
        self.points = ax.scatter(x, y, s=1.6 * area, c=colors, linewidths=0, zorder=3)
        self.modes = mark_centers(ax, self.modes_on_plane(), ms=MODE_SIZE, mew=1.5)
        if self.height is None:
            share_scale(ax, np.ptp(starts, axis=0))
        else:
            ax.set_yticks([])
        self.heading = ax.set_title(journey.title)

    def on_plane(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return drawn coordinates, (m, 2), in drawing order; points on a line are spread over its width."""
        if self.height is None:
            return positions[self.order][:, self.columns]
        return np.column_stack([positions[:, self.columns[0]], self.height])[self.order]

    def modes_on_plane(self) -> NDArray[np.float64]:
        """Return the drawn coordinates of the modes."""
        modes = self.journey.modes[:, self.columns]
        return modes if self.height is None else np.column_stack([modes, np.zeros(len(modes))])

    def show(self, frame: tuple[float, float]) -> list[Any]:
        """Draw a moment, with marks at the modes that have grown so far."""
        moment, mark = frame
        self.points.set_offsets(self.on_plane(self.journey.at(moment)))
        self.modes.set(visible=mark > 0, markersize=MODE_SIZE * mark)
        self.heading.set_text(f"{self.journey.title}: step {round(moment)} of {self.journey.last}")
        return [self.points, self.modes, self.heading]

    def animation(self, n_frames: int, interval: float) -> "FuncAnimation":
        """Return the animation; the first and the last frame repeat, so that they are held."""
        from matplotlib.animation import FuncAnimation

        moments = self.journey.moments(n_frames)
        marks = np.clip(np.linspace(-3.0, 1.0, n_frames), 0.0, 1.0)  # they appear as the last points arrive
        held = round(REST / interval)
        frames = list(zip(moments.tolist(), marks.tolist(), strict=True))
        frames = [*frames[:1] * held, *frames, *frames[-1:] * held]
        self.show(frames[0])
        return FuncAnimation(self.figure, self.show, frames=frames, interval=interval, blit=False)
