"""Pictures, looked at through their artists: what is drawn, where, in which colour, and what is refused."""

import doctest
import re
import subprocess
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

import modeseek as ms
from modeseek.kernels import KERNELS
from modeseek.plotting import arrays, journey, movie, palette, raster, scatter, weights

TRUE = np.array([[0.0, 0.0], [10.0, 2.0], [3.0, 9.0]])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def blobs():
    """Points and labels: clusters of 60, 40 and 20."""
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1, 2], [60, 40, 20])
    return TRUE[labels] + rng.normal(size=(120, 2)), labels


def drawn_points(ax):
    """Positions and colours of the points of a scatter plot, the empty artists of the legend left out."""
    collections = [c for c in ax.collections if len(c.get_offsets())]
    colors = [np.broadcast_to(c.get_facecolors()[:, :3], (len(c.get_offsets()), 3)) for c in collections]
    return np.concatenate([c.get_offsets() for c in collections]), np.concatenate(colors)


def legend_names(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# ------------------------------------------------------------------------------------------------ clusters


def test_every_point_is_drawn_where_it_is_in_the_colour_of_its_label(blobs):
    X, labels = blobs
    labels = np.where(np.arange(120) % 10 == 0, -1, labels)
    xy, colors = drawn_points(ms.plot.clusters(X, labels))
    order, drawn = np.lexsort(X.T), np.lexsort(xy.T)
    np.testing.assert_array_equal(xy[drawn], X[order])
    np.testing.assert_allclose(colors[drawn], palette.colors_of(labels)[order])
    assert len(np.unique(colors, axis=0)) == 4


def test_a_cluster_keeps_its_colour_in_any_picture(blobs):
    X, labels = blobs
    _, both = drawn_points(ms.plot.clusters(X, labels))
    _, alone = drawn_points(ms.plot.clusters(X[labels == 2], labels[labels == 2]))
    assert {tuple(c) for c in alone} == {to_rgb(palette.HUES[2])} < {tuple(c) for c in both}


def test_title_and_legend_count_points(blobs):
    X, labels = blobs
    labels = labels.copy()
    labels[:5] = -1
    ax = ms.plot.clusters(X, labels, TRUE, true_centers=TRUE)
    assert ax.get_title() == "3 clusters, 120 points (5 noise)"
    assert legend_names(ax) == ["0 (55)", "1 (40)", "2 (20)", "noise (5)", "centre", "true centre"]
    assert ms.plot.clusters(X, labels, legend=False).get_legend() is None
    assert ms.plot.clusters(X[:1]).get_title() == "1 point"


def test_centres_are_marked_with_crosses_and_true_ones_with_rings(blobs):
    X, labels = blobs
    ax = ms.plot.clusters(X, labels, TRUE[:2] + 0.5, true_centers=TRUE)
    cross, ring = ax.lines
    assert (cross.get_marker(), ring.get_marker()) == ("x", "o")
    np.testing.assert_array_equal(cross.get_xydata(), TRUE[:2] + 0.5)
    np.testing.assert_array_equal(ring.get_xydata(), TRUE)


def test_no_centres_are_no_error(blobs):
    X, labels = blobs
    assert not ms.plot.clusters(X, np.full_like(labels, -1), np.empty((0, 2))).lines


def test_many_clusters_name_the_largest():
    labels = np.repeat(np.arange(40), np.arange(80, 40, -1))
    ax = ms.plot.clusters(np.random.default_rng(0).normal(size=(len(labels), 2)), labels)
    names = legend_names(ax)
    assert names[:2] == ["0 (80)", "1 (79)"]
    assert names[-1] == "and 28 more"
    assert len(names) == palette.NAMED + 1
    assert len(np.unique(drawn_points(ax)[1], axis=0)) == len(palette.COLORS)


def test_columns_of_a_frame_name_the_axes():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(30, 3)), columns=["age", "height", "weight"])
    ax = ms.plot.clusters(frame)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("age", "height")
    ax = ms.plot.clusters(frame, columns=("weight", 0))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("weight", "age")
    xy, _ = drawn_points(ax)
    np.testing.assert_array_equal(np.sort(xy, axis=0), np.sort(frame[["weight", "age"]].to_numpy(), axis=0))
    assert ms.plot.clusters(frame["age"]).get_xlabel() == "age"


