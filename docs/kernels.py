"""Draw the picture of docs/kernels.md, and print its table: ``python docs/kernels.py`` (needs ``modeseek[plot]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import modeseek as ms
from modeseek.kernels import BUILT_IN, KERNELS, equivalent_bandwidth
from modeseek.plotting.palette import COLORS
from modeseek.plotting.weights import DASHES

IMAGES = Path(__file__).parent / "images"
COLUMNS = (1, 2, 3, 5, 10)


def shadows(ax):
    """Draw the densities in the plane at equal variance."""
    x = np.linspace(0.0, 3.2, 801)
    for i, (name, kernel) in enumerate(BUILT_IN.items()):
        h = equivalent_bandwidth(1.0, "gaussian", name, 2)
        density = kernel.shadow(x / h)
        density /= 2.0 * np.pi * np.trapezoid(density * x, x)
        ax.plot(
            x, density, color=COLORS[i % len(COLORS)], ls=DASHES[i % len(DASHES)], lw=2, label=f"{name}, h = {h:.2f}"
        )
    ax.set(title="The densities they climb, at equal variance in the plane", xlabel="distance", ylabel="density")
    ax.set_xlim(0, 3.2)
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)


def table():
    """Write the bandwidths that correspond to a Gaussian of standard deviation 1, in Markdown."""
    lines = ["| kernel | " + " | ".join(f"d = {d}" for d in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name in KERNELS:
        cells = [f"{equivalent_bandwidth(1.0, 'gaussian', name, d):.3f}" for d in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    """Draw weights and densities side by side."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained")
    ms.plot.kernels(list(KERNELS), ax=left)
    shadows(right)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "kernels.png", dpi=100)
    print(table())


if __name__ == "__main__":
    main()
