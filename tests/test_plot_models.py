"""Fitted models in pictures: labels and centres, certificates, bandwidths at every scale, and what is counted."""

import copy
import doctest
import subprocess
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from benchmarks import plots
from matplotlib.colors import to_rgb
from sklearn.datasets import make_moons

import modeseek as ms
from modeseek.certificate import certify
from modeseek.plotting import arrays, models, palette, proofs, raster, scales


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(4)
    centres = np.array([[4, 4], [7.2, 5.2], [4.6, 9.2]])
    blobs = centres[np.repeat([0, 1, 2], [1500, 1000, 800])] + rng.normal(size=(3300, 2))
    return np.vstack([blobs, rng.uniform(0, 14, (400, 2))])


@pytest.fixture(scope="module")
def model(X):
    return ms.MeanShift(1.0).fit(X)


def offsets(ax):
    return [c.get_offsets().tolist() for c in ax.collections]


# ---------------------------------------------------------------------------------------- labels of models


def test_a_model_stands_for_its_labels_and_centres(X, model):
    by_model, by_hand = ms.plot.clusters(X, model), ms.plot.clusters(X, model.labels_, model.cluster_centers_)
    assert offsets(by_model) == offsets(by_hand)
    np.testing.assert_array_equal(by_model.lines[0].get_xydata(), model.cluster_centers_)
    assert by_model.get_title() == by_hand.get_title()
    np.testing.assert_array_equal(ms.plot.clusters(X, model, X[:2]).lines[0].get_xydata(), X[:2])
    assert not ms.plot.clusters(X, ms.DBSCAN(0.5).fit(X)).lines


def test_models_that_do_not_fit(X, model):
    with pytest.raises(ValueError, match=r"not fitted: call fit\(X\) first"):
        ms.plot.clusters(X, ms.MeanShift(1.0))
    with pytest.raises(ValueError, match=r"fitted to 3,700 points, but X has 9: .*labels=model.predict\(X\)"):
        ms.plot.clusters(X[:9], model)


def test_tensors_and_tables_of_arrow(X):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(X)
    fitted = ms.MeanShift(1.0).fit(tensor)
    assert ms.plot.clusters(tensor, fitted).get_title() == ms.plot.clusters(X, fitted.labels_.numpy()).get_title()
    assert ms.plot.certificate(tensor, fitted).get_title().startswith("3,700 points")
    pa = pytest.importorskip("pyarrow")
    ax = ms.plot.clusters(pa.table({"a": X[:, 0], "b": X[:, 1], "c": ["x"] * len(X)}), columns=("b", "a"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("b", "a")


def test_columns_of_a_frame_that_are_not_drawn_may_hold_words(X, model):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"name": ["a"] * len(X), "u": X[:, 0], "v": X[:, 1]})
    assert ms.plot.clusters(frame, model.labels_, columns=("u", "v")).get_ylabel() == "v"
    with pytest.raises(TypeError, match="column 'name' of X must hold real numbers"):
        ms.plot.clusters(frame, model.labels_)


# ------------------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
@pytest.mark.parametrize("n_labels", [1, 5, 300, 70_000])
def test_counts_sum_to_the_number_of_points_and_majorities_are_there(dtype, n_labels):
    rng = np.random.default_rng(n_labels)
    wide = (100 * rng.normal(size=(150_000, 3))).astype(dtype)
    x, y = wide[:, 2], wide[:, 0]
    labels = rng.integers(-1, n_labels, len(wide)).astype(np.int32)
    counts, majority, (left, right, bottom, top) = raster.rasterize(x, y, labels, (20, 30))
    assert counts.sum() == len(wide)
    assert ((majority == -1) >= (counts == 0)).all()
    column = np.minimum(((x - left) / ((right - left) / 30)).astype(int), 29)
    row = np.minimum(((y - bottom) / ((top - bottom) / 20)).astype(int), 19)
    cell = row * 30 + column
    assert np.abs(np.bincount(cell, minlength=600) - counts.ravel()).sum() <= 2 + len(wide) // 10_000
    for at in rng.choice(np.flatnonzero(counts.ravel() > 3), 25):
        used, tally = np.unique(labels[cell == at], return_counts=True)
        found = tally[used == majority.ravel()[at]]
        assert found.size
        assert found[0] >= tally.max() - 2  # a point on the edge may be counted next door


def test_a_pixel_has_the_colour_of_the_majority_of_its_cell(X, model):
    ax = ms.plot.clusters(X, model, max_points=100)
    pixels = np.asarray(ax.images[0].get_array())
    counts, majority, _ = raster.rasterize(X[:, 0], X[:, 1], model.labels_, pixels.shape[:2])
    np.testing.assert_allclose(pixels[counts > 0, :3], palette.colors_of(majority[counts > 0]))
    np.testing.assert_allclose(pixels[..., 3], raster.opacity(counts))
    assert counts.sum() == len(X)