def test_other_kinds_of_data(blobs):
    X, labels = blobs
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    assert ms.plot.clusters(frame, labels).get_ylabel() == "b"
    assert ms.plot.clusters(X.tolist(), labels.astype(float)).get_title() == "3 clusters, 120 points"
    whole = np.rint(X).astype(np.int16)
    assert len(drawn_points(ms.plot.clusters(whole))[0]) == 120


def test_more_than_two_columns_are_numbered_and_their_centres_follow():
    X = np.arange(20.0).reshape(5, 4)
    ax = ms.plot.clusters(X, centers=X[:2], columns=(3, -4))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("column 3", "column 0")
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), X[:2][:, [3, 0]])


def test_given_axes_are_used_and_what_they_say_is_kept(blobs):
    _, ax = plt.subplots()
    ax.set_title("mine")
    assert ms.plot.clusters(blobs[0], ax=ax) is ax
    assert ax.get_title() == "mine"
    assert len(plt.get_fignums()) == 1


def test_equal_scale_only_where_the_columns_span_alike(blobs):
    X, _ = blobs
    assert ms.plot.clusters(X).get_aspect() == 1
    assert ms.plot.clusters(X * [1, 1000]).get_aspect() == "auto"
    assert ms.plot.clusters(X * [1, 0]).get_aspect() == "auto"


def test_axes_that_share_their_limits_can_be_drawn(blobs):
    figure, axes = plt.subplots(1, 2, sharex=True, sharey=True, layout="constrained")
    for ax in axes:
        ms.plot.clusters(*blobs, ax=ax)
    figure.canvas.draw()


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_centres_stand_out_from_the_ground(blobs, style):
    with plt.style.context(style):
        ax = ms.plot.clusters(blobs[0], true_centers=TRUE)
    assert ax.lines[0].get_color() == ("black" if style == "default" else "white")


def test_legend_leaves_the_plot_where_there_is_room(blobs):
    _, plain = plt.subplots()
    _, roomy = plt.subplots(layout="constrained")
    for ax in (plain, roomy):
        ms.plot.clusters(*blobs, ax=ax)
        ax.figure.canvas.draw()
    inside, outside = (ax.get_legend().get_window_extent().x0 < ax.bbox.x1 for ax in (plain, roomy))
    assert (inside, outside) == (True, False)


# ------------------------------------------------------------------------------------------------- raster


def test_many_points_become_an_image(blobs):
    X, labels = blobs
    ax = ms.plot.clusters(X, labels, max_points=119)
    (image,) = ax.images
    pixels = np.asarray(image.get_array())
    drawn = pixels[pixels[..., 3] > 0]
    assert {tuple(c) for c in drawn[:, :3]} == {to_rgb(h) for h in palette.HUES[:3]}
    assert not [c for c in ax.collections if len(c.get_offsets())]
    assert legend_names(ax) == ["0 (60)", "1 (40)", "2 (20)"]
    assert not ms.plot.clusters(X, labels, max_points=120).images


def test_the_image_lies_where_the_points_are(blobs):
    X, labels = blobs
    ax = ms.plot.clusters(X, labels, max_points=1)
    pixels = np.asarray(ax.images[0].get_array())
    left, right, bottom, top = ax.images[0].get_extent()
    assert ax.images[0].origin == "lower"
    rows, columns = pixels.shape[:2]
    column = np.minimum((X[:, 0] - left) / (right - left) * columns, columns - 1).astype(int)
    row = np.minimum((X[:, 1] - bottom) / (top - bottom) * rows, rows - 1).astype(int)
    assert (pixels[row, column, 3] > 0).all()
    assert (pixels[..., 3] > 0).sum() == len({*zip(row, column, strict=True)})


@pytest.mark.parametrize("chunk", [7, 1 << 17])
def test_cells_hold_counts_and_majorities(monkeypatch, chunk):
    monkeypatch.setattr(raster, "CHUNK", chunk)
    rng = np.random.default_rng(1)
    xy, labels = rng.random((300, 2)), rng.choice([-1, 0, 3, 70], 300)
    xy[:4] = [[0, 0], [1, 1], [0, 1], [1, 0]]
    counts, majority, extent = raster.rasterize(xy[:, 0], xy[:, 1], labels, (4, 6))
    assert extent == pytest.approx((0, 1, 0, 1))
    for row in range(4):
        for column in range(6):
            inside = (np.minimum(xy[:, 0] * 6, 5).astype(int) == column) & (
                np.minimum(xy[:, 1] * 4, 3).astype(int) == row
            )
            assert counts[row, column] == inside.sum()
            used, tally = np.unique(labels[inside], return_counts=True)
            assert majority[row, column] in used[tally == tally.max()]


