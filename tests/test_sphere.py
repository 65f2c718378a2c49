"""Cosine and haversine: every route against plain spherical mean shift, what is proven on the sphere, and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from modeseek.fields.directions import SphereBlocks, SphereDense, SphereGrid, SphereTable, land, on_sphere
from modeseek.geometry import Globe, chord
from modeseek.spherical import by_cells
from tests.examples import examples
from tests.naive import problem

LAWS = examples(8)


def directions(n, d, noise=0.25, k=6, seed=0):
    """Rows of any length around k directions."""
    rng = np.random.default_rng(seed)
    centres = on_sphere(rng.normal(size=(k, d)))
    return (centres[rng.integers(0, k, n)] + noise * rng.normal(size=(n, d))) * rng.uniform(0.5, 3.0, (n, 1))


def globe(n, noise=0.12, seed=0):
    """Latitudes and longitudes around five places: on the date line, near the pole, elsewhere."""
    rng = np.random.default_rng(seed)
    places = np.array([[0.1, np.pi], [1.52, 0.3], [-1.2, 2.0], [0.0, 0.5], [-0.6, -2.0]])
    which = rng.integers(0, 5, n)
    return Globe().back(on_sphere(Globe().into(places)[which] + noise * rng.normal(size=(n, 3)))), which


def climb_on_sphere(X, h, starts, w=None, rounds=3000):
    """Every start by the definition: m(u) = sum w exp(u.x / h^2) x, put back on the sphere."""
    U, x = on_sphere(np.asarray(X, float)), on_sphere(np.asarray(starts, float))
    w = np.ones(len(U)) if w is None else w
    for _ in range(rounds):
        moved = on_sphere((w * np.exp((x @ U.T - 1.0) / h**2)) @ U)
        step, x = np.abs(moved - x).max(), moved
        if step < 1e-12:
            break
    return x


@pytest.mark.parametrize(("n", "d", "noise", "h"), [
    (300, 2, 0.25, 0.25), (2600, 2, 0.25, 0.3), (300, 3, 0.25, 0.25), (2600, 3, 0.25, 0.25), (700, 5, 0.25, 0.3),
    (300, 16, 0.12, 0.5), (1500, 16, 0.12, 0.5), (700, 64, 0.12, 0.6),
])  # fmt: skip
def test_cosine_is_plain_spherical_mean_shift(n, d, noise, h):
    X = directions(n, d, noise)
    model = ms.MeanShift(h, metric="cosine").fit(X)
    rows = np.arange(0, n, max(1, n // 150))
    ends = climb_on_sphere(X, h, X[rows])
    np.testing.assert_allclose(model.cluster_centers_[model.labels_[rows]], ends, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(model.cluster_centers_, axis=1), 1.0, atol=1e-15)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    assert model.certificate_.climbed == n
    assert len(model.cluster_centers_) > 1


@pytest.mark.parametrize("n", [300, 3000])
def test_haversine_is_plain_spherical_mean_shift(n):
    X, which = globe(n)
    model = ms.MeanShift(0.15, metric="haversine").fit(X)
    rows = np.arange(0, n, n // 150)
    ends = climb_on_sphere(Globe().into(X), chord(0.15), Globe().into(X[rows]))
    np.testing.assert_allclose(Globe().into(model.cluster_centers_[model.labels_[rows]]), ends, atol=1e-6)
    assert len(model.cluster_centers_) == 5
    assert all(len(np.unique(model.labels_[which == k])) <= 2 for k in range(5))  # noise overlaps, a border does not
    assert sum(
        (model.labels_[which == k] != np.bincount(model.labels_[which == k]).argmax()).sum() for k in range(5)
    ) < (0.01 * n)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_cells_on_the_sphere_find_what_exact_climbs_find(table, weighted, monkeypatch):
    X, _ = globe(12_000)
    U, h = Globe().into(X), 0.1
    w = np.random.default_rng(0).uniform(0.5, 2.0, len(U)) if weighted else None
    if not table:
        monkeypatch.setattr("modeseek.spherical.SPACINGS", ())
    found = by_cells(problem(U, h, w, metric="sphere"))
    assert isinstance(found.field, SphereTable if table else SphereGrid)
    exact = SphereBlocks(U, np.empty(0) if w is None else w, h)
    ends, _ = exact.climb(U, tol=1e-6, max_iter=3000)
    wrong = np.linalg.norm(found.centers[found.labels] - ends, axis=1) > 0.05 * h
    assert wrong.mean() <= 0.002
    assert found.certificate.undecided == len(U)
    np.testing.assert_array_equal(found.label(U, tol=1e-3, max_iter=300, n_jobs=None), found.labels)
    far = on_sphere(np.array([[-0.9, -0.5, 0.6], [0.5, -0.8, -0.2]]))  # where no cell is labelled
    expected = climb_on_sphere(U, h, far, w)
    np.testing.assert_allclose(
        found.centers[found.label(far, tol=1e-3, max_iter=300, n_jobs=None)], expected, atol=1e-3
    )


def test_many_points_take_cells_and_the_clusters_across_the_date_line_and_at_the_pole_are_whole():
    X, which = globe(60_000, noise=0.04)
    model = ms.MeanShift(0.05, metric="haversine", fidelity="fast").fit(X)
    assert isinstance(model._clustering.field, SphereTable | SphereGrid)
    big = model.cluster_weights_ > 100
    assert big.sum() == 5
    assert all(
        (model.labels_[which == k] == np.bincount(model.labels_[which == k]).argmax()).mean() > 0.995 for k in range(5)
    )
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    assert (
        ms.MeanShift(0.05, metric="haversine", fidelity="fast", n_jobs=1).fit(X).labels_.tolist()
        == model.labels_.tolist()
    )


def test_plain_mean_shift_on_latitude_and_longitude_is_cut_at_the_date_line():
    """A control: what haversine keeps whole, the plane does not."""
    X, which = globe(500)
    flat = ms.MeanShift(0.15).fit(X)
    on_line = flat.labels_[which == 0]
    assert (on_line == np.bincount(on_line).argmax()).mean() < 0.9


@LAWS
@given(seed=st.integers(0, 2**31), angle=st.floats(-20.0, 20.0))
def test_a_turn_about_the_polar_axis_changes_nothing(seed, angle):
    X, _ = globe(200, seed=seed)
    a = ms.MeanShift(0.2, metric="haversine").fit(X)
    b = ms.MeanShift(0.2, metric="haversine").fit(X + np.array([0.0, angle]))
    assert adjusted_rand_score(a.labels_, b.labels_) == 1.0  # clusters of equal weight may change places
    turned, found = a.cluster_centers_ + np.array([0.0, angle]), b.cluster_centers_
    np.testing.assert_allclose(Globe().into(turned[a.labels_]), Globe().into(found[b.labels_]), atol=1e-7)


@LAWS
@given(seed=st.integers(0, 2**31), d=st.integers(2, 6))
def test_a_rotation_of_directions_changes_nothing(seed, d):
    X = directions(150, d, seed=seed)
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    a, b = ms.MeanShift(0.4, metric="cosine").fit(X), ms.MeanShift(0.4, metric="cosine").fit(X @ Q.T)
    assert adjusted_rand_score(a.labels_, b.labels_) == 1.0
    np.testing.assert_allclose(b.cluster_centers_[b.labels_], a.cluster_centers_[a.labels_] @ Q.T, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "haversine"])
def test_a_weight_is_repeats(metric):
    X = directions(120, 3) if metric == "cosine" else globe(120)[0]
    w = np.random.default_rng(0).integers(0, 4, 120)
    a = ms.MeanShift(0.3, metric=metric).fit(X, sample_weight=w)
    b = ms.MeanShift(0.3, metric=metric).fit(np.repeat(X, w, axis=0))
    np.testing.assert_array_equal(np.repeat(a.labels_, w), b.labels_)
    np.testing.assert_allclose(a.cluster_weights_[: len(b.cluster_weights_)], b.cluster_weights_)


def test_traps_on_the_sphere_catch_only_what_ends_there():
    X = on_sphere(directions(1500, 4, 0.15))
    field = SphereBlocks(X, np.empty(0), 0.25)
    field.climb(X, tol=1e-3, max_iter=300)
    traps, rng = field.traps, np.random.default_rng(0)
    assert (traps.radii > 0.05).sum() >= 3
    for z, radius in zip(traps.centres, traps.radii, strict=True):
        mode = z * field.bandwidth + field.centre
        around = on_sphere(mode + 0.9 * radius * field.bandwidth * on_sphere(rng.normal(size=(40, 4))))
        around = around[np.linalg.norm(around - mode, axis=1) < radius * field.bandwidth]
        before = np.linalg.norm(around - mode, axis=1)
        after = np.linalg.norm(field.shift(around)[0] - mode, axis=1)
        assert (after < before).all()


def test_fields_agree_on_a_step_and_newton_rests_at_modes():
    X = on_sphere(directions(900, 3))
    Q = X[::30]
    fields = [SphereDense(X, np.empty(0), 0.3), SphereBlocks(X, np.empty(0), 0.3), SphereGrid(X, np.ones(900), 0.3)]
    expected = on_sphere(np.exp((Q @ X.T - 1.0) / 0.09) @ X)
    for field in fields:
        np.testing.assert_allclose(field.shift(Q)[0], expected, atol=1e-12)
    modes = climb_on_sphere(X, 0.3, Q)
    for field in fields:
        step, concave = field.newton(modes)
        assert concave.all()
        assert np.abs(step).max() < 1e-8
        near = on_sphere(modes + 0.003)
        step, _ = field.newton(near)
        assert np.linalg.norm(near + step - modes, axis=1).max() < 0.1 * np.linalg.norm(near - modes, axis=1).min()


def test_opposite_pulls_leave_a_point_where_it_is():
    np.testing.assert_array_equal(land(np.zeros((1, 3)), np.array([[0.0, 1.0, 0.0]])), [[0.0, 1.0, 0.0]])
    X = np.array([[1.0, 0.0], [-1.0, 0.0]])
    model = ms.MeanShift(10.0, metric="cosine").fit(X)
    assert np.isfinite(model.cluster_centers_).all()
    assert ms.MeanShift(0.5, metric="cosine").fit(np.array([[2.0], [3.0], [-1.0]])).labels_.tolist() == [0, 0, 1]


def test_hard_inputs():
    assert ms.MeanShift(0.1, metric="haversine").fit([[0.3, 0.1]]).labels_.tolist() == [0]
    same = ms.MeanShift(0.1, metric="haversine").fit([[np.pi / 2, 0.0], [np.pi / 2, 2.0], [np.pi / 2, -3.0]])
    assert same.labels_.tolist() == [0, 0, 0]  # one point, the pole
    far = ms.MeanShift(0.1, metric="haversine").fit([[0.0, np.pi - 0.01], [0.0, 7 * np.pi + 0.01]])
    assert len(far.cluster_centers_) == 1
    assert abs(abs(far.cluster_centers_[0, 1]) - np.pi) < 1e-9
    X = np.array([[np.pi / 2, 0.0], [-np.pi / 2, 0.0]], np.float32)  # beyond the poles, by rounding
    assert ms.MeanShift(0.1, metric="haversine").fit(X).labels_.tolist() == [1, 0]
    one = ms.MeanShift(np.pi, metric="haversine").fit(globe(50)[0])
    assert len(one.cluster_centers_) == 1
    fine = ms.MeanShift(1e-9, metric="haversine").fit(globe(700)[0])
    assert len(fine.cluster_centers_) == 700
    assert ms.MeanShift(None, metric="haversine").fit(globe(400)[0]).bandwidth_ < 1.0
    assert len(ms.MeanShift("auto", metric="cosine").fit(directions(400, 5)).cluster_centers_) >= 2
    centers, labels = ms.mean_shift(globe(300)[0], bandwidth=0.15, metric="haversine")
    assert centers.shape == (5, 2)
    assert labels.max() == 4


def test_light_clusters_join_others_along_the_sphere():
    X, _ = globe(400)
    pair = np.array([[0.6, np.pi - 0.02], [0.6, -np.pi + 0.02]])  # on either side of the date line
    away = np.linalg.norm(Globe().into(X) - Globe().into(pair[:1]), axis=1) > 0.4
    X = np.concatenate([X[away], pair])
    model = ms.MeanShift(0.08, metric="haversine", min_cluster_size=20).fit(X)
    np.testing.assert_allclose(np.abs(model.cluster_centers_[model.labels_[-2:]]), [[0.1, np.pi]] * 2, atol=0.1)
    noise = ms.MeanShift(0.08, metric="haversine", min_cluster_size=20, cluster_all=False).fit(X)
    assert noise.labels_[-2:].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("X", "metric", "more", "words"),
    [
        ([[1.0, 0.0], [0.0, 0.0]], "cosine", {}, "Row 1 of X is zero"),
        ([[1.6, 0.0], [0.0, 0.0]], "haversine", {}, "Latitude 1.6 in row 0"),
        ([[45.0, 10.0]], "haversine", {}, "np.radians"),
        ([[0.0, 0.0, 0.0]], "haversine", {}, "two columns"),
        ([[0.0, np.inf]], "haversine", {}, "infinity"),
        ([[0.0, 0.0]], "haversine", {"bandwidth": 4.0}, "none is larger than pi"),
        ([[1.0, 2.0]], "cosine", {"blurring": True}, "blurring=True works with"),
        ([[1.0, 2.0]], "cosine", {"merge": "persistence"}, 'merge="persistence" works with'),
    ],
)
def test_what_the_sphere_refuses(X, metric, more, words):
    with pytest.raises(ValueError, match=words):
        ms.MeanShift(**{"bandwidth": 0.2, "metric": metric, **more}).fit(X)


def test_predict_and_audit_refuse_too():
    model = ms.MeanShift(0.2, metric="cosine").fit(directions(60, 3))
    with pytest.raises(ValueError, match="zero"):
        model.predict(np.zeros((1, 3)))
    assert model.audit(directions(60, 3)).n_disagree == 0
    globe_model = ms.MeanShift(0.2, metric="haversine").fit(globe(60)[0])
    with pytest.raises(ValueError, match="Latitude"):
        globe_model.predict([[2.0, 0.0]])
    way = globe_model.path(globe(3)[0])
    np.testing.assert_allclose(Globe().into(way[0]), Globe().into(globe(3)[0]), atol=1e-14)
    assert way.shape[2] == 2