@pytest.mark.parametrize("labels", [[3, -1, 3, 0], [10**12, 5, 5, -(10**12)], [0, 0, 0, 0]])
def test_labels_are_counted_however_far_apart(labels):
    labels = np.array(labels)
    census = palette.Census.of(labels)
    used, counts = np.unique(labels[labels >= 0], return_counts=True)
    np.testing.assert_array_equal(census.clusters, used)
    np.testing.assert_array_equal(census.counts, counts)
    assert census.noise == (labels < 0).sum()
    names, codes = palette.coded(labels)
    np.testing.assert_array_equal(names[codes(slice(1, 4))], labels[1:4])


def test_two_columns_of_an_array_are_not_copied():
    X = np.zeros((1000, 5), np.float32)
    table = arrays.Table.of(X, (3, 1))
    assert np.shares_memory(table.column(3), X)


# -------------------------------------------------------------------------------------------- certificates


def test_each_point_is_marked_by_how_its_label_is_known(X, model):
    rng = np.random.default_rng(0)
    status = rng.choice(4, len(X), p=[0.6, 0.3, 0.06, 0.04]).astype(np.uint8)
    rows = np.flatnonzero(status)
    held = model.certificate_
    made = certify(held.modes, held.trap_radii, held.spacing, held.largest_error, len(X), rows, status[rows])
    mixed = copy.copy(model)
    mixed.certificate_ = made
    ax = ms.plot.certificate(X, mixed)
    drawn = {(c.get_zorder(), tuple(c.get_edgecolors()[0][:3])): c for c in ax.collections if len(c.get_offsets()) > 50}
    kinds = [to_rgb(kind.color) for kind in proofs.STATUSES[1:]]
    of_code = [next(c for (order, _), c in drawn.items() if order == code) for code in (1, 2)]
    of_code += [drawn[4, color] for color in kinds]
    for code, marks in enumerate(of_code):
        np.testing.assert_array_equal(np.sort(marks.get_offsets(), axis=0), np.sort(X[status == code], axis=0))
    order = np.lexsort(np.asarray(of_code[0].get_offsets()).T), np.lexsort(X[status == 0].T)
    expected = palette.colors_of(model.labels_[status == 0])[order[1]]
    np.testing.assert_allclose(of_code[0].get_facecolors()[order[0], :3], expected)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    shares = [f"{number / len(X):.1%}" for number in np.bincount(status)]
    assert [name.split(": ")[1] for name in names[:4]] == shares
    assert names[4] == "mode, in its trap: all paths end there"