def test_fuller_cells_are_brighter_by_the_logarithm():
    alpha = raster.opacity(np.array([[0, 1, 10], [100, 1000, 1000]]))
    assert alpha[0, 0] == 0
    assert alpha[0, 1] > raster.FAINTEST
    assert alpha[1, 1] == 1
    steps = np.diff(alpha.ravel()[1:5])
    assert (steps > 0).all()
    assert steps.max() < 1.5 * steps.min()


def test_one_place_and_one_column_of_points_can_be_an_image():
    for X in (np.ones((50, 2)), np.column_stack([np.zeros(50), np.arange(50)]), np.full((50, 2), 1e12)):
        ax = ms.plot.clusters(X, max_points=10)
        ax.figure.canvas.draw()
        assert ax.images


def test_logarithmic_axes_keep_their_points(blobs):
    _, ax = plt.subplots()
    ax.set_xscale("log")
    ms.plot.clusters(np.exp(blobs[0]), max_points=10, ax=ax)
    assert not ax.images
    assert ax.get_xscale() == "log"
    assert len(drawn_points(ax)[0]) == 120


# ------------------------------------------------------------------------------------------------ one column


def bars_of(ax):
    bars = ax.collections[0]
    corners = np.array([path.vertices[:4] for path in bars.get_paths()])  # (m, 4, 2)
    return corners[:, 2, 1] - corners[:, 0, 1], bars.get_facecolors()[:, :3], corners


@pytest.mark.parametrize("shape", [(120,), (120, 1)])
def test_one_column_is_a_histogram_in_the_colours_of_the_clusters(blobs, shape):
    X, labels = blobs
    labels = (labels + 1) % 3  # not in the order of their sizes
    ax = ms.plot.clusters(X[:, 0].reshape(shape), labels, np.array([[1.0], [7.0]]))
    heights, colors, _ = bars_of(ax)
    for label, size in enumerate([20, 60, 40]):
        assert heights[np.isclose(colors, to_rgb(palette.HUES[label])).all(axis=1)].sum() == size
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1.0, 7.0])
    assert ax.get_ylabel() == "points per bin"
    rug = ax.collections[1]
    assert len(rug.get_paths()) == 120


def test_bars_are_stacked_without_gap_or_overlap(blobs):
    _, _, corners = bars_of(ms.plot.clusters(blobs[0][:, :1], blobs[1]))
    for left in np.unique(corners[:, 0, 0]):
        stack = corners[corners[:, 0, 0] == left]
        stack = stack[np.argsort(stack[:, 0, 1])]
        np.testing.assert_array_equal(stack[:, 0, 1], [0, *stack[:-1, 2, 1]])


def test_one_column_of_many_points_has_no_rug(blobs):
    ax = ms.plot.clusters(blobs[0], columns=1, max_points=50)
    assert bars_of(ax)[0].sum() == 120
    assert not any(len(c.get_paths()) == 120 for c in ax.collections)


def test_equal_numbers_have_a_histogram():
    heights, _, corners = bars_of(ms.plot.clusters(np.full(9, 4.0)))
    assert heights.tolist() == [9]
    assert corners[0, 0, 0] <= 4.0 <= corners[0, 1, 0]


# -------------------------------------------------------------------------------------------------- colours


def test_colours_can_be_told_apart_by_everybody():
    """Distances in OKLab, with the dichromacies of Machado, Oliveira and Fernandes (2009)."""
    sight = [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    ]
    to_cone = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.793617785, -0.0040720468],
        [1.9779984951, -2.428592205, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.808675766],
    ]
    srgb = np.array([to_rgb(c) for c in palette.HUES])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    for matrix in sight:
        seen = np.clip(linear @ np.transpose(matrix), 0, 1)
        lab = np.cbrt(seen @ np.transpose(to_cone)) @ np.transpose(to_lab)
        distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + np.eye(len(lab))
        assert distance.min() > 0.07  # about three times what is just noticeable


