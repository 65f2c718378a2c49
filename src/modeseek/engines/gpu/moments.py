r"""Second moments of a Gaussian cloud around few places: Newton's method on a mode, and how large its trap is.

Everything is in float64 and bandwidths, over all points, in chunks of bounded memory.
"""

from collections.abc import Iterator, Sequence

import torch

from modeseek.engines.gpu.shift import VALUES_AT_ONCE, VALUES_ON_GPU, Cloud, sums

GRAMS_AT_ONCE = 1 << 24  # values


def hessians(source: Cloud, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return m(z) - z, (k, d), and I - J, (k, d, d), the negative Hessian of log f times h^2, at each place."""
    found = sums(source, places, pruned=False)
    steps = found.steps
    second = places.new_zeros(len(places), places.shape[1], places.shape[1])
    for part, offsets, own in _around(source, places):
        squares = offsets.square().sum(dim=2)
        g = own * torch.exp(-0.5 * squares - found.peaks[part, None]) / found.totals[part, None]
        second[part] += torch.bmm((offsets * g[:, :, None]).transpose(1, 2), offsets)
    second -= steps[:, :, None] * steps[:, None, :]
    return steps, torch.eye(places.shape[1], dtype=places.dtype, device=places.device) - second


def contractions(source: Cloud, modes: torch.Tensor, radii: Sequence[float]) -> torch.Tensor:
    r"""Return the largest eigenvalue of sum_i w_i exp(s |y_i|) y_i y_i^T / W for each mode and s, (k, len(radii)).

    y_i is the offset of point i from the mode, w_i its weight there, W their sum: `fields.traps` has the reason.
    """
    d = modes.shape[1]
    at_once = max(1, GRAMS_AT_ONCE // (len(radii) * d * d))
    return torch.cat([_contractions(source, part, radii) for part in modes.split(at_once)])


def _contractions(source: Cloud, modes: torch.Tensor, radii: Sequence[float]) -> torch.Tensor:
    k, d = modes.shape
    found = sums(source, modes, pruned=False)
    gram = modes.new_zeros(len(radii), k, d, d)
    for part, offsets, own in _around(source, modes):
        squares = offsets.square().sum(dim=2)
        distances = squares.sqrt()
        for i, s in enumerate(radii):
            grown = torch.exp(s * distances - 0.5 * squares - found.peaks[part, None])
            g = own * grown / found.totals[part, None]
            gram[i, part] += torch.bmm((offsets * g[:, :, None]).transpose(1, 2), offsets)
    return torch.linalg.eigvalsh(gram)[..., -1].T


def _around(source: Cloud, places: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Yield some places, the offsets (places, points, d) of some points from them, and these points' weights."""
    d = len(source.columns)
    values = VALUES_AT_ONCE.get(places.device.type, VALUES_ON_GPU // 4)
    columns = min(source.n, max(1 << 8, values // d))
    rows = max(1, values // (columns * d))
    for start in range(0, len(places), rows):
        part = slice(start, min(start + rows, len(places)))
        for first in range(0, source.n, columns):
            last = min(first + columns, source.n)
            x = source.columns[:, first:last].T
            own = x.new_ones(last - first) if source.weights is None else source.weights[first:last]
            yield part, x - places[part, None], own
