"""Pictures of the density: what is drawn is what the model says, contours hold their modes, borders part labels."""

import doctest

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.path import Path

import modeseek as ms
from modeseek.plotting import borders, hills, mesh, palette, ways

CENTRES = np.array([[0.0, 0.0], [5.0, 1.0], [2.0, 5.5]])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(7)
    return CENTRES[np.repeat([0, 1, 2], [200, 150, 100])] + rng.normal(size=(450, 2))


@pytest.fixture(scope="module")
def model(X):
    found = ms.MeanShift(1.0).fit(X)
    assert len(found.cluster_centers_) == 3
    return found


def nodes_of(image):
    """Places of the pixels of an image, (rows, columns, 2)."""
    rows, columns = image.get_array().shape[:2]
    left, right, bottom, top = image.get_extent()
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    return np.stack(np.meshgrid(x, y), axis=-1)


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("bandwidth", [1.0, [0.8, 1.5], [[1.0, 0.4], [0.4, 1.2]], "adaptive-knn"])
def test_the_image_is_the_density_of_the_model(X, bandwidth):
    fitted = ms.MeanShift(bandwidth).fit(X)
    ax = ms.plot.density(X, bandwidth, n_nodes=40)
    image = ax.images[0]
    assert image.origin == "lower"
    expected = np.exp(fitted.score_samples(nodes_of(image).reshape(-1, 2)))
    np.testing.assert_allclose(image.get_array().ravel(), expected, rtol=1e-9)
    (marks,) = (line for line in ax.lines if line.get_label() == "mode")
    np.testing.assert_allclose(marks.get_xydata(), fitted.cluster_centers_)


def test_points_a_model_and_a_model_of_points_give_one_density(X, model):
    of_points, of_model, alone = (ms.plot.density(*given) for given in ((X, 1.0), (X, model), (model,)))
    np.testing.assert_array_equal(of_points.images[0].get_array(), of_model.images[0].get_array())
    pixels = alone.images[0].get_array()
    np.testing.assert_allclose(pixels.max(), of_points.images[0].get_array().max(), rtol=0.01)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert edge.max() < 2 * mesh.FAINT * pixels.max()  # nothing lies beyond the picture


@pytest.mark.parametrize("d", [1, 2])
def test_a_sketch_is_drawn_by_its_own_density(X, d):
    sketch = ms.DensitySketch(1.0, spacing=0.25, degree=3).add(X[:, :d])
    ax = ms.plot.density(sketch)
    if d == 2:
        drawn, places = ax.images[0].get_array().ravel(), nodes_of(ax.images[0]).reshape(-1, 2)
    else:
        places, drawn = np.concatenate([line.get_xydata() for line in ax.lines[:-1]]).T
        places = places[:, None]
    np.testing.assert_allclose(drawn, sketch.density(places), atol=1e-3 * drawn.max())


def test_a_curve_holds_all_mass_and_each_part_has_the_colour_of_its_cluster(X):
    x = X[:, :1]
    model = ms.MeanShift(0.8).fit(x)
    ax = ms.plot.density(x, model)
    *parts, marks = ax.lines
    assert len(parts) == len(model.cluster_centers_) == 2
    area = 0.0
    for part in parts:
        at, f = part.get_xydata().T
        area += float((np.diff(at) * 0.5 * (f[1:] + f[:-1])).sum())
        np.testing.assert_allclose(f, np.exp(model.score_samples(at[:, None])), rtol=1e-9)
        inside = at[(at > at[0] + 0.01) & (at < at[-1] - 0.01), None]
        (label,) = np.unique(model.predict(inside))
        assert to_rgb(part.get_color()) == pytest.approx(tuple(palette.COLORS[label]))
    assert area == pytest.approx(1.0, abs=2e-3)
    np.testing.assert_allclose(marks.get_xdata(), model.cluster_centers_[:, 0])


