r"""Mean shift on the unit sphere in space: the mean is put back on the sphere after every step.

Sums are those of sorted points, as in ``points``, about an origin that is taken off their coordinates, or those of a
table, as in ``table``, in node units from its corner. A climb may end early in
a cell whose label is known already: the labels of cells are looked up by their keys.
"""

from math import floor, sqrt

import numpy as np

from modeseek.engines.cpu import inline, kernel
from modeseek.engines.cpu.points import _first, _sums
from modeseek.engines.cpu.table import _inside, _rests, _sums_3d


@inline
def _label_at(x, side, span, keys, labels):
    """Return the label of the cell that x is in, -1 if it has none; cells count from -1 on each axis."""
    a = np.int64(floor((x[0] + 1.0) / side))
    b = np.int64(floor((x[1] + 1.0) / side))
    c = np.int64(floor((x[2] + 1.0) / side))
    key = (a * span + b) * span + c
    i = _first(keys, key)
    return labels[i] if i < keys.size and keys[i] == key else np.int32(-1)


@inline
def _land(x, q, length2):
    """Move x to q / |q|; return the square of the step. Where q is rounding all pulls cancel: x rests."""
    step2 = 0.0
    if length2 > 1e-30:
        length = sqrt(length2)
        for k in range(3):
            step = q[k] / length - x[k]
            x[k] += step
            step2 += step * step
    return step2


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
            step2 = _land(x[r], q, length)
            resting = step2 == 0.0 or (n > 1 and _rests(step2, previous, tol * tol))
            previous = step2
        steps[r] = n if resting else -n


@kernel
def climb_table(
    table, shape, corner, delta, factor, negligible, tol, max_iter,
    known_side, known_span, known_keys, known_labels, x, steps, found, q,
):  # fmt: skip
    """Do as `climb` on the sums of a table; ``steps`` is 0 where the density is negligible."""
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
            a = (x[r, 0] - corner[0]) / delta
            b = (x[r, 1] - corner[1]) / delta
            c = (x[r, 2] - corner[2]) / delta
            if not (_inside(a, shape[0]) and _inside(b, shape[1]) and _inside(c, shape[2])):
                break
            t, sa, sb, sc = _sums_3d(table, shape, a, b, c)
            if t <= negligible:
                break
            n += 1
            f = factor * delta / t
            q[0] = x[r, 0] + f * sa
            q[1] = x[r, 1] + f * sb
            q[2] = x[r, 2] + f * sc
            step2 = _land(x[r], q, q[0] * q[0] + q[1] * q[1] + q[2] * q[2])
            resting = step2 == 0.0 or (n > 1 and _rests(step2, previous, tol * tol))
            previous = step2
        steps[r] = n if resting else -n
