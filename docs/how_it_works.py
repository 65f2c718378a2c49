"""Draw the pictures of how-it-works.md: ``python docs/how_it_works.py`` (needs ``modeseek[plot,image]``).

All of them are made by the code that a fit runs, on real data: handwritten digits in the plane of their two principal
components, and the colours of a photograph.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, Rectangle
from scipy import ndimage
from skimage.color import rgb2lab
from sklearn.datasets import load_digits, load_sample_image
from sklearn.decomposition import PCA

import modeseek as ms
from modeseek.certify import Tubes
from modeseek.fields.bounds import CellBounds, bend
from modeseek.fields.dense import DenseField
from modeseek.fields.errors import deposit_weights
from modeseek.fields.table import TableField
from modeseek.proven import flooded
from modeseek.result import Problem

IMAGES = Path(__file__).parent / "images"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.6"
DIGITS, COLORS = 5.0, 2.5  # bandwidths
SPACING = 1 / 7
STARTS = np.array([[-19.0, -12.0], [6.0, 7.0]])  # of the two steps that are drawn
ARRIVES, LOST = (-24.0, -11.0), (9.0, 0.0)  # near these are the cells whose tubes are drawn


def digits() -> np.ndarray:
    """Return 1,797 handwritten digits in the plane of their two principal components."""
    return PCA(2, random_state=0).fit_transform(load_digits().data)


def problem_of(X, h):
    """Return the problem that a fit would solve."""
    return Problem(X, np.empty(0), np.array([X.min(axis=0), X.max(axis=0)]), h)


# ------------------------------------------------------------------------------------------------ nodes and splines


def one_point(ax):
    """Draw a point, and what each of its four nodes gets of it."""
    u = 0.3
    t = np.linspace(-2, 3, 1001)
    for node, share in deposit_weights(u, 3).items():
        v = np.abs(t - node)
        spline = np.where(v < 1, 2 / 3 - v**2 * (1 - v / 2), np.maximum(2 - v, 0) ** 3 / 6)
        ax.plot(t, spline, color=GREY, lw=1)
        ax.plot([node, node], [0, share], color=BLUE, lw=5, solid_capstyle="butt")
        ax.annotate(f"{share:.3f}", (node, share), (3, 3), textcoords="offset points", color=BLUE)
    ax.plot([u], [0], "o", color=ORANGE, ms=8, clip_on=False, zorder=5)
    ax.axvline(u, color=ORANGE, lw=1, ls=":")
    ax.set(title="A point goes to four nodes", xlabel="nodes, one spacing apart", xlim=(-2, 3), ylim=(0, 0.75))
    ax.set_xticks(range(-2, 4))


def masses(ax, X, h):
    """Draw points, and the masses of the nodes that stand for them."""
    nodes = ms.DensitySketch(h, spacing=SPACING, degree=3).add(X).nodes()
    index = np.argwhere(nodes.masses > 0)
    mass = nodes.masses[tuple(index.T)] / nodes.units_per_weight
    at = nodes.origin + (index + np.array(nodes.box.lower)) * nodes.delta
    ax.scatter(*at.T, s=70 * mass, color=BLUE, alpha=0.45, lw=0)
    ax.scatter(*X.T, s=9, color=ORANGE, lw=0)
    low = np.array([-18.0, 4.0])
    ax.set(xlim=(low[0], low[0] + 9), ylim=(low[1], low[1] + 9), aspect="equal")
    ax.set(title="Points, and masses of nodes", xlabel=f"digits; nodes {SPACING:.2g} h apart, h = {h:g}")


def step_errors(ax, X, h):
    """Draw how far a step on the sketch is from the step on the points, against the spacing."""
    exact, _ = DenseField(X, np.ones(len(X)), h).shift(X)
    spacings = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 16])
    for degree, color, marker in ((2, GREY, "s"), (3, BLUE, "o")):
        found = []
        for spacing in spacings:
            sketch = ms.DensitySketch(h, spacing=spacing, degree=degree).add(X)
            field = TableField(sketch.nodes(), h, sketch.kernel_bandwidth(), reach=7.0)
            found.append(np.linalg.norm(field.shift(X)[0] - exact, axis=1) / h)
        name = {2: "quadratic splines", 3: "cubic splines"}[degree]
        ax.plot(spacings, [np.median(e) for e in found], color=color, marker=marker, label=f"{name}, median")
        ax.plot(spacings, [e.max() for e in found], color=color, marker=marker, ls="--", label="largest")
    ax.plot(spacings, 2e-3 * spacings**4, color="black", lw=0.8, label="fourth order")
    ax.set(xscale="log", yscale="log", xlabel="spacing / h", title="Error of a step / h, at every digit")
    ax.set_xticks(spacings, ["1/2", "1/4", "1/8", "1/16"])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize="small")


# ------------------------------------------------------------------------------------------------ a ball and a tube


def density_over(ax, field, x, y):
    """Draw contours of the density, and return its grid."""
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    f = field.shift(grid.reshape(-1, 2))[1].reshape(len(y), len(x))
    ax.contour(x, y, f, levels=np.linspace(0, f.max(), 14)[1:], colors=GREY, linewidths=0.7)
    return f


def balls(ax, field, starts):
    """Draw the balls around the means of places, and the parts of {f >= f(x)} that they lie in."""
    x, y = np.linspace(-32, 34, 400), np.linspace(-30, 32, 400)
    f = density_over(ax, field, x, y)
    means, densities = field.shift(starts)
    for start, mean, density, color in zip(starts, means, densities, (ORANGE, BLUE), strict=True):
        parts, _ = ndimage.label(f >= density)
        own = parts[np.abs(y - mean[1]).argmin(), np.abs(x - mean[0]).argmin()]
        ax.contourf(x, y, parts == own, levels=[0.5, 1.5], colors=[color], alpha=0.2)
        ax.add_patch(Circle(mean, np.linalg.norm(mean - start), fc="none", ec=color, lw=2))
        arrow = {"arrowstyle": "->", "color": color, "lw": 2, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", mean, start, arrowprops=arrow)
        away = 11 * (start - mean) / np.linalg.norm(start - mean) - (3, 4)
        ax.annotate("x", start, away, textcoords="offset points", color=color)
    ax.set(aspect="equal", title="A step, its ball, and the part of {f ≥ f(x)} around it", xticks=[], yticks=[])


def radii_along(field, bounds: CellBounds, place, radius, most):
    """Return the places and radii (in the units of the data) of a tube, as `engines.cpu.tubes` makes it."""
    delta, h, places, radii = field.nodes.delta, field.bandwidth, [place], [radius]
    for _ in range(most):
        here = places[-1][None]
        growth = 1.0 + bend(field, bounds, here, radii[-1] / delta)[1][0]
        eta = bounds.near[field.nodes.nearest(here)[0], 4] * h
        radii.append(max(growth, 0.0) * radii[-1] + eta)
        places.append(field.shift(here)[0][0])
    return np.array(places), np.array(radii)


def tube(ax, problem):
    """Draw what the flood has proven, and the tubes of two cells beside it: one that arrives, one that is lost."""
    _, tubes, _ = flooded(problem, SPACING)
    field, nodes = tubes.field, tubes.field.nodes
    x0, x1, y0, y1 = -30, 32, -28, 30
    proven = tubes.table.cells.reshape(nodes.box.shape)
    edge = nodes.corner
    colors = plt.get_cmap("tab10")
    image = np.ones((*proven.shape, 4))
    for k in range(len(tubes.traps.radii)):
        image[proven == k] = (*colors(k)[:3], 0.35)
    far = edge + np.array(proven.shape) * nodes.delta
    ax.imshow(image.swapaxes(0, 1), extent=[edge[0], far[0], edge[1], far[1]], origin="lower", interpolation="nearest")
    density_over(ax, field, np.linspace(x0, x1, 300), np.linspace(y0, y1, 300))
    for centre, radius in zip(tubes.traps.centres, tubes.traps.radii, strict=True):
        ax.add_patch(Circle(centre, radius, fc="none", ec="black", lw=1.4))
        ax.plot(*centre, "x", color="black")
    for cell, color in zip(two_cells(tubes, problem.n), (BLUE, ORANGE), strict=True):
        draw_tube(ax, tubes, cell, color)
    ax.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal", xticks=[], yticks=[])
    ax.set_title("Cores, traps, and the tubes of two cells: one arrives, one is lost")


def two_cells(tubes, n):
    """Return a cell whose tube arrives after a long way, and one whose tube is lost, both of those that hold points."""
    nodes = tubes.field.nodes
    cells, _ = tubes.open_cells(n, 1.0)
    places = nodes.positions(cells)
    labels = tubes.run((places - nodes.corner) / nodes.delta, 0.5 * np.sqrt(2) + 1e-6, 2000, 1)
    chosen = []
    for known, near in ((labels >= 0, ARRIVES), (labels < 0, LOST)):
        chosen.append(cells[known][np.square(places[known] - near).sum(axis=1).argmin()])
    return chosen


def draw_tube(ax, tubes: Tubes, cell, color):
    """Draw the tube of a cell until it has arrived, or is wider than a node spacing."""
    field, nodes = tubes.field, tubes.field.nodes
    place = nodes.positions(np.array([cell]))[0]
    tubes.n_iter = 0
    tubes.run((place - nodes.corner)[None] / nodes.delta, 0.5 * np.sqrt(2), 2000, 1)
    steps = tubes.n_iter
    places, radii = radii_along(field, tubes.bounds, place, 0.5 * np.sqrt(2) * nodes.delta, steps)
    ax.add_patch(Rectangle(place - 0.5 * nodes.delta, nodes.delta, nodes.delta, fc="none", ec=color, lw=1.5))
    for at, radius in zip(places, radii, strict=True):
        ax.add_patch(Circle(at, radius, fc=color, ec=color, alpha=0.25, lw=0))
    ax.plot(*places.T, color=color, lw=1.2, marker=".", ms=3)


# ------------------------------------------------------------------------------------------------ what is proven


def proofs(plane, photograph, clusters):
    """Draw how the labels of a photograph's pixels by their colours are known, and where in the photograph they are."""
    picture = load_sample_image("flower.jpg")
    X = rgb2lab(picture).reshape(-1, 3)[:, 1:]
    model = ms.MeanShift(COLORS).fit(X)
    found = model.certificate_
    ms.plot.certificate(X, model, ax=plane)
    plane.set(xlabel="green to red", ylabel="blue to yellow")
    plane.set_title(f"{found.n:,} pixels by their colours: how each label is known")
    photograph.imshow(picture)
    photograph.set_title("The photograph")
    sums = np.stack([np.bincount(model.labels_, channel) for channel in picture.reshape(-1, 3).T], axis=1)
    means = sums / np.bincount(model.labels_)[:, None]
    clusters.imshow(means[model.labels_].reshape(picture.shape).astype(np.uint8))
    row, column = np.divmod(np.flatnonzero(found.status() == 3), picture.shape[1])
    clusters.plot(column, row, "^", mfc="none", mec="#e69f00", ms=7)
    clusters.set_title("In the mean colours of its clusters; triangles: undecided")
    for ax in (photograph, clusters):
        ax.set_axis_off()


def main():
    """Draw the three pictures."""
    X = digits()
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    one_point(axes[0])
    masses(axes[1], X, DIGITS)
    step_errors(axes[2], X, DIGITS)
    figure.savefig(IMAGES / "how_sketch.png", dpi=100)

    figure, axes = plt.subplots(1, 2, figsize=(13, 6.4), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.12)
    balls(axes[0], DenseField(X, np.ones(len(X)), DIGITS), STARTS)
    tube(axes[1], problem_of(X, DIGITS))
    figure.savefig(IMAGES / "how_tubes.png", dpi=100)

    figure, axes = plt.subplot_mosaic("AAB;AAC", figsize=(14.5, 7.6), layout="constrained")
    proofs(*axes.values())
    figure.savefig(IMAGES / "how_proofs.png", dpi=100)


if __name__ == "__main__":
    main()