def test_all_colours_differ_and_noise_is_grey():
    assert len(np.unique(palette.COLORS.round(3), axis=0)) == 3 * len(palette.HUES)
    assert np.ptp(palette.colors_of(np.array([-1, -2])), axis=1).max() == 0
    np.testing.assert_array_equal(*palette.colors_of(np.array([1, 25])))


# -------------------------------------------------------------------------------------------------- kernels


def test_kernels_are_drawn_with_their_formulas():
    ax = ms.plot.kernels(list(KERNELS), bandwidth=2.5)
    for line, kernel in zip(ax.lines, KERNELS.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), kernel(line.get_xdata() / 2.5), atol=1e-9)
    assert set(weights.FORMULAS) == set(KERNELS)
    assert [name.split(":")[0] for name in legend_names(ax)] == list(KERNELS)
    assert "2.5" in ax.get_xlabel()
    ax.figure.canvas.draw()  # the formulas are legible to Matplotlib


def test_kernels_default_name_and_function():
    assert len(ms.plot.kernels().lines) == 2
    assert "bandwidths" in ms.plot.kernels("flat").get_xlabel()

    def cauchy(r):
        return 1 / (1 + r * r)

    ax = ms.plot.kernels([cauchy, KERNELS["flat"]])
    assert legend_names(ax)[0] == "cauchy"
    assert legend_names(ax)[1].startswith("flat: ")


@pytest.mark.parametrize(
    ("kernels", "error", "message"),
    [
        ("gauss", ValueError, "unknown kernel 'gauss'; known are gaussian, triangular, epanechnikov"),
        ([], ValueError, "empty"),
        ([3], TypeError, "name or a function"),
        (lambda r: 1.0, ValueError, "one finite weight"),
        (lambda r: np.full_like(r, np.nan), ValueError, "one finite weight"),
    ],
)
def test_kernels_errors(kernels, error, message):
    with pytest.raises(error, match=message):
        ms.plot.kernels(kernels)


# ------------------------------------------------------------------------------------------------ animation


def test_points_start_at_the_data_and_end_at_the_modes_of_their_clusters(blobs):
    X, _ = blobs
    animation = ms.plot.animate(X, 1.0, n_frames=5)
    ax = animation._fig.axes[0]
    start, moving = ax.collections
    model = ms.MeanShift(1.0).fit(X)
    frames = list(animation.new_frame_seq())
    animation._func(frames[0])
    np.testing.assert_allclose(moving.get_offsets(), start.get_offsets())
    np.testing.assert_allclose(np.sort(moving.get_offsets(), axis=0), np.sort(X, axis=0))
    assert not ax.lines[0].get_visible()
    animation._func(frames[-1])
    modes, drawn = model.cluster_centers_, moving.get_offsets()
    distance = np.linalg.norm(drawn[:, None] - modes[None], axis=2)
    assert distance.min(axis=1).max() < 0.05
    np.testing.assert_allclose(moving.get_facecolors()[:, :3], palette.colors_of(distance.argmin(axis=1)), atol=1e-12)
    assert ax.lines[0].get_visible()
    np.testing.assert_allclose(ax.lines[0].get_xydata(), modes)
    assert re.fullmatch(r"Mean shift, bandwidth 1: step (\d+) of \1", ax.get_title())
    animation._draw_was_started = True  # it is not going to be shown


def test_blurring_is_the_textbook_s(blobs):
    X, _ = blobs
    way = journey.blurring(X, np.arange(120), 1.0)
    np.testing.assert_allclose(way.steps[-1], ms.textbook.meanshift(X, rounds=5, bandwidth=1.0), atol=1e-9)
    assert len(way.steps) == 6
    np.testing.assert_array_equal(np.bincount(way.labels), -np.sort(-np.bincount(way.labels)))
    for label, mode in enumerate(way.modes):
        np.testing.assert_allclose(mode, way.steps[-1][way.labels == label].mean(axis=0))


def test_weights_move_the_modes_and_the_density_is_that_of_all_points(blobs):
    X, _ = blobs
    heavy = np.where(X[:, 0] > 0, 9.0, 1.0)
    some = np.arange(0, 120, 3)
    way = journey.climbing(X, some, 1.0, heavy)
    model = ms.MeanShift(1.0).fit(X, sample_weight=heavy)
    np.testing.assert_array_equal(way.steps[0], X[some])
    np.testing.assert_array_equal(way.labels, model.labels_[some])
    np.testing.assert_array_equal(way.modes, model.cluster_centers_)
    assert np.abs(way.modes[0] - journey.climbing(X, some, 1.0, None).modes[0]).max() > 0.1