def test_on_a_line_borders_are_the_minima_of_the_density(X):
    model = ms.MeanShift(0.8).fit(X[:, :1])
    around = np.array([X[:, :1].min(axis=0), X[:, :1].max(axis=0)])
    (cut,) = mesh.mesh_of(model, around).borders()
    here, left, right = model.score_samples([[cut], [cut - 0.05], [cut + 0.05]])
    assert here < min(left, right)


# ---------------------------------------------------------------------------------------------- contours


def test_contours_enclose_what_is_denser_and_so_their_modes(X, model):
    ax = ms.plot.density(X, model, kind="contour", n_nodes=200)
    (lines,) = (c for c in ax.collections if hasattr(c, "levels"))
    rng = np.random.default_rng(0)
    places = np.vstack([model.cluster_centers_, rng.uniform(X.min(axis=0), X.max(axis=0), (300, 2))])
    f = np.exp(model.score_samples(places))
    assert len(lines.levels) == len(hills.SHARES)
    for level, loops in zip(lines.levels, lines.get_paths(), strict=True):
        polygons = [Path(polygon) for polygon in loops.to_polygons(closed_only=False)]
        inside = sum(polygon.contains_points(places).astype(int) for polygon in polygons) % 2 == 1
        clear = np.abs(f / level - 1) > 0.05
        np.testing.assert_array_equal(inside[clear], (f > level)[clear])
    assert (f[:3] > lines.levels[0]).all()


def test_a_contour_encloses_its_share_of_the_points(X, model):
    levels = mesh.mesh_of(model, np.array([X.min(axis=0), X.max(axis=0)])).levels(np.array([0.5, 0.9]))
    rng = np.random.default_rng(1)
    drawn = X[rng.integers(0, len(X), 20_000)] + rng.normal(size=(20_000, 2))  # from the density itself
    f = np.exp(model.score_samples(drawn))
    np.testing.assert_allclose([(f > level).mean() for level in levels], [0.5, 0.9], atol=0.015)


def test_over_points_the_limits_are_kept(X, model):
    ax = ms.plot.clusters(X, model)
    limits = ax.axis()
    assert ms.plot.density(X, model, kind="contour", ax=ax) is ax
    assert ax.axis() == limits
    assert ax.get_title() == "3 clusters, 450 points"


# ----------------------------------------------------------------------------------------------- borders


def test_borders_part_the_labels(model):
    seen = mesh.mesh_of(model, None, 60)
    segments = seen.borders()
    differ = [
        (a != b).sum() for a, b in ((seen.labels[1:], seen.labels[:-1]), (seen.labels[:, 1:], seen.labels[:, :-1]))
    ]
    ends, times = np.unique(segments.reshape(-1, 2).round(9), axis=0, return_counts=True)
    outer = np.array([axis[[0, -1]] for axis in seen.axes])
    rim = np.isclose(ends[:, :, None], outer, atol=1e-7).any(axis=(1, 2))
    np.testing.assert_array_equal(times == 1, rim)  # no border ends but at the rim
    assert sum(differ) <= len(ends) <= sum(differ) + 3  # and the places where three meet
    step = seen.axes[0][1] - seen.axes[0][0]
    along = segments[:, 1] - segments[:, 0]
    length = np.linalg.norm(along, axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) / length[:, None]
    whole = length > 0.2 * step
    middle = segments.mean(axis=1)[whole]
    sides = [model.predict(middle + sign * 0.12 * step * across[whole]) for sign in (-1, 1)]
    assert (sides[0] != sides[1]).mean() > 0.97
    assert len(np.unique(np.concatenate(sides))) == 3


