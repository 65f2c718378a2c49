"""The GPU's benchmarks run small on the CPU: their code is tested, and nothing is timed or written."""

from importlib.util import find_spec

import pytest

import modeseek as ms

torch = pytest.importorskip("torch")
from benchmarks import harness  # noqa: E402
from benchmarks.gpu import __main__ as command  # noqa: E402
from benchmarks.gpu import homework, limits  # noqa: E402

HERE = [name for name in command.PARTS if name != "homework" and find_spec(f"benchmarks.gpu.{name}")]


@pytest.fixture(scope="module")
def rates():
    return limits.measure("cpu", quick=True)


def test_limits_are_rates_of_this_machine(rates):
    assert all(1e6 < rate < 1e18 for rate in vars(rates).values())
    described = {row["what"]: row["value"] for row in limits.machine("cpu", rates)}
    assert described["torch"] == torch.__version__
    assert described["device"] == "cpu"


def test_the_precision_of_products_is_put_back(rates):
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_median_is_of_calls_after_the_first(monkeypatch):
    calls, waits = [], []
    monkeypatch.setattr(limits, "synchronize", waits.append)
    assert limits.median_seconds(lambda: calls.append(1), "cuda", rounds=3, calls=4) > 0.0
    assert len(calls) == 1 + 3 * 4
    assert waits == ["cuda"] * 6
    assert limits.median_seconds(lambda: calls.append(1), "cpu", rounds=3, calls=4) > 0.0
    assert len(calls) == 1 + 3 * 4 + 1


@pytest.mark.parametrize(
    ("required", "measured", "agrees", "verdict"),
    [
        ("<= 15", None, 1.0, "pass"),
        ("<= 1.5", None, 1.0, "FAIL"),
        (">= 5", 6.0, "-", "pass"),
        (">= 5", 4.0, "-", "FAIL"),
        ("<= 15", None, 0.999, "FAIL"),
        ("-", None, float("nan"), "FAIL"),
        ("-", None, 1.0, "-"),
    ],
)
def test_bars(required, measured, agrees, verdict):
    row = limits.row("x", (3, 2), 2.0, 1.0, required=required, measured=measured, agrees=agrees)
    assert row["times_limit"] == 2.0
    assert row["passed"] == verdict


@pytest.mark.parametrize("name", HERE)
def test_every_part_runs_small_and_is_right(name, rates):
    rows = command.part(name)(rates, "cpu", True)
    assert rows
    assert all(row["passed"] != "FAIL" for row in rows), rows
    for row in rows:
        assert {"case", "n", "d", "passed", "agrees", "note"} <= set(row)


@pytest.mark.parametrize("make", homework.CONTESTS, ids=lambda make: make.__name__)
def test_the_homework_of_a_device_is_right(make):
    estimator = {homework.hashing: ms.LSHIndex, homework.nearest: ms.NearestNeighbors}.get(make, ms.DBSCAN)
    if "device" not in estimator().get_params():
        pytest.skip(f"{estimator.__name__} knows no device")
    row = make(homework.FEW, "cpu").row("cpu")
    assert row["passed"] == "pass", row
    assert all(row[who] > 0.0 for who in (homework.PLAIN, homework.CPU, homework.GPU))


def test_without_hardware_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main([]) == 0
    assert "no CUDA device here: nothing was measured" in capsys.readouterr().out


def test_the_cpu_is_not_timed_and_nothing_is_written(monkeypatch, capsys, rates):
    def written(*_):
        raise AssertionError("results of the CPU were written")

    monkeypatch.setattr(harness, "write_rows", written)
    monkeypatch.setattr(limits, "measure", lambda device, quick: rates)
    monkeypatch.setattr(
        command, "part", lambda name: lambda *_: [limits.row("a case", (3, 2), 2.0, 1.0, required="<= 1.5")]
    )
    assert command.main(["--device", "cpu", "--quick", "--only", "dbscan"]) == 1
    said = capsys.readouterr().out
    assert "a case" in said
    assert "seconds" not in said


def test_a_part_that_is_missing_is_named(monkeypatch, capsys, rates):
    monkeypatch.setattr(limits, "measure", lambda device, quick: rates)
    monkeypatch.setattr(command, "part", lambda name: None)
    assert command.main(["--device", "cpu", "--quick", "--only", "near"]) == 1
    assert "MISSING: there is no module benchmarks.gpu.near" in capsys.readouterr().out


def test_a_part_that_fails_does_not_take_the_others_along(monkeypatch, capsys, rates):
    def fails(*_):
        raise MemoryError("a table needs 2 GiB")

    parts = {"kmeans": fails}
    monkeypatch.setattr(limits, "measure", lambda device, quick: rates)
    monkeypatch.setattr(command, "part", lambda name: parts.get(name, lambda *_: [limits.row(name, (3, 2), 2.0, 1.0)]))
    assert command.main(["--device", "cpu", "--quick"]) == 1
    said = capsys.readouterr().out
    assert "a table needs 2 GiB" in said
    assert all(name in said for name in command.PARTS)


def test_the_cpu_is_for_quick_runs():
    with pytest.raises(SystemExit):
        command.main(["--device", "cpu"])