def test_the_clock_runs_from_the_first_step_to_the_last(blobs):
    way = journey.climbing(blobs[0], np.arange(120), 1.0, None)
    moments = way.moments(30)
    assert (moments[0], moments[-1]) == (0, pytest.approx(way.last))
    assert (np.diff(moments) > 0).all()
    np.testing.assert_array_equal(way.at(2), way.steps[2])
    np.testing.assert_allclose(way.at(1.25), 0.75 * way.steps[1] + 0.25 * way.steps[2])
    np.testing.assert_array_equal(way.at(way.last), way.steps[-1])


def test_points_that_do_not_move_make_an_animation(tmp_path):
    for X in (np.ones((3, 2)), np.array([[0.0], [50.0]])):
        for blurring in (False, True):
            path = tmp_path / "still.gif"
            ms.plot.animate(X, 1.0, blurring=blurring, n_frames=2, interval=2000, save=path)
            assert path.stat().st_size > 1000
            path.unlink()


@pytest.mark.parametrize("blurring", [False, True])
def test_gif(tmp_path, blobs, blurring):
    path = tmp_path / "points.GIF"
    _, ax = plt.subplots(figsize=(3, 2.4))
    ms.plot.animate(blobs[0], 1.0, blurring=blurring, n_frames=6, interval=400, ax=ax, save=str(path))
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert image.n_frames == 6
        assert image.info["duration"] == 1200  # the first frame is held
        first = np.asarray(image.convert("L"), dtype=int)
        image.seek(5)
        assert (np.abs(np.asarray(image.convert("L"), dtype=int) - first) > 60).sum() > 200


def test_html_needs_nothing_else(tmp_path, blobs):
    path = tmp_path / "points.html"
    _, ax = plt.subplots(figsize=(3, 2.4))
    ms.plot.animate(blobs[0], 1.0, n_frames=4, interval=800, ax=ax, save=path)
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("data:image/png;base64") == 6
    assert "<link" not in page
    assert not re.search(r"""(src|href)=["'](?!data:)\w""", page)
    assert "fa fa-" not in page
    assert all(sign in page for sign in movie.ICONS.values())


def test_animation_of_some_of_many_points_by_labels_of_a_frame(blobs):
    pd = pytest.importorskip("pandas")
    X, labels = blobs
    frame = pd.DataFrame(np.column_stack([X, X[:, 0]]), columns=["a", "b", "c"])
    animation = ms.plot.animate(frame, 1.0, labels=labels - 1, columns=("c", "b"), max_points=50, n_frames=2)
    ax = animation._fig.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "b")
    moving = ax.collections[1]
    assert len(moving.get_offsets()) == 50
    colors = {tuple(color) for color in moving.get_facecolors()[:, :3]}
    assert colors == {to_rgb(palette.NOISE), to_rgb(palette.HUES[0]), to_rgb(palette.HUES[1])}
    animation._draw_was_started = True


def test_written_figures_are_not_left_open(tmp_path, blobs):
    ms.plot.animate(blobs[0], 1.0, n_frames=2, interval=2000, save=tmp_path / "x.gif")
    assert not plt.get_fignums()


def test_mp4_without_ffmpeg_is_a_clear_error(tmp_path, blobs, monkeypatch):
    monkeypatch.setattr("matplotlib.animation.FFMpegWriter.isAvailable", lambda: False)
    with pytest.raises(RuntimeError, match=r"ffmpeg: install it, or save as \.gif or \.html"):
        ms.plot.animate(blobs[0], 1.0, save=tmp_path / "x.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"save": "x.webm"},
            ValueError,
            r"ends in '\.webm': the name must end in one of \.gif, \.html, \.mp4",
        ),
        ({"save": "x"}, ValueError, "has no suffix"),
        ({"save": "no/such/place/x.gif"}, ValueError, "there is no directory 'no/such/place'"),
        ({"labels": [0, 1]}, ValueError, r"labels must have shape \(120,\)"),
        ({"columns": (0, 2)}, ValueError, "no column 2"),
        ({"n_frames": 1}, ValueError, "n_frames must be at least 2"),
        ({"n_frames": 2.5}, TypeError, "n_frames must be a whole number"),
        ({"interval": 0}, ValueError, "interval must be finite and positive"),
        ({"blurring": True, "weights": np.ones(120)}, ValueError, "weights are for the standard form"),
        ({"blurring": True, "bandwidth": "auto"}, TypeError, "bandwidth must be a number"),
    ],
)
def test_animation_errors(blobs, options, error, message):
    with pytest.raises(error, match=message):
        ms.plot.animate(blobs[0], **({"bandwidth": 1.0} | options))
    assert not plt.get_fignums()