def test_a_border_is_found_to_a_hundredth_of_a_cell():
    def label(places):
        return (places @ [1.0, 2.0] > 0.37).astype(np.int64)

    axis = np.linspace(-1, 1, 12)
    found = borders.in_plane(
        label, axis, axis, label(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)).reshape(12, 12)
    )
    off = np.abs(found @ [1.0, 2.0] - 0.37) / np.sqrt(5)
    assert off.max() < 0.01 * (axis[1] - axis[0])
    assert not len(borders.in_plane(label, axis, axis, np.zeros((12, 12), np.int64)))
    assert np.abs(borders.on_line(lambda x: (x[:, 0] > 0.1).astype(int), axis, (axis > 0.1).astype(int)) - 0.1) < 2e-3


def test_borders_are_drawn_or_not(X, model):
    drawn, plain = (ms.plot.density(X, model, n_nodes=30, boundaries=b, modes=b) for b in (True, False))
    assert [len(ax.collections) for ax in (drawn, plain)] == [1, 0]
    assert not plain.lines


# ----------------------------------------------------------------------------------------------- surface


@pytest.mark.parametrize("boundaries", [True, False])
def test_a_surface_is_as_high_as_the_density(X, model, boundaries, monkeypatch):
    from mpl_toolkits.mplot3d import Axes3D

    given, plot_surface = [], Axes3D.plot_surface
    monkeypatch.setattr(Axes3D, "plot_surface", lambda ax, *z, **how: given.append(z) or plot_surface(ax, *z, **how))
    ax = ms.plot.density(X, model, kind="surface", n_nodes=30, boundaries=boundaries)
    ((x, y, z),) = given
    expected = np.exp(model.score_samples(np.stack([x, y], axis=-1).reshape(-1, 2)))
    np.testing.assert_allclose(z.ravel(), expected, rtol=1e-9)
    mode_x, mode_y, mode_z = ax.lines[0].get_data_3d()
    np.testing.assert_allclose(np.stack([mode_x, mode_y], axis=1), model.cluster_centers_)
    assert (mode_z > np.exp(model.score_samples(model.cluster_centers_))).all()
    assert ax.get_zlim()[0] == 0
    ax.figure.canvas.draw()


# ------------------------------------------------------------------------------------------------- paths


def test_paths_begin_at_points_and_end_in_the_modes_of_their_colours(X, model):
    ax = ms.plot.paths(X, model, n_paths=60)
    (lines,) = (c for c in ax.collections if c.get_label() == "_paths")
    ways = np.array(lines.get_segments())
    assert len(ways) == 60
    assert {tuple(place) for place in ways[:, 0]} <= {tuple(row) for row in X}
    labels = model.predict(ways[:, 0])
    assert np.linalg.norm(ways[:, -1] - model.cluster_centers_[labels], axis=1).max() < 0.02
    np.testing.assert_allclose(lines.get_colors()[:, :3], palette.colors_of(labels))
    assert len(ax.images) == 1
    assert ax.get_title() == "60 paths to 3 modes, bandwidth 1"
    logs = model.score_samples(ways.reshape(-1, 2)).reshape(60, -1)
    assert (np.diff(logs, axis=1) > -1e-9).all()  # uphill


def test_paths_from_other_places_of_blurring_and_of_more_columns(X):
    ax = ms.plot.paths(X, 1.0, starts=[[2.0, 2.0], [9.0, 9.0]], density=False)
    assert ax.get_title().startswith("2 paths")
    assert not ax.images
    blurred = ms.MeanShift(1.0, blurring=True).fit(X)
    assert ms.plot.paths(X, blurred).get_title().endswith(f"{len(blurred.cluster_centers_)} modes, bandwidth 1")
    wide = np.column_stack([X, X[:, 0]])
    ax = ms.plot.paths(wide, 1.2, columns=(2, 1))
    assert (ax.get_xlabel(), len(ax.images)) == ("column 2", 0)
    ax = ms.plot.paths(X[:, 0], 1.0)
    assert ax.get_ylabel() == "step"
    with pytest.raises(ValueError, match="starts is empty"):
        ms.plot.paths(X, 1.0, starts=[])
    with pytest.raises(ValueError, match="starts has 3 columns but X has 2"):
        ms.plot.paths(X, 1.0, starts=[[0.0, 0.0, 0.0]])


