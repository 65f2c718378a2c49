"""MeanShift among other estimators: scikit-learn's own checks, pipelines, searches, frames, copies of a model."""

import copy
import doctest
import pickle
from importlib import import_module
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn import config_context, set_config
from sklearn.base import ClusterMixin, clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from tests.contract import WithoutStreams, expected_failures
from tests.naive import ROUTES, mixture

CONFIGURATIONS = [
    {},
    {"bandwidth": 1.0},
    {"fidelity": "exact"},
    {"bandwidth": 1.0, "fidelity": "fast"},
    {"bandwidth": 0.5, "blurring": True},
    {"bandwidth": 1.0, "min_cluster_size": 5},
    {"bandwidth": 1.0, "min_cluster_size": 5, "cluster_all": False},
    {"bandwidth": "adaptive-knn"},
    {"bandwidth": "abramson"},
    {"bandwidth": 0.3, "metric": "cosine"},
]


@parametrize_with_checks(
    [kind(**parameters) for parameters in CONFIGURATIONS for kind in (ms.MeanShift, WithoutStreams)],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# ---- beside other estimators --------------------------------------------------------------------------------------


def test_a_pipeline_scales_first_and_carries_weights():
    X, _ = mixture(3000, 2)
    w = np.random.default_rng(0).integers(0, 3, 3000)
    with config_context(enable_metadata_routing=True):
        model = ms.MeanShift(0.3).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, model).fit(X, sample_weight=w)
        scaled = pipeline[0].transform(X)
        alone = ms.MeanShift(0.3).fit(scaled, sample_weight=w)
        np.testing.assert_array_equal(pipeline[-1].labels_, alone.labels_)
        np.testing.assert_array_equal(pipeline.predict(X), alone.labels_)
        np.testing.assert_array_equal(pipeline.score_samples(X), alone.score_samples(scaled))
        assert pipeline.score(X, sample_weight=w) == alone.score(scaled, sample_weight=w)
        assert pipeline[-1].cluster_weights_.sum() == w.sum()
        # not asked for, weights are refused and not dropped
        with pytest.raises(Exception, match=r"sample_weight.*not explicitly set as requested"):
            make_pipeline(scaler, ms.MeanShift(0.3)).fit(X, sample_weight=w)


def test_a_search_finds_the_bandwidth_of_the_highest_likelihood_on_other_points():
    X, _ = mixture(1200, 2)
    w = np.random.default_rng(0).uniform(0.1, 2.0, 1200)
    grid, folds = [0.02, 0.4, 6.0], KFold(3)
    with config_context(enable_metadata_routing=True):
        model = ms.MeanShift().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(model, {"bandwidth": grid}, cv=folds).fit(X, sample_weight=w)

    def held_out(h: float) -> float:
        parts = folds.split(X)
        return np.mean([ms.MeanShift(h).fit(X[a], None, w[a]).score(X[b], None, w[b]) for a, b in parts])

    by_hand = [held_out(h) for h in grid]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand)
    assert search.best_params_ == {"bandwidth": 0.4}


def test_there_is_no_set_output_as_nothing_is_transformed():
    assert not hasattr(ms.MeanShift(), "transform")
    assert not hasattr(ms.MeanShift(), "set_output")
    assert not hasattr(ClusterMixin, "set_output")
    X, h = mixture(600, 2)
    try:
        set_config(transform_output="pandas")
        assert isinstance(ms.MeanShift(h).fit_predict(X), np.ndarray)
    finally:
        set_config(transform_output="default")


def test_parameters_are_kept_as_given_and_cloned_without_the_fit():
    parameters = {"bandwidth": 1.5, "fidelity": "fast", "min_cluster_size": 4, "cluster_all": False, "n_jobs": 2}
    model = ms.MeanShift(**parameters)
    assert {name: model.get_params()[name] for name in parameters} == parameters
    model.fit(mixture(900, 2)[0])
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert not hasattr(again, "labels_")
    assert not hasattr(clone(ms.MeanShift(1.0).partial_fit(mixture(900, 2)[0])), "cluster_centers_")


# ---- frames -------------------------------------------------------------------------------------------------------


def frames(X: np.ndarray, names: list[str]):
    """Yield the data as frames of each library that there is."""
    columns = dict(zip(names, X.T, strict=True))
    for library, make in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "table")):
        module = pytest.importorskip(library)
        yield getattr(module, make)({name: np.ascontiguousarray(column) for name, column in columns.items()})


