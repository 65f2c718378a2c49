"""The plain forms of nearest neighbours, hashing, k-means and DBSCAN, against loops and against scikit-learn."""

import math

import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.cluster import DBSCAN, KMeans

from modeseek.textbook import dbscan, k_nearest, kmeans, lsh_candidates, within


@pytest.fixture(params=[1, 2, 5])
def points(request):
    rng = np.random.default_rng(request.param)
    X = rng.normal(size=(120, request.param)) + 4.0 * rng.integers(0, 3, (120, 1))
    return np.concatenate([X, X[:7]])  # some twice


def test_k_nearest_is_a_sort_of_all_distances(points):
    distances, rows = k_nearest(points[:20], points, 9)
    for q, got, found in zip(points, distances, rows, strict=False):
        pairs = sorted((math.dist(q, x), i) for i, x in enumerate(points))[:9]
        np.testing.assert_allclose(got, [r for r, _ in pairs], rtol=1e-14)
        assert [i for _, i in pairs] == found.tolist()


def test_equally_near_rows_come_by_number():
    assert k_nearest([[0.0]], [[1.0], [-1.0], [1.0], [0.0]], 4)[1].tolist() == [[3, 0, 1, 2]]


def test_k_nearest_and_within_agree_with_a_tree(points):
    tree = cKDTree(points)
    np.testing.assert_allclose(k_nearest(points, points, 5)[0], tree.query(points, 5)[0], rtol=1e-14)
    assert [rows.tolist() for rows in within(points, points, 0.7)] == [
        sorted(rows) for rows in tree.query_ball_point(points, 0.7)
    ]


def test_the_rim_is_within():
    assert [rows.tolist() for rows in within([[0.0, 0.0]], [[3.0, 4.0], [5.0, 0.1], [0.0, -5.0]], 5.0)] == [[0, 2]]


@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans_is_lloyds(points, weighted):
    w = np.random.default_rng(0).integers(1, 4, len(points)) if weighted else None
    start = points[[3, 50, 90, 110]]
    centers, labels, inertia = kmeans(points, start, 4, w)
    peer = KMeans(4, init=start, n_init=1, max_iter=4, tol=0.0, algorithm="lloyd").fit(points, sample_weight=w)
    np.testing.assert_allclose(centers, peer.cluster_centers_, rtol=1e-12)
    np.testing.assert_array_equal(labels, peer.labels_)
    assert inertia == pytest.approx(peer.inertia_, rel=1e-12)


def test_a_centre_without_points_stays_where_it_is():
    assert kmeans([[0.0], [1.0]], [[0.5], [9.0]], 5)[0].tolist() == [[0.5], [9.0]]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("eps", [0.2, 0.5, 1.5])
def test_dbscan_is_that_of_scikit_learn(points, eps, weighted):
    w = np.random.default_rng(0).integers(0, 4, len(points)) if weighted else None
    labels, core = dbscan(points, eps, 4, w)
    peer = DBSCAN(eps=eps, min_samples=4).fit(points, sample_weight=w)
    np.testing.assert_array_equal(labels, peer.labels_)
    np.testing.assert_array_equal(core, peer.core_sample_indices_)


def test_candidates_share_every_hash_of_a_table():
    rng = np.random.default_rng(0)
    Q, X = rng.normal(size=(8, 3)), rng.normal(size=(60, 3))
    a, b, width = rng.normal(size=(4, 2, 3)), rng.uniform(0, 1.5, (4, 2)), 1.5
    found = lsh_candidates(Q, X, a, b, width)
    assert 0 < sum(map(len, found)) < 8 * 60
    for q, rows in zip(Q, found, strict=True):
        by_hand = [
            i
            for i, x in enumerate(X)
            if any(
                all(
                    math.floor((a[t, h] @ q + b[t, h]) / width) == math.floor((a[t, h] @ x + b[t, h]) / width)
                    for h in range(2)
                )
                for t in range(4)
            )
        ]
        assert by_hand == rows.tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: k_nearest([[0.0]], [[0.0]], 2), "at most the number of points, 1, got 2"),
        (lambda: k_nearest([[0.0, 1.0]], [[0.0]], 1), "same number of columns, got 2 and 1"),
        (lambda: within([[0.0]], [[np.nan]], 1.0), "X must be finite"),
        (lambda: within([[0.0]], [[0.0]], 0.0), "radius must be finite and positive"),
        (lambda: kmeans([[0.0]], [[0.0]], 1, [1.0, 2.0]), "sample_weight must hold 1 finite"),
        (lambda: lsh_candidates([[0.0]], [[0.0]], [[1.0]], [0.0], 1.0), "directions must have shape"),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
