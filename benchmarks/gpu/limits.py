"""What a device can do at best, measured: bytes a second of a copy, floating-point operations a second of products.

A case is compared with what its bytes and its operations would cost at these rates: see `row`.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from benchmarks.harness import Row

COPIED = 2**31  # bytes, far more than the caches hold; of the quick form 2^22
SIDE = 8192  # of the matrices; of the quick form 256
ROUNDS = 7


@dataclass(frozen=True)
class Limits:
    """Measured rates of a device: bytes read and written a second by a copy, operations a second of a product."""

    copy: float
    tf32: float
    fp32: float
    fp64: float


def synchronize(device: str) -> None:
    """Wait until a device has done everything that it was asked to."""
    kind = torch.device(device).type
    if kind != "cpu":
        getattr(torch, kind).synchronize(device)


def median_seconds(call: Callable[[], Any], device: str, rounds: int = ROUNDS, calls: int = 1) -> float:
    """Return the median time of a call, from when it is made until the device has done everything.

    On the CPU, whose times nobody reads, the call is made once.

    Parameters
    ----------
    call : callable
        What is timed, after one call that is not.
    device : str
        Where it works.
    rounds : int, default 7
        How often it is timed.
    calls : int, default 1
        Calls within a round, for what is short: the device is waited for after the last one only.
    """
    if torch.device(device).type == "cpu":
        rounds = calls = 1
    else:
        call()
    seconds = []
    for _ in range(rounds):
        synchronize(device)
        start = time.perf_counter()
        for _ in range(calls):
            call()
        synchronize(device)
        seconds.append((time.perf_counter() - start) / calls)
    return statistics.median(seconds)


def measure(device: str, quick: bool = False) -> Limits:
    """Measure what a device can do."""
    return Limits(
        _copy_rate(device, quick),
        _matrix_rate(device, torch.float32, quick, tf32=True),
        _matrix_rate(device, torch.float32, quick),
        _matrix_rate(device, torch.float64, quick),
    )


def _copy_rate(device: str, quick: bool) -> float:
    """Return the bytes that a large copy reads and writes in a second."""
    source = torch.zeros(2**22 if quick else COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / median_seconds(lambda: target.copy_(source), device)


def _matrix_rate(device: str, dtype: torch.dtype, quick: bool, tf32: bool = False) -> float:
    """Return the operations (multiplications and additions) that a product of large matrices does in a second."""
    side = 256 if quick else SIDE
    generator = torch.Generator(device).manual_seed(0)
    A, B = (torch.randn(side, side, dtype=dtype, device=device, generator=generator) for _ in range(2))
    out = torch.empty_like(A)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        return 2.0 * side**3 / median_seconds(lambda: torch.mm(A, B, out=out), device)
    finally:
        torch.set_float32_matmul_precision(before)


def machine(device: str, limits: Limits) -> list[Row]:
    """Describe a device: what it is, the versions of what runs on it, and its measured limits."""
    said = {"device": device_name(device)}
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        said["memory"] = f"{properties.total_memory / 2**30:.1f} GiB"
        said["multiprocessors"] = str(properties.multi_processor_count)
        said["compute capability"] = f"{properties.major}.{properties.minor}"
        said["cuda"] = str(torch.version.cuda or torch.version.hip)
    said["torch"], said["triton"] = torch.__version__, _version("triton")
    rates = {
        "copy": f"{limits.copy / 1e9:.0f} GB/s read and written",
        **{name: f"{rate / 1e12:.4g} Tflop/s" for name, rate in asdict(limits).items() if name != "copy"},
    }
    return [{"what": what, "value": value} for what, value in (said | rates).items()]


def device_name(device: str) -> str:
    """Return what a device is called by its maker."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def row(
    case: str,
    shape: tuple[int, int],
    seconds: float,
    limit_seconds: float,
    *,
    required: str = "-",
    measured: float | None = None,
    agrees: float | str = "-",
    least: float = 1.0,
    note: str = "",
) -> Row:
    """Make a row of the table.

    Parameters
    ----------
    case : str
        What was done.
    shape : tuple of int
        Rows and columns of the data.
    seconds : float
        How long it took.
    limit_seconds : float
        How long it would take at the limits of the device.
    required : str
        A comparison, as "<= 15"; "-" where nothing is required.
    measured : float, optional
        What is compared; ``seconds / limit_seconds`` if not given.
    agrees : float or str
        Share of the answers that are right; "-" where that is not looked at.
    least : float
        What ``agrees`` must be at least.
    note : str
        What the limit is, what the answers were compared with, and the like.
    """
    times = seconds / limit_seconds
    sign, _, number = required.partition(" ")
    verdict = "-"
    if required != "-":
        value = times if measured is None else measured
        verdict = "pass" if {"<=": value <= float(number), ">=": value >= float(number)}[sign] else "FAIL"
    if not isinstance(agrees, str) and not agrees >= least:
        verdict = "FAIL"
    return {
        "case": case,
        "n": shape[0],
        "d": shape[1],
        "seconds": seconds,
        "limit_seconds": limit_seconds,
        "times_limit": times,
        "required": required,
        "passed": verdict,
        "agrees": agrees,
        "note": note,
    }
