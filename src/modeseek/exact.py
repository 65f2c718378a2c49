r"""Climbs by the definition that end only where they are *proven* to be home.

Let z be a mode, u_i = x_i - z, h = 1, and p_i the normalized weights at z, for which sum p_i u_i = 0. For x = z + v
the weights are p_i e^{v.u_i} up to a factor, their sum is at least 1 (Jensen), and the Jacobian of m is their
covariance. So for |v| <= r

    |J(x)| <= q(r) = largest eigenvalue of  sum_i p_i e^{r |u_i|} u_i u_i^T,

and where q(r) < 1, every path that enters the ball B(z, r), the *trap* of z, converges to z. log q is convex in
r, so the chord between a radius that is too large and 0 gives one that is not.

No climb is ended because its steps are short, as they are near saddles and on slow ridges. Short steps only make it
ask whether Newton's method finds a mode ahead; a mode that is new gets its trap, both from the plain sums over all
points, and the climb goes on until it is in one. Two modes are the same where one lies in the trap of the other.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from modeseek.definition import Definition, Floats, Ints

FIRST_BATCH = 32  # climbs that look for the first modes; each batch is twice as large as the one before
MAX_STEPS = 10_000
NEWTON_STEPS = 20
SAME = 1e-6  # bandwidths between a mode on expansions and a known one at which both are one
NEAR = 0.1  # bandwidths still to go at which a climb first asks whether there is a mode ahead
LARGEST_TRAP = 1.5  # bandwidths
FLAT = 1e-7  # 1 - |J| at a mode below which no trap can be proven


@dataclass
class Traps:
    """The modes found so far, each with the radius of its trap."""

    positions: list[Floats] = field(default_factory=list)
    radii: list[float] = field(default_factory=list)

    def home(self, x: Floats) -> tuple[Ints, Floats]:
        """Return the mode in whose trap each row of x lies, -1 for none, and the distance to the nearest mode."""
        if not self.positions:
            return np.full(len(x), -1), np.full(len(x), np.inf)
        distance, nearest = cKDTree(np.array(self.positions)).query(x)
        inside = distance < np.array(self.radii)[nearest]
        return np.where(inside, nearest, -1), distance


def climb(definition: Definition, starts: ArrayLike, traps: Traps) -> tuple[Ints, Floats]:
    """Climb each start until it is in a trap; modes that are new are added to ``traps``.

    Returns the mode of each start, an index into ``traps``, or -1 where `MAX_STEPS` did not bring it to a trap; and
    the position of that mode, or else where the climb stands, (m, d).
    """
    x = definition.scaled(starts)
    definition.expand(x)
    mode = np.full(len(x), -1)
    first, size = 0, FIRST_BATCH
    while first < len(x):
        _climb_batch(definition, x[first : first + size], mode[first : first + size], traps)
        first, size = first + size, 2 * size
    at_home = np.flatnonzero(mode >= 0)
    if at_home.size:
        x[at_home] = np.array(traps.positions)[mode[at_home]]
    return mode, definition.original(x)


def _climb_batch(definition: Definition, x: Floats, mode: Ints, traps: Traps) -> None:
    """Let the rows of x climb, in place."""
    active = np.lexsort(np.floor(x / 2.0).T[::-1])  # near each other in space, near each other in a chunk
    previous = np.full(len(x), np.inf)
    ask = np.full(len(x), NEAR)
    done, rounds = 0, 0
    while done < MAX_STEPS * (10 if definition.expansions else 1):
        mode[active], distance = traps.home(x[active])
        moving = mode[active] < 0
        active = active[moving]
        if not active.size:
            return
        count = max(1, min(32, rounds // 2)) if definition.expansions else 1
        rounds, done = rounds + 1, done + count
        moved = x[active]
        length, before = definition.advance(moved, count)
        x[active] = moved
        with np.errstate(divide="ignore", invalid="ignore"):
            q = length / np.where(np.isfinite(before), before, previous[active])
            to_go = np.where(length <= definition.finest, 0.0, np.where(q < 1.0, length / (1.0 - q), np.inf))
        stuck = (length == 0.0) & (previous[active] == 0.0)  # on a saddle, to the last bit: it never moves again
        previous[active] = length
        asking = active[(to_go < ask[active]) & (distance[moving] > 2.0 * to_go + length)]
        ask[active[to_go < ask[active]]] /= 8.0
        for r in asking:
            _look_ahead(definition, x[r], traps)
        active = active[~stuck]


def _look_ahead(definition: Definition, x: Floats, traps: Traps) -> None:
    """Look for a mode ahead of x that is not known; keep it with its trap."""
    if traps.home(x[None])[0][0] >= 0:
        return
    ahead = approach(definition, x)
    if ahead is None or traps.home(ahead[None])[1][0] < SAME:
        return
    found = polish(definition, ahead)
    if found is None or traps.home(found[0][None])[0][0] >= 0:
        return
    radius = trap_radius(definition, *found)
    if radius > 0.0:
        traps.positions.append(found[0])
        traps.radii.append(radius)


def polish(definition: Definition, x: Floats) -> tuple[Floats, float, float] | None:
    """Return the mode that Newton's method finds from x, its density, and |J| there; None if it finds none."""
    z = x.copy()
    for _ in range(NEWTON_STEPS):
        density, s, second = definition.moments(z)
        jacobian = second / density - np.outer(s, s)
        largest = float(np.linalg.eigvalsh(jacobian)[-1])
        if largest >= 1.0 - FLAT:
            return None
        if s @ s <= definition.finest**2:
            return z, density, largest
        z += np.linalg.solve(np.eye(len(s)) - jacobian, s)
        if np.square(z - x).sum() > 1.0:
            return None
    return None


def approach(definition: Definition, x: Floats) -> Floats | None:
    """Go where `polish` would, on the expansions, where there are any: an attempt that fails costs little."""
    z = x.copy()
    for _ in range(NEWTON_STEPS if definition.expansions is not None else 0):
        assert definition.expansions is not None
        s, jacobian, step = definition.expansions.newton(z[1:])
        if not np.linalg.eigvalsh(jacobian)[-1] < 1.0 - FLAT or np.square(z - x).sum() > 1.0:
            return None
        if s @ s <= 1e-20:
            break
        z[1:] += step
    return z


def trap_radius(definition: Definition, z: Floats, density: float, largest: float) -> float:
    """Return the radius of the trap of a mode, given its density and |J| there."""
    target = 1.0 - 0.1 * (1.0 - largest)
    near, q_near = 0.0, max(largest, 1e-300)
    far = min(LARGEST_TRAP, 2.0 * (1.0 - largest))
    while (q_far := _contraction(definition, z, density, far)) < target:
        near, q_near = far, max(q_far, 1e-300)
        if far == LARGEST_TRAP:
            return near
        far = min(LARGEST_TRAP, 1.5 * far)
    for _ in range(2):  # the chord of a convex function lies above it
        radius = near + (far - near) * np.log(target / q_near) / np.log(q_far / q_near)
        q = _contraction(definition, z, density, radius)
        if q < 1.0 and radius > near:
            near, q_near = radius, min(q, target)
    return float(near)


def _contraction(definition: Definition, z: Floats, density: float, radius: float) -> float:
    """Return q(radius), with what lies beyond the reach at its most."""
    _, _, second = definition.moments(z, radius)
    beyond = definition.total * definition.reach**2 * np.exp(definition.reach * (radius - 0.5 * definition.reach))
    return (float(np.linalg.eigvalsh(second)[-1]) + beyond) / density