@pytest.mark.parametrize("batches", [False, True])
def test_frames_are_read_and_their_names_are_checked(batches):
    X, h = mixture(1500, 3)
    expected = ms.MeanShift(h).partial_fit(X) if batches else ms.MeanShift(h).fit(X)
    good, swapped = (list(frames(X, names)) for names in (["east", "north", "up"], ["north", "east", "up"]))
    short = list(frames(X[:, :2], ["east", "north"]))
    for frame, other, narrow in zip(good, swapped, short, strict=True):
        model = ms.MeanShift(h)
        model = model.partial_fit(frame) if batches else model.fit(frame)
        assert list(model.feature_names_in_) == ["east", "north", "up"]
        np.testing.assert_array_equal(model.labels_, expected.labels_)
        assert isinstance(model.labels_, np.ndarray)
        assert model.cluster_centers_.dtype == np.float32
        np.testing.assert_array_equal(model.predict(frame), expected.predict(X))
        np.testing.assert_array_equal(model.score_samples(frame), expected.score_samples(X))
        np.testing.assert_array_equal(model.path(frame)[0], X)
        for method in (model.predict, model.score_samples, model.score, model.path, model.audit):
            with pytest.raises(ValueError, match="feature names should match"):
                method(other)
            with pytest.raises(ValueError, match=r"feature names should match|2 features"):
                method(narrow)
        if batches:
            with pytest.raises(ValueError, match="feature names should match"):
                model.partial_fit(other)


# ---- copies of a model --------------------------------------------------------------------------------------------


def copies(model: ms.MeanShift, folder: Path):
    """Yield copies of a model by way of bytes, of a file and of memory."""
    yield pickle.loads(pickle.dumps(model))
    joblib.dump(model, folder / "model.joblib")
    yield joblib.load(folder / "model.joblib")
    yield copy.deepcopy(model)


@pytest.mark.parametrize("route", ROUTES)
def test_a_copy_of_a_model_gives_the_same_bits(route, tmp_path):
    X, h = route.data()
    model = route.model(h).fit(X)
    rng = np.random.default_rng(3)
    Q = rng.uniform(X.min(axis=0) - 4 * h, X.max(axis=0) + 4 * h, (200, X.shape[1]))
    labels, logs, path = model.predict(Q), model.score_samples(Q), model.path(Q[:5])
    for other in copies(model, tmp_path):
        np.testing.assert_array_equal(other.predict(Q), labels)
        np.testing.assert_array_equal(other.score_samples(Q), logs)
        np.testing.assert_array_equal(other.path(Q[:5]), path)
        np.testing.assert_array_equal(other.labels_, model.labels_)
        np.testing.assert_array_equal(other.cluster_centers_, model.cluster_centers_)


@pytest.mark.parametrize("fidelity", ["certified", "fast", "exact"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_models_are_no_larger_than_their_grid_or_their_points_need(fidelity, d):
    X, h = mixture(20_000, d)
    model = ms.MeanShift(h, fidelity=fidelity).fit(X)
    nodes = 0 if model.sketch_ is None else model.sketch_.box.n_nodes
    # of points: coordinates, weight, key and labels; of nodes: mass, label, what is tabulated, and bounds of tubes
    most = 12 * 8 * nodes if nodes else 8 * len(X) * (2 * d + 9)
    assert len(pickle.dumps(model, 5)) <= most + 8 * len(X) + 200_000


@pytest.mark.parametrize("blurring", [False, True])
def test_a_copy_of_a_stream_or_of_blurred_points_gives_the_same_bits(blurring, tmp_path):
    X, h = mixture(1500, 2)
    model = ms.MeanShift(h, blurring=blurring)
    model = model.fit(X) if blurring else model.partial_fit(X[:700]).partial_fit(X[700:])
    for other in copies(model, tmp_path):  # of a stream that has not been clustered yet
        np.testing.assert_array_equal(other.labels_, model.labels_)
        np.testing.assert_array_equal(other.predict(X[::-1] + 0.1), model.predict(X[::-1] + 0.1))
        np.testing.assert_array_equal(other.score_samples(X[:50]), model.score_samples(X[:50]))
        if not blurring:
            more, same = (m.partial_fit(X[:100] + 1.0) for m in (copy.deepcopy(model), other))
            np.testing.assert_array_equal(more.cluster_centers_, same.cluster_centers_)


# ---- paths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
def test_paths_begin_at_the_points_and_end_at_the_modes_of_their_labels(route):
    X, h = route.data()
    model = route.model(h).fit(X)
    path, labels = model.path(X[:40]), model.labels_[:40]
    assert path.shape[1:] == (40, X.shape[1])
    assert path.dtype == np.float64
    np.testing.assert_array_equal(path[0], X[:40])
    off = np.linalg.norm(path[-1] - model.cluster_centers_[labels], axis=1)
    assert (off < 0.05 * h).mean() >= 0.9  # slow climbs along ridges rest before
    assert model.path(X[:1]).shape[1:] == (1, X.shape[1])


@pytest.mark.parametrize("page", sorted((Path(__file__).parents[1] / "docs").glob("*.md")), ids=lambda page: page.name)
def test_examples_of_the_pages_run(page):
    pytest.importorskip("torch")
    assert doctest.testfile(str(page), module_relative=False).failed == 0


def test_examples_of_the_estimator_run():
    for name in ("mean_shift", "streaming"):
        result = doctest.testmod(import_module(f"modeseek.estimators.{name}"))
        assert result.attempted > 0
        assert result.failed == 0