# --------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.empty((0, 2)), ValueError, "empty"),
        (np.empty((3, 0)), ValueError, "empty"),
        (5.0, ValueError, r"must have shape \(n, d\), got \(\)"),
        (np.zeros((2, 2, 2)), ValueError, "must have shape"),
        ([[0.0, 1.0], [np.nan, 2.0]], ValueError, "NaN or infinity, the first in row 1, column 0"),
        ([[0.0, np.inf]], ValueError, "NaN or infinity"),
        ([["a", "b"]], TypeError, "real numbers"),
        (np.array([[None, "b"]], dtype=object), TypeError, "real numbers"),
        (np.zeros((3, 2), complex), TypeError, "real numbers"),
    ],
)
@pytest.mark.parametrize("function", [ms.plot.clusters, lambda X: ms.plot.animate(X, 1.0)])
def test_wrong_points(X, error, message, function):
    with pytest.raises(error, match=message):
        function(X)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"labels": np.zeros(119)}, ValueError, r"labels must have shape \(120,\).*got \(119,\)"),
        ({"labels": np.zeros((120, 1))}, ValueError, "labels must have shape"),
        ({"labels": np.full(120, 0.5)}, TypeError, "labels must be integers"),
        ({"labels": np.full(120, "a")}, TypeError, "labels must be integers"),
        ({"centers": np.zeros((2, 3))}, ValueError, "centers has 3 columns but X has 2"),
        ({"true_centers": [[np.nan, 0]]}, ValueError, "true_centers holds NaN"),
        ({"columns": (0, 5)}, ValueError, "no column 5; X has 2, numbered from 0 to 1"),
        ({"columns": (0, -3)}, ValueError, "no column -3"),
        ({"columns": (0, 1, 0)}, ValueError, "one or two columns"),
        ({"columns": ()}, ValueError, "one or two columns"),
        ({"columns": 0.5}, TypeError, "columns must be numbers or names"),
        ({"columns": ("a", "b")}, ValueError, "X has no column names"),
        ({"max_points": 0}, ValueError, "max_points must be at least 1"),
        ({"ax": 3}, TypeError, "ax must be a matplotlib Axes"),
    ],
)
def test_wrong_options(blobs, options, error, message):
    with pytest.raises(error, match=message):
        ms.plot.clusters(blobs[0], **options)
    assert not plt.get_fignums()


def test_wrong_name_of_a_column_and_unused_gaps():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [0.0, 1.0], "b": [1.0, 2.0], "c": [np.nan, 0.0]})
    with pytest.raises(ValueError, match="no column 'z'; it has a, b, c"):
        ms.plot.clusters(frame, columns=("a", "z"))
    ms.plot.clusters(frame, columns=("a", "b"))  # what is not drawn may have gaps


def test_sparse_points_and_round_axes_are_refused(blobs):
    from scipy.sparse import csr_array

    with pytest.raises(TypeError, match="sparse"):
        ms.plot.clusters(csr_array(np.eye(3)))
    _, ax = plt.subplots(subplot_kw={"projection": "polar"})
    with pytest.raises(ValueError, match="polar"):
        ms.plot.clusters(blobs[0], ax=ax)


def test_importing_needs_no_matplotlib_and_drawing_says_how_to_get_it():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import modeseek as ms\n"
        "plot = ms.plot\n"
        "X = [[0, 1]]\n"
        "calls = [lambda: plot.clusters(X), plot.kernels, lambda: plot.animate(X, 1), lambda: plot.density(X, 1.0),\n"
        "         lambda: plot.paths(X, 1.0), lambda: plot.certificate(X, None), lambda: plot.bandwidths(X)]\n"
        "for call in calls:\n"
        "    try:\n        call()\n"
        "    except ImportError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["modeseek.plot needs Matplotlib: pip install 'modeseek[plot]'"] * 7


@pytest.mark.parametrize("module", [arrays, scatter, weights, raster])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0
