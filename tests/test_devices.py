import numpy as np
import pytest

import modeseek as ms
from modeseek.engines.devices import device_of, refuse_on, where
from modeseek.engines.namespaces import Home

torch = pytest.importorskip("torch")
from modeseek.engines.gpu import as_tensor, as_tensor_weights, bounds, room_for  # noqa: E402


def test_the_device_follows_the_data_unless_it_is_named(device):
    X = torch.zeros(3, 2, device=device)
    assert device_of("auto", np.zeros((3, 2))) is None
    assert device_of(None, [[1.0]]) is None
    assert device_of("auto", X) == (None if device == "cpu" else str(X.device))
    assert device_of("torch", X) == device_of(torch.device("cpu"), X) or device_of("torch", X) == str(X.device)
    assert device_of("torch", [[1.0]]) == "cpu"
    assert device_of("cpu", X) is None
    assert where(X) == str(X.device)


@pytest.mark.parametrize(
    ("device", "error", "words"),
    [("gpu", ValueError, "one of auto, cpu, cuda"), (3, TypeError, "a name"), ("cuda:", ValueError, "one of auto")],
)
def test_devices_that_are_none(device, error, words):
    with pytest.raises(error, match=words):
        device_of(device, np.zeros((3, 2)))


def test_a_device_that_this_machine_lacks():
    with pytest.raises(ValueError, match="does not find on this machine"):
        device_of("xpu", np.zeros((3, 2)))
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"device='cuda:3'.*device=\"cpu\""):
            device_of("cuda:3", np.zeros((3, 2)))


def test_settings_that_a_device_cannot_compute():
    refuse_on(None, "kernel=f")
    refuse_on("cuda:0")
    with pytest.raises(ValueError, match=r"kernel=f cannot be computed on device 'cuda:0'.*device=\"cpu\""):
        refuse_on("cuda:0", "kernel=f")
    with pytest.raises(ValueError, match=r"kernel=f cannot be computed on device 'torch'\. Pass device=\"cpu\""):
        refuse_on("cpu", "kernel=f")


def test_arrays_become_tensors_without_a_copy_where_they_can(device):
    X = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    tensor = as_tensor(X, device)
    assert (tensor.device.type, tensor.dtype, tuple(tensor.shape)) == (device, torch.float32, (6, 2))
    assert as_tensor(tensor, str(tensor.device)) is not None
    if device == "cpu":
        assert tensor.data_ptr() == X.ctypes.data
    assert as_tensor(tensor, str(tensor.device)).data_ptr() == tensor.data_ptr()
    frozen = X.copy()
    frozen.flags.writeable = False
    for other in (X.tolist(), np.asfortranarray(X), frozen, X[::-1], X.astype(np.int16), X.astype(">f8")):
        np.testing.assert_array_equal(as_tensor(other, device).cpu().numpy(), np.asarray(other, np.float64))
    assert as_tensor(tensor.half(), str(tensor.device)).dtype == torch.float32
    assert as_tensor(tensor.long(), str(tensor.device)).dtype == torch.float64
    assert as_tensor(X.astype(np.float16), device).dtype == torch.float64  # as on the CPU


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: torch.eye(4).to_sparse(), TypeError, "sparse"),
        (lambda: torch.zeros(3, 2, dtype=torch.complex64), TypeError, "[Cc]omplex"),
        (lambda: torch.zeros(4), ValueError, "2-D"),
        (lambda: np.zeros((0, 2)), ValueError, "at least one row"),
        (lambda: np.array([["a", "b"]]), TypeError, "real numbers"),
    ],
)
def test_what_is_no_table_of_numbers(make, error, words):
    with pytest.raises(error, match=words):
        as_tensor(make(), "cpu")


def test_weights(device):
    np.testing.assert_array_equal(as_tensor_weights(2, 3, device).cpu().numpy(), [2.0, 2.0, 2.0])
    assert as_tensor_weights(None, 3, device) is None
    for bad, words in (
        ([1.0, -1.0], "entry 1 is -1"),
        ([0.0, 0.0], "zero"),
        ([1.0], "shape"),
        ([np.nan, 1.0], "entry 0"),
    ):
        for weights in (bad, torch.tensor(bad, device=device)):
            with pytest.raises(ValueError, match=words):
                as_tensor_weights(weights, 2, device)
    with pytest.raises(TypeError, match=r"real numbers, got dtype torch\.complex64"):
        as_tensor_weights(torch.ones(2, dtype=torch.complex64), 2, device)


class OfAGpu:
    """What says that it lies on a GPU, and cannot be read by NumPy."""

    def __dlpack_device__(self):
        return 2, 0

    def __array__(self, *args, **options):
        raise TypeError("no implicit copies to the CPU")


def test_weights_of_a_gpu_are_read_where_they_lie(monkeypatch):
    monkeypatch.setattr(torch, "from_dlpack", lambda given: torch.tensor([1.0, 2.0]))
    assert as_tensor_weights(OfAGpu(), 2, "cpu").tolist() == [1.0, 2.0]


def test_nothing_is_put_on_the_default_device_of_torch():
    X, torch_X = np.arange(12.0).reshape(6, 2), torch.arange(12.0, dtype=torch.float64).reshape(6, 2)
    weights, radii = torch.ones(6), torch.full((6,), 3.0)
    torch.set_default_device("meta")
    try:
        for points in (X, torch_X):
            ms.DBSCAN(3.0, min_samples=2, device="torch").fit(points, sample_weight=weights)
            ms.NearestNeighbors(device="torch").fit(points).count_neighbors(radius=radii)
    finally:
        torch.set_default_device(None)


@pytest.mark.parametrize("model", [ms.MeanShift(1.0), ms.DBSCAN(), ms.KMeans(2)])
def test_read_only_arrays_are_no_reason_to_warn(model, recwarn):
    X, weights = np.arange(12.0).reshape(6, 2), np.ones(6)
    X.flags.writeable = weights.flags.writeable = False
    torch.set_warn_always(True)
    try:
        model.set_params(device="torch").fit(X, sample_weight=weights)
    finally:
        torch.set_warn_always(False)
    assert not [w for w in recwarn if "writable" in str(w.message)]


def test_bounds_refuse_what_is_not_finite(device):
    X = torch.tensor([[1.0, 5.0], [-2.0, 3.0]], device=device)
    np.testing.assert_array_equal(bounds(X), [[-2.0, 3.0], [1.0, 5.0]])
    for value, what in ((float("nan"), "NaN"), (float("inf"), "infinity")):
        X[1, 0] = value
        with pytest.raises(ValueError, match=f"Input X contains {what} .first at row 1, column 0"):
            bounds(X)


def test_tensors_go_back_to_where_the_data_came_from(device):
    tensor = torch.arange(3, device=device)
    assert isinstance(Home.of(np.zeros(2)).back(tensor), np.ndarray)
    assert Home.of(torch.zeros(2, device=device)).back(tensor).device == tensor.device
    strict = pytest.importorskip("array_api_strict")
    assert type(Home.of(strict.zeros(2)).back(tensor)) is type(strict.zeros(2))


def test_want_of_memory_names_what_needed_how_much():
    with (
        pytest.raises(MemoryError, match=r"a table need 2 GiB on cpu.*device=\"cpu\""),
        room_for("a table", 2 * 2.0**30, "cpu"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.gpu
def test_more_than_a_gpu_holds():
    with pytest.raises(MemoryError, match="GiB left"), room_for("a table", 2.0**50, "cuda"):
        torch.empty(2**48, device="cuda")
