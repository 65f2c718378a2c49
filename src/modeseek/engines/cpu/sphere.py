r"""Mean shift on the unit sphere in space, on sorted points: the mean is put back on the sphere after every step.

Points are sorted by cell as in ``points``, about an origin that is taken off their coordinates. A climb may end early in
a cell whose label is known already: the labels of cells are looked up by their keys.
"""

from math import floor, sqrt

import numpy as np

from modeseek.engines.cpu import inline, kernel
from modeseek.engines.cpu.points import _first, _sums


@inline
def _label_at(x, side, span, keys, labels):
    """Return the label of the cell that x is in, -1 if it has none; cells count from -1 on each axis."""
    a = np.int64(floor((x[0] + 1.0) / side))
    b = np.int64(floor((x[1] + 1.0) / side))
    c = np.int64(floor((x[2] + 1.0) / side))
    key = (a * span + b) * span + c
    i = _first(keys, key)
    return labels[i] if i < keys.size and keys[i] == key else np.int32(-1)


@kernel
def climb(
    px, py, pz, w, keys, runs, lower, side, dims, origin, c, cut, factor, tol, max_iter,
    known_side, known_span, known_keys, known_labels, x, steps, found, s, q,
):  # fmt: skip
    """Move each row of x (m, 3), unit vectors, to its mode; ``found`` gets the label of a known cell it enters, or -1.

    ``steps`` (m,) gets the number of steps: negative if max_iter cut the climb short, 0 if no point is in reach.
    """
    for r in range(x.shape[0]):
        previous = np.inf
        n = 0
        resting = False
        found[r] = -1
        while n < max_iter and not resting:
            if known_keys.size > 0:
                found[r] = _label_at(x[r], known_side, known_span, known_keys, known_labels)
                if found[r] >= 0:
                    n = max(n, 1)
                    resting = True
                    break
            for k in range(3):
                q[k] = x[r, k] - origin[k]
            _sums(px, py, pz, w, keys, runs, lower, side, dims, q, c, cut, False, s)
            if s[0] <= 0.0:
                break
            n += 1
            length = 0.0
            for k in range(3):
                q[k] = x[r, k] + factor * s[1 + k] / s[0]
                length += q[k] * q[k]
            step2 = 0.0
            if length > 1e-30:  # else all pulls cancel: a place of rest
                length = sqrt(length)
                for k in range(3):
                    step = q[k] / length - x[r, k]
                    x[r, k] += step
                    step2 += step * step
            if step2 <= 1e-18 * tol * tol:
                resting = True
            elif n > 1 and step2 <= tol * tol:
                ratio = sqrt(step2 / previous)
                resting = ratio < 1.0 and step2 <= tol * tol * (1.0 - ratio) * (1.0 - ratio)
            previous = step2
        steps[r] = n if resting else -n