# ------------------------------------------------------------------------------------------ inputs, errors


def test_columns_are_chosen_and_name_the_axes(X):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"kind": ["a"] * 450, "east": X[:, 0], "north": X[:, 1]})
    ax = ms.plot.density(frame, 1.0, columns=("north", "east"), n_nodes=30)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("north", "east")
    expected = ms.plot.density(X[:, ::-1], 1.0, n_nodes=30)
    np.testing.assert_array_equal(ax.images[0].get_array(), expected.images[0].get_array())
    assert ms.plot.density(frame, 1.0, columns="east").get_ylabel() == "density"
    named = ms.MeanShift(1.0).fit(frame[["east", "north"]])
    assert ms.plot.density(named, n_nodes=30).get_xlabel() == "east"


@pytest.mark.parametrize("kind", hills.KINDS)
def test_far_from_the_origin_few_points_and_equal_ones_have_a_density(X, kind):
    for points in (X[:60] + 1e9, X[:1], np.ones((5, 2)), X[:60] * [1, 0], np.rint(X[:60]).astype(np.int8)):
        ax = ms.plot.density(points, 1.0, kind=kind, n_nodes=24)
        ax.figure.canvas.draw()
        assert "bandwidth 1" in ax.get_title()


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (np.zeros((5, 3)), {}, r"X has 3 columns, .* columns=\(0, 1\)"),
        (np.zeros((0, 2)), {}, "empty"),
        ([[0.0, np.nan]], {}, "NaN or infinity, the first in row 0, column 1"),
        (np.zeros((5, 2)), {"kind": "scatter"}, "kind must be one of 'image', 'contour', 'surface'"),
        (np.zeros((5, 1)), {"kind": "surface"}, "one column is a curve"),
        (np.zeros((5, 2)), {"kind": "contour", "shares": [0.5, 1.0]}, "shares must lie between 0 and 1"),
        (np.zeros((5, 2)), {"n_nodes": 1}, "n_nodes must be at least 2"),
        (np.zeros((5, 2)), {"bandwidth": ms.MeanShift(1.0, kernel="flat")}, "kernel='flat': pass X and a bandwidth"),
        (np.ones((5, 2)), {"bandwidth": ms.MeanShift(0.1, metric="cosine")}, "directions"),
        (ms.MeanShift(1.0), {}, "not fitted"),
        (ms.MeanShift(1.0).fit(np.zeros((5, 4))), {}, "has 4 columns, and a density can be drawn of one or two"),
        (ms.MeanShift(1.0).fit(np.zeros((5, 2))), {"bandwidth": 2.0}, "leave bandwidth and columns out"),
        (ms.DensitySketch(1.0), {}, "empty"),
    ],
)
def test_errors(given, options, message):
    with pytest.raises(ValueError, match=message):
        ms.plot.density(given, **({"bandwidth": 1.0} if isinstance(given, np.ndarray | list) else {}) | options)
    assert not plt.get_fignums()


def test_a_model_of_other_columns_and_a_surface_on_plain_axes(X, model):
    with pytest.raises(ValueError, match="fitted to 2 columns, but X has 1"):
        ms.plot.density(X[:, :1], model)
    with pytest.raises(TypeError, match="bandwidth must be a bandwidth or a MeanShift, got KMeans"):
        ms.plot.density(X, ms.KMeans(3))
    with pytest.raises(ValueError, match=r'subplot_kw=\{"projection": "3d"\}'):
        ms.plot.density(X, model, kind="surface", ax=plt.subplots()[1])


def test_streams_keep_their_labels(X):
    stream = ms.MeanShift(1.0).partial_fit(X)
    ms.plot.density(stream, n_nodes=20)
    assert len(stream.labels_) == len(X)


@pytest.mark.parametrize("module", [hills, ways])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0
