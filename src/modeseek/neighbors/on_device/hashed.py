"""Hashed points on a device: the buckets and the probing sequences of `modeseek.neighbors.lsh`, candidates in float64.

The hashes are those of the CPU for the same seed, and so are the buckets, but for projections that lie on a border to
within rounding. Candidates are sorted, so that each is compared once. A sample of the points goes to the CPU where
settings are chosen (`tune`).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.engines.gpu import bounds, hashing, pairs, room_for
from modeseek.neighbors.hash_families import draw
from modeseek.neighbors.lsh import FEW, LARGEST_SPREAD, NARROWEST, PATIENCE, WIDEST, Settings
from modeseek.neighbors.on_device.exact import DeviceSearch, radii_of

CANDIDATES_AT_ONCE = 1 << 24


class DeviceFrame:
    """Coordinates to hash in, as `neighbors.lsh.Frame`: the middle comes from a sample of the points, on the CPU."""

    def __init__(self, X: torch.Tensor):
        low, high = ends = bounds(X)
        if not np.isfinite(high - low).all() or np.abs(ends).max() > LARGEST_SPREAD:
            raise ValueError(f"X holds values of up to {np.abs(ends).max():g}: distances overflow. Rescale X first.")
        step = -(-len(X) // min(len(X), 1 << 16))
        middle = np.clip(X[::step].cpu().numpy().mean(axis=0, dtype=np.float64), low, high)
        largest = float(np.maximum(high - middle, middle - low).max())
        self.scale = float(np.ldexp(1.0, -int(np.frexp(largest)[1]))) if largest > 1e-290 else 1.0
        self.middle = torch.from_numpy(middle).to(X.device)

    def into(self, X: torch.Tensor) -> torch.Tensor:
        """Return rows in these coordinates, float32."""
        return ((X.double() - self.middle) * self.scale).clamp(-1e15, 1e15).float()


class DeviceHashedPoints:
    """Points in tables of sorted keys, on a device (see `neighbors.lsh.HashedPoints`).

    Parameters
    ----------
    X : Tensor of shape (n, d), float32 or float64
        Points; kept as they are.
    settings : Settings
        Tables, hashes and buckets.
    frame : DeviceFrame, optional
        Coordinates that were found before.
    """

    def __init__(self, X: torch.Tensor, settings: Settings, frame: DeviceFrame | None = None):
        self.exact = DeviceSearch(X)
        self.X, self.settings, self.n_jobs = X, settings, None
        self.frame = frame or DeviceFrame(X)
        self.n_candidates = 0  # of the last call of `nearest`
        if len(X) > FEW:
            self._build()

    def _build(self) -> None:
        settings, device = self.settings, self.X.device
        width = min(max(settings.width * self.frame.scale, NARROWEST), WIDEST)
        d, tables = self.X.shape[1], settings.n_tables
        drawn = draw(settings.family, tables, settings.n_hashes, width, d, settings.seed)
        self.drawn = hashing.DrawnHashes(
            drawn.family,
            drawn.axes,
            torch.from_numpy(drawn.directions.reshape(-1, d)).double().to(device),
            torch.from_numpy(drawn.offsets.reshape(-1)).double().to(device),
            torch.from_numpy(drawn.multipliers.view(np.int64)).to(device),
        )
        with room_for(f"{tables} tables of {len(self.X)} points", 28.0 * tables * len(self.X), str(device)):
            found = torch.empty(tables, len(self.X), dtype=torch.int64, device=device)
            for start in range(0, len(self.X), hashing.BLOCK):
                part = slice(start, start + hashing.BLOCK)
                values = hashing.project(self.frame.into(self.X[part]), self.drawn)
                found[:, part] = hashing.keys(values, self.drawn).T
            self.buckets = hashing.Buckets(found)

    # ------------------------------------------------------------------------------------------------- the verbs

    def nearest(self, Q: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return distances and rows, (m, k), of the k nearest candidates, as `HashedPoints.nearest` does."""
        Q = self._queries(Q)
        self.n_candidates = 0
        if len(self.X) <= FEW:
            return self.exact.nearest(Q, k)
        distances = torch.empty(len(Q), k, dtype=torch.float64, device=Q.device)
        rows = torch.empty(len(Q), k, dtype=torch.int64, device=Q.device)
        least = int(self.settings.n_probes)
        few = []
        for part, query, row, _ in self.candidates(Q, least + (least < self.settings.n_probes), True):
            few.append(part[~self._choose(Q, k, part, query, row, distances, rows)])
        left = torch.cat(few) if few else torch.empty(0, dtype=torch.int64)
        few = []
        for part, query, row, probe in self.candidates(Q, least + PATIENCE * self.settings.n_tables, False, left):
            cut = _enough(query, probe, len(part), k)
            on = probe <= cut[query]
            few.append(part[~self._choose(Q, k, part, query[on], row[on], distances, rows)])
        left = torch.cat(few) if few else left[:0]
        if len(left):
            distances[left], rows[left] = self.exact.nearest(Q[left].contiguous(), k)
            self.n_candidates += len(left) * len(self.X)
        return distances, rows

    def within(self, Q: torch.Tensor, radii: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (indptr, rows, distances) of the candidates within the radius of each query, by rising row."""
        Q = self._queries(Q)
        reach = radii_of(radii, len(Q), str(Q.device)).clamp(max=LARGEST_SPREAD)
        if len(self.X) <= FEW:
            return self.exact.within(Q, reach)
        counts = torch.zeros(len(Q), dtype=torch.int64, device=Q.device)
        rows, distances, scale = [counts[:0]], [reach[:0]], self.frame.scale
        least = int(self.settings.n_probes)
        for part, query, row, _ in self.candidates(Q, least + (least < self.settings.n_probes), True):
            squared = pairs.squares(Q, self.X, part[query], row, scale)
            inside = squared <= ((reach[part] * scale) ** 2)[query]
            counts[part] = torch.bincount(query[inside], minlength=len(part))
            rows.append(row[inside])
            distances.append(pairs.roots(squared[inside]) / scale)
        return pairs.row_starts(counts), torch.cat(rows), torch.cat(distances)

    def count_within(self, Q: torch.Tensor, radii: Any) -> torch.Tensor:
        """Return how many candidates are within the radius of each query."""
        return self.within(Q, radii)[0].diff()

    # ------------------------------------------------------------------------------------------------- the parts

    def candidates(
        self, Q: torch.Tensor, probes: int, visits: bool, which: torch.Tensor | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield some queries (their numbers, in order), and the candidates that they meet in their first buckets.

        Parameters
        ----------
        Q : Tensor of shape (m, d)
            Queries.
        probes : int
            Buckets.
        visits : bool
            Whether each query visits as many as the settings say: of 3.4, three or four, by where it lies.
        which : Tensor, optional
            The queries that are asked for; None: all.

        Yields
        ------
        part, query, row, probe : Tensor
            Of each candidate the query, a place in ``part``, its row, and the bucket that it was met in first; by
            query, then row.
        """
        which = torch.arange(len(Q), device=Q.device) if which is None else which
        for start in range(0, len(which), hashing.BLOCK):
            part = which[start : start + hashing.BLOCK]
            values = hashing.project(self.frame.into(Q[part]), self.drawn)
            begin, size = self.buckets.find(*hashing.probes(values, self.drawn, probes))
            if visits:
                size *= torch.arange(probes, device=Q.device) < self._visits(values)[:, None]
            ends = torch.cumsum(size.sum(dim=1), 0).cpu()
            first = 0
            while first < len(part):
                before = int(ends[first - 1]) if first else 0
                stop = int(torch.searchsorted(ends, before + CANDIDATES_AT_ONCE, right=True))
                some = slice(first, min(max(stop, first + 1), len(part)))
                yield part[some], *self._met(begin[some], size[some], int(ends[some.stop - 1]) - before)
                first = some.stop

    def _met(
        self, begin: torch.Tensor, size: torch.Tensor, total: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return query, row and first bucket of what is in buckets, each point of a query once."""
        flat = size.reshape(-1)
        with room_for(f"{total} candidates", 40.0 * total, str(size.device)):
            bucket = torch.repeat_interleave(torch.arange(len(flat), device=flat.device), flat, output_size=total)
            inside = torch.arange(total, device=flat.device) - pairs.row_starts(flat)[bucket]
            row = self.buckets.rows.view(-1)[begin.reshape(-1)[bucket] + inside].long()
            packed, order = torch.sort((bucket // size.shape[1] << 32) | row, stable=True)
            new = torch.ones(total, dtype=torch.bool, device=flat.device)
            new[1:] = packed[1:] != packed[:-1]
            packed = packed[new]
            return packed >> 32, packed & 0xFFFFFFFF, (bucket % size.shape[1])[order[new]]

    def _choose(
        self, Q: torch.Tensor, k: int, part: torch.Tensor, query: torch.Tensor, row: torch.Tensor,
        distances: torch.Tensor, rows: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Write the k nearest candidates of the queries that have so many; return which those are."""
        enough = torch.bincount(query, minlength=len(part)) >= k
        on = enough[query]
        place = torch.cumsum(enough, 0) - 1
        query, row, chosen = place[query[on]], row[on], part[enough]
        self.n_candidates += len(row)
        if len(chosen):
            squared = pairs.squares(Q, self.X, chosen[query], row, self.frame.scale)
            squared, rows[chosen] = pairs.first_of_each(query, row, squared, len(chosen), k)
            distances[chosen] = pairs.roots(squared) / self.frame.scale
        return enough

    def _visits(self, values: torch.Tensor) -> torch.Tensor:
        """Return how many buckets each query visits, by the bits of its first projection."""
        bits = values[:, 0, 0, 0].contiguous().view(torch.int32).long() & 0xFFFFFFFF
        bits = bits * (0x9E3779B97F4A7C15 - (1 << 64))
        share = ((bits ^ (bits >> 32)) & 0xFFFFFFFF).double() * 2.0**-32
        least = int(self.settings.n_probes)
        return least + (share < self.settings.n_probes - least).long()

    def _queries(self, Q: torch.Tensor) -> torch.Tensor:
        if len(Q) and np.abs(bounds(Q)).max() > LARGEST_SPREAD:
            raise ValueError("queries hold values so large that distances overflow. Rescale X first.")
        return Q.double().contiguous()


def _enough(query: torch.Tensor, probe: torch.Tensor, m: int, k: int) -> torch.Tensor:
    """Return the bucket in which each query has met its k-th candidate; a late one where it never does."""
    order = torch.sort(probe, stable=True).indices
    order = order[torch.sort(query[order], stable=True).indices]
    starts = pairs.row_starts(torch.bincount(query, minlength=m))
    at = starts[:-1] + k - 1
    there = at < starts[1:]
    last = max(len(order) - 1, 0)
    met = probe[order[at.clamp(max=last)]] if len(order) else at
    return torch.where(there, met, torch.iinfo(torch.int64).max)


def with_probes(index: DeviceHashedPoints, n_probes: float) -> DeviceHashedPoints:
    """Let searches of an index visit so many buckets."""
    index.settings = replace(index.settings, n_probes=n_probes)
    return index


def follow(
    index: DeviceHashedPoints, Q: torch.Tensor, own: torch.Tensor, truth: torch.Tensor, probes: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return how many true neighbours and others are met in the first buckets, (m, probes) each."""
    hits, seen = np.zeros((2, len(Q), probes), np.int32)
    for part, query, row, probe in index.candidates(Q, probes, False):
        others = row != own[part][query]
        query, row, probe = query[others], row[others], probe[others]
        true = (truth[part][query] == row[:, None]).any(dim=1)
        place = query * probes + probe
        for to, some in ((hits, place[true]), (seen, place)):
            met = torch.bincount(some, minlength=len(part) * probes).view(-1, probes)
            to[part.cpu().numpy()] = torch.cumsum(met, 1).int().cpu().numpy()
    return hits, seen