def test_places_are_tinted_by_what_they_climb_to_and_proven_cells_more(X, model):
    pale, strong = ms.plot.certificate(X, model).images
    pixels = np.asarray(pale.get_array())
    left, right, bottom, top = pale.get_extent()
    rows, columns = pixels.shape[:2]
    for row, column in ((10, 10), (rows // 2, columns // 3), (rows - 5, columns - 5)):
        place = left + (column + 0.5) * (right - left) / columns, bottom + (row + 0.5) * (top - bottom) / rows
        expected = 1 - 0.16 * (1 - palette.COLORS[model.predict([place])[0]])
        np.testing.assert_allclose(pixels[row, column, :3], expected)
    cells = np.asarray(strong.get_array())
    left, right, bottom, top = strong.get_extent()
    inside = model.certificate_.status() == 0
    column = ((X[inside, 0] - left) / (right - left) * cells.shape[1]).astype(int)
    row = ((X[inside, 1] - bottom) / (top - bottom) * cells.shape[0]).astype(int)
    assert cells[row, column, 3].all()  # what is interior lies in a proven cell of its label
    expected = 1 - 0.5 * (1 - palette.colors_of(model.labels_[inside]))
    np.testing.assert_allclose(cells[row, column, :3], expected)


def test_traps_are_around_their_modes(X, model):
    rims = [c for c in ms.plot.certificate(X, model).collections if c.get_zorder() == 4.5]
    found = model.certificate_
    proven = found.trap_radii > 0
    assert len(rims) == 2
    assert proven.any()
    boxes = [path.get_extents() for path in rims[0].get_paths()]
    middles = [[0.5 * (box.x0 + box.x1), 0.5 * (box.y0 + box.y1)] for box in boxes]
    np.testing.assert_allclose(middles, found.modes[proven], atol=1e-6)
    np.testing.assert_allclose([box.width for box in boxes], 2 * found.trap_radii[proven], rtol=1e-3)


def test_axes_can_be_turned_and_more_columns_chosen(X, model):
    turned = ms.plot.certificate(X, model, columns=(1, 0))
    plain = ms.plot.certificate(X, model)
    for a, b in zip(turned.images, plain.images, strict=True):
        np.testing.assert_array_equal(np.asarray(a.get_array()), np.swapaxes(np.asarray(b.get_array()), 0, 1))
    wide = np.column_stack([X[:400], X[:400, 0], X[:400, 1]])
    ax = ms.plot.certificate(wide, ms.MeanShift(1.0).fit(wide), columns=(3, 0))
    assert not ax.images
    assert ax.get_legend().get_texts()[0].get_text() == "climbed on the raw points: 100.0%"


def test_many_points_of_a_certificate_are_images(X, model):
    ax = ms.plot.certificate(X, model, max_points=50)
    assert len(ax.images) >= 4
    ax.figure.canvas.draw()


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_a_certificate_on_any_ground(X, model, style):
    with plt.style.context(style):
        ax = ms.plot.certificate(X, model)
        ax.figure.canvas.draw()
    marks = next(c for c in ax.collections if c.get_zorder() == 2)
    assert to_rgb(marks.get_facecolors()[0][:3]) == ((0, 0, 0) if style == "default" else (1, 1, 1))


def test_certificates_that_are_not_there(X, model):
    with pytest.raises(TypeError, match="model must be a MeanShift that is fitted, got KMeans"):
        ms.plot.certificate(X, ms.KMeans(3))
    with pytest.raises(ValueError, match="not fitted"):
        ms.plot.certificate(X, ms.MeanShift(1.0))
    with pytest.raises(ValueError, match='has no certificate: fit it with fidelity="certified"'):
        ms.plot.certificate(X, ms.MeanShift(1.0, fidelity="fast").fit(X))
    with pytest.raises(ValueError, match="fitted to 3,700 points, but X has 50"):
        ms.plot.certificate(X[:50], model)
    with pytest.raises(ValueError, match="over two columns"):
        ms.plot.certificate(X, model, columns=0)
    assert not plt.get_fignums()


# ---------------------------------------------------------------------------------------------- bandwidths


def test_points_are_asked_for_their_path():
    pd = pytest.importorskip("pandas")
    _, N = ms.textbook.make_data()
    of_path = ms.plot.bandwidths(ms.bandwidth_path(N))
    of_points = ms.plot.bandwidths(pd.DataFrame(N, columns=["east", "north"]), column="east")
    assert of_points[0].get_title() == of_path[0].get_title()
    assert of_points[1].get_ylabel() == "modes, along east"
    for a, b in zip(of_path[0].lines, of_points[0].lines, strict=True):
        np.testing.assert_array_equal(a.get_ydata(), b.get_ydata())


def test_the_tree_has_the_modes_of_every_scale_in_the_colours_of_the_clusters_chosen():
    _, N = ms.textbook.make_data()
    path = ms.bandwidth_path(N)
    _, tree = ms.plot.bandwidths(path, column=1)
    (lines,) = tree.collections
    segments, colors = np.array(lines.get_segments()), lines.get_colors()[:, :3]
    least = scales.LIGHTEST * path.total_weight
    assert len(segments) == sum((scale.masses >= least).sum() for scale in path.scales[:-1])
    first = path.scales[0]
    begin = segments[segments[:, 0, 0] == first.bandwidth]
    np.testing.assert_allclose(np.sort(begin[:, 0, 1]), np.sort(first.modes[first.masses >= least, 1]))
    at = scales._chosen_scale(path)
    chosen = path.scales[at]
    order = np.argsort(-chosen.masses, kind="stable")
    for segment, color in zip(segments, colors, strict=True):
        if segment[0, 0] == chosen.bandwidth:
            mode = int(np.argmin(np.abs(chosen.modes[:, 1] - segment[0, 1])))
            np.testing.assert_allclose(color, palette.COLORS[int(np.flatnonzero(order == mode)[0])])
        assert (segment[0, 0] > chosen.bandwidth) == (tuple(color) == to_rgb(scales.MERGED))


def test_what_leads_into_a_mode_has_its_colour():
    path = ms.bandwidth_path(make_moons(1500, noise=0.05, random_state=0)[0])
    lines = [ms.plot.bandwidths(path, column=column)[1].collections[0] for column in (0, 1)]
    colors = lines[0].get_colors()[:, :3]
    segments = np.dstack([np.array(lines[0].get_segments()), np.array(lines[1].get_segments())[..., 1]])  # h, x, y
    color_at = {tuple(begin): tuple(color) for begin, color in zip(segments[:, 0], colors, strict=True)}
    chosen = path.scales[scales._chosen_scale(path)].bandwidth
    finer = segments[:, 1, 0] <= chosen
    assert finer.sum() > 100
    assert len({tuple(color) for color in colors[finer]}) == 2
    for end, color in zip(segments[finer, 1], colors[finer], strict=True):
        assert color_at[tuple(end)] == tuple(color)


def test_a_tree_has_the_colours_of_a_model():
    _, N = ms.textbook.make_data()
    path = ms.bandwidth_path(N)
    fitted = ms.MeanShift(path.bandwidth).fit(N)
    _, tree = ms.plot.bandwidths(path, model=fitted, column=1)
    segments, colors = np.array(tree.collections[0].get_segments()), tree.collections[0].get_colors()[:, :3]
    chosen = path.scales[scales._chosen_scale(path)]
    begin = segments[:, 0, 0] == chosen.bandwidth
    mode = np.abs(chosen.modes[:, 1] - segments[begin, 0, 1, None]).argmin(axis=1)
    np.testing.assert_allclose(colors[begin], palette.colors_of(fitted.predict(chosen.modes))[mode])
    with pytest.raises(TypeError, match="model must be a MeanShift that is fitted"):
        ms.plot.bandwidths(path, model=ms.MeanShift(1.0))


def test_modes_are_drawn_along_the_column_that_tells_them_apart():
    rng = np.random.default_rng(0)
    N = np.array([[0.0, 0.0], [100.0, 5.0], [100.0, 10.0]])[rng.integers(0, 3, 900)] + rng.normal(size=(900, 2))
    assert ms.plot.bandwidths(N)[1].get_ylabel() == "modes, along column 1"


def test_wrong_paths():
    with pytest.raises(ValueError, match="NaN or infinity"):
        ms.plot.bandwidths([[np.nan, 1.0]])
    with pytest.raises(ValueError, match="no column 2"):
        ms.plot.bandwidths(np.eye(2), column=2)
    with pytest.raises(ValueError, match="axes must be two Axes"):
        ms.plot.bandwidths(np.eye(2), axes=plt.subplots()[1])
    assert ms.plot.bandwidths(np.ones((5, 2)))[0].get_title().startswith("At no bandwidth do clusters last")


# ----------------------------------------------------------------------------------------------- animation


@pytest.mark.parametrize("blurring", [False, True])
def test_points_of_a_model_go_where_it_leads_them(X, blurring):
    some = X[::10]
    given = ms.MeanShift(1.0, blurring=blurring)
    animation = ms.plot.animate(some, given, n_frames=3)
    animation._draw_was_started = True
    ax = animation._fig.axes[0]
    animation._func(list(animation.new_frame_seq())[-1])
    fitted = given.fit(some)
    ends = ax.collections[1].get_offsets()
    apart = np.linalg.norm(ends[:, None] - fitted.cluster_centers_, axis=2)
    assert apart.min(axis=1).max() < 0.05
    np.testing.assert_array_equal(np.sort(np.bincount(apart.argmin(axis=1))), np.sort(np.bincount(fitted.labels_)))
    assert ax.get_title().startswith("Blurring mean shift, bandwidth 1" if blurring else "Mean shift, bandwidth 1")


def test_bandwidths_of_every_form_can_be_animated(X):
    for bandwidth, words in (([1.0, 1.5], "bandwidth 1 x 1.5"), ("adaptive-knn", "a bandwidth for each point")):
        animation = ms.plot.animate(X[::20], bandwidth, n_frames=2)
        animation._draw_was_started = True
        assert words in animation._fig.axes[0].get_title()
    with pytest.raises(ValueError, match="the model climbs"):
        ms.plot.animate(X, ms.MeanShift(1.0), blurring=True)


@pytest.mark.parametrize("form", [2.0, [2.0, 3.0], [[4.0, 1.0], [1.0, 9.0]]])
def test_widths_are_standard_deviations_of_the_kernel(X, form):
    expected = {1: [2.0, 2.0], 2: [2.0, 3.0]}[1 if np.ndim(form) == 0 else 2]
    np.testing.assert_allclose(models.widths(ms.MeanShift(form).fit(X[::20])), expected)
    spread = X[::20].std(axis=0)
    scaled = models.widths(ms.MeanShift(0.5, standardize=True).fit(X[::20]))
    np.testing.assert_allclose(scaled, 0.5 * spread, rtol=0.01)


# ------------------------------------------------------------------------------------------------- imports


def test_importing_the_pictures_imports_no_matplotlib():
    code = (
        "import sys, modeseek as ms; ms.plot.density; ms.plot.paths; ms.plot.certificate\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('matplotlib', 'PIL')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", [proofs, scales])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0


def test_the_benchmark_s_own_check():
    plots.check(50_000)
    X, labels = plots.points(2000)
    assert len(np.unique(labels)) == 6
    for draw in plots.PICTURES.values():
        draw(X, labels)
