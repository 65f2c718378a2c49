"""tree"""
import numpy as np
from numpy.typing import NDArray
from typing import Any
from modeseek.engines.threads import run_chunks

SUBTREE = 1024  # leaves


class Leaves:
    def __init__(self, points: NDArray[Any], n_jobs: int | None = None):
        from modeseek.engines.cpu import halving as h
        n, d = points.shape
        self.n, self.d = n, d
        L = self.L = -(-n // h.LEAF)
        kind = np.int32 if n < 2**31 else np.int64
        columns = np.empty((d, n))
        rows = np.empty(n, kind)
        def copy(_, a, b):
            columns[:, a:b] = points[a:b].T
            rows[a:b] = np.arange(a, b)
        run_chunks(n, copy, n_jobs, 1 << 16)
        self.boxes = np.empty((2 * L - 1, 2, d))
        self.least = np.empty(2 * L - 1, kind)
        self.blocks = np.empty((L, d, h.LEAF))
        self.rows = np.empty(n, kind)
        scratch = np.empty(n), np.empty(n, kind), np.empty(n), np.empty(n, kind)
        level = [(0, 0, L)]
        while level and level[0][2] > SUBTREE:
            def split(_, i, __):
                v, f, many = level[i]
                self.least[v] = h.halve(columns, rows, f * h.LEAF, min((f + many) * h.LEAF, n), many, self.boxes[v], *scratch, np.empty(h.SAMPLE))
            run_chunks(len(level), split, n_jobs, 1)
            nxt = []
            for v, f, many in level:
                left = (many + 1) // 2
                nxt += [(v + 1, f, left), (v + 2 * left, f + left, many - left)]
            level = nxt
        def sub(_, i, __):
            v, f, many = level[i]
            h.subtree(columns, rows, v, f, many, self.boxes, self.least, *scratch, self.blocks, self.rows)
        run_chunks(len(level), sub, n_jobs, 1)
