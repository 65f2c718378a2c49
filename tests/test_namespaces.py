"""Tensors and arrays of the array API standard: what comes in as one comes out as one, where it was, without a copy."""

import subprocess
import sys

import numpy as np
import pytest

import modeseek as ms
from modeseek.engines.namespaces import Home, as_numpy
from tests.naive import mixture


def arrays(X: np.ndarray):
    """Return the data as an array of each library, and what such an array is."""
    strict, torch = pytest.importorskip("array_api_strict"), pytest.importorskip("torch")
    return [(strict.asarray(X), type(strict.asarray(X)), strict), (torch.from_numpy(X), torch.Tensor, torch)]


@pytest.mark.parametrize(("n", "d", "parameters"), [
    (400, 2, {}), (3000, 2, {}), (3000, 3, {"fidelity": "fast"}), (2600, 4, {}), (1500, 2, {"blurring": True}),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_come_back_as_what_they_were(n, d, parameters, dtype):
    X, h = mixture(n, d)
    X = X.astype(dtype)
    plain = ms.MeanShift(h, **parameters).fit(X)
    for array, kind, _ in arrays(X):
        model = ms.MeanShift(h, **parameters)
        labels = model.fit_predict(array)
        for ours, theirs in (
            (labels, plain.labels_),
            (model.labels_, plain.labels_),
            (model.cluster_centers_, plain.cluster_centers_),
            (model.cluster_weights_, plain.cluster_weights_),
            (model.predict(array), plain.predict(X)),
            (model.score_samples(array), plain.score_samples(X)),
            (model.path(array[:5, :]), plain.path(X[:5])),
        ):
            assert type(ours) is kind
            assert str(ours.dtype).rpartition(".")[2] == str(theirs.dtype)
            np.testing.assert_array_equal(as_numpy(ours), theirs)
        assert model.score(array) == plain.score(X)
        assert isinstance(model.predict(X), np.ndarray)  # as what is asked about, not as what was fitted
        assert type(plain.predict(array)) is kind
        if not parameters.get("blurring"):
            assert str(model.audit(array, 50, random_state=0)) == str(plain.audit(X, 50, random_state=0))


def test_weights_and_batches_of_tensors():
    X, h = mixture(2000, 2)
    w = np.random.default_rng(0).uniform(0.5, 2.0, 2000)
    plain, stream = ms.MeanShift(h).fit(X, sample_weight=w), ms.MeanShift(h).partial_fit(X, sample_weight=w)
    for array, kind, library in arrays(X):
        weights = library.asarray(w)
        model = ms.MeanShift(h).fit(array, sample_weight=weights)
        np.testing.assert_array_equal(as_numpy(model.labels_), plain.labels_)
        assert model.score(array, sample_weight=weights) == plain.score(X, sample_weight=w)
        batch = ms.MeanShift(h).partial_fit(array, sample_weight=weights)
        assert type(batch.labels_) is kind
        np.testing.assert_array_equal(as_numpy(batch.cluster_centers_), stream.cluster_centers_)
    centers, labels = ms.mean_shift(arrays(X)[1][0], bandwidth=h)
    assert type(centers) is type(labels) is arrays(X)[1][1]


def test_nothing_is_copied_on_the_way_in_or_out():
    torch, strict = pytest.importorskip("torch"), pytest.importorskip("array_api_strict")
    tensor, array = torch.zeros(5, 2), strict.zeros((5, 2))
    assert as_numpy(tensor).ctypes.data == tensor.data_ptr()
    view = as_numpy(array)
    assert np.shares_memory(view, np.from_dlpack(array))
    out = np.arange(3)
    assert Home.of(tensor).back(out).data_ptr() == out.ctypes.data
    assert as_numpy(out) is out
    assert Home.of(out).back(out) is out
    assert Home.of([1.0]).back(out) is out


def test_tensors_that_carry_gradients_or_are_not_contiguous_or_narrow():
    torch = pytest.importorskip("torch")
    X, h = mixture(1500, 2)
    expected = ms.MeanShift(h).fit(X).labels_
    wide = torch.zeros(2, 1500)
    wide[:] = torch.from_numpy(X).T
    with_gradient = torch.from_numpy(X.copy()).requires_grad_()
    for tensor in (with_gradient, wide.T, torch.from_numpy(X.astype(float))):
        np.testing.assert_array_equal(ms.MeanShift(h).fit(tensor).labels_.numpy(), expected)
    half = torch.from_numpy(X).half()
    for narrow in (half, torch.from_numpy(X).bfloat16()):
        model = ms.MeanShift(h).fit(narrow)
        assert model.cluster_centers_.dtype == torch.float32
        np.testing.assert_array_equal(model.labels_.numpy(), ms.MeanShift(h).fit(narrow.float().numpy()).labels_)
    whole = torch.from_numpy(np.round(X).astype(np.int64))
    assert ms.MeanShift(h).fit(whole).cluster_centers_.dtype == torch.float64


def test_tensors_that_cannot_be_clustered():
    torch = pytest.importorskip("torch")
    for bad, error, words in (
        (torch.eye(4).to_sparse(), TypeError, "sparse tensor"),
        (torch.zeros(3, 2, dtype=torch.complex64), ValueError, "Complex"),
        (torch.tensor([[0.0, float("nan")]]), ValueError, "NaN.*row 0, column 1"),
        (torch.zeros(4), ValueError, "2D array"),
    ):
        with pytest.raises(error, match=words):
            ms.MeanShift(1.0).fit(bad)


def test_another_device():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    X, h = mixture(2000, 2)
    tensor = torch.from_numpy(X).cuda()
    model = ms.MeanShift(h).fit(tensor)
    for out in (model.labels_, model.cluster_centers_, model.predict(tensor), model.score_samples(tensor)):
        assert out.device == tensor.device
    np.testing.assert_array_equal(model.labels_.cpu().numpy(), ms.MeanShift(h).fit(X).labels_)


def test_a_copy_of_a_model_of_tensors_gives_tensors():
    import copy
    import pickle

    torch = pytest.importorskip("torch")
    X, h = mixture(1500, 2)
    tensor = torch.from_numpy(X)
    for model in (ms.MeanShift(h).fit(tensor), ms.MeanShift(h).partial_fit(tensor)):
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert isinstance(other.labels_, torch.Tensor)
            assert torch.equal(other.labels_, model.labels_)
            assert torch.equal(other.predict(tensor), model.predict(tensor))


def test_torch_is_never_imported_by_a_fit_of_arrays():
    program = (
        "import sys, numpy as np, modeseek as ms\n"
        "X = np.random.default_rng(0).normal(size=(900, 2))\n"
        "model = ms.MeanShift(0.5).fit(X)\n"
        "model.predict(X), model.score(X), model.path(X[:2]), ms.MeanShift(0.5).partial_fit(X).labels_\n"
        "assert not {'torch', 'array_api_strict', 'polars', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
