"""Real tables through the command line: iris and digits from CSV files, compared with the true classes.

The commands are run as a user would run them, in a process of their own, and their output is shown as it is.
"""

import csv
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from modeseek.demo import page


def iris_section(directory: Path) -> page.Section:
    """Cluster the petals of 150 flowers at two bandwidths; return the section."""
    data = load_iris()
    species = [data.target_names[i] for i in data.target]
    rows = [[*map(str, x), name] for x, name in zip(data.data, species, strict=True)]
    _write_csv(directory / "iris.csv", [*data.feature_names, "species"], rows)
    petals = ("--columns", "petal length (cm),petal width (cm)")
    auto = _Run(directory, "iris.csv", "iris-auto.csv", *petals, "--plot", "iris-auto.png")
    narrow = _Run(
        directory,
        *("iris.csv", "iris-narrow.csv", *petals, "--standardize", "--bandwidth", "0.2"),
        *("--plot", "iris-narrow.png"),
    )
    pieces = [
        page.text(
            "Four lengths of 150 iris flowers of three species, in a file iris.csv. The command line "
            "reads the file, clusters its rows and writes them again with one more column, label. The "
            "species are in the file too; they play no part in the clustering, and come out as they went "
            "in."
        ),
        auto.html("species", "The bandwidth is chosen automatically."),
        narrow.html(
            "species",
            "A narrower view: columns scaled to standard deviation 1, and a bandwidth of 0.2 of it, chosen by hand.",
        ),
        page.side_by_side(
            page.picture("iris-auto.png", "Automatic bandwidth.", "Scatter plot of petals by cluster"),
            page.picture("iris-narrow.png", "Bandwidth 0.2.", "Scatter plot of petals by cluster"),
        ),
        page.text(
            "The adjusted Rand index compares clusters with species: 1 is perfect, 0 is chance. One "
            "species stands apart; the other two touch, and whether a hill has one top or several depends"
            " on how closely one looks."
        ),
    ]
    return page.Section("iris", "Flowers, from the command line", pieces)


def digits_section(directory: Path) -> page.Section:
    """Cluster 1797 handwritten digits along their first principal axes; return the section."""
    digits = load_digits()
    names = [f"axis {i}" for i in range(1, 11)]
    axes = PCA(len(names), svd_solver="full").fit_transform(digits.data)
    rows = [[*(f"{value:.6g}" for value in x), str(t)] for x, t in zip(axes, digits.target, strict=True)]
    _write_csv(directory / "digits.csv", [*names, "digit"], rows)
    three = _Run(
        directory,
        *("digits.csv", "digits-3.csv", "--columns", ",".join(names[:3]), "--bandwidth", "3"),
        *("--plot", "digits-3.png"),
    )
    ten = _Run(directory, "digits.csv", "digits-10.csv", "--columns", ",".join(names))
    _draw_means(directory / "digits-means.png", digits.images, ten.labels())
    pieces = [
        page.text(
            f"{len(rows):,} handwritten digits of 8 x 8 pixels. A principal component analysis turns the "
            "64 greys of each into a few numbers, those along which digits differ most; they are the "
            "columns of digits.csv. The last column is the digit that was meant, which again plays no "
            "part in the clustering."
        ),
        three.html("digit", "Three axes, and a bandwidth chosen by hand."),
        ten.html("digit", "Ten axes, and an automatic bandwidth."),
        page.side_by_side(
            page.picture("digits-3.png", "Three axes; two are drawn.", "Scatter plot of digits"),
            page.picture(
                "digits-means.png",
                "The mean picture of each of the largest clusters on ten axes, and the number of digits in"
                " it. Nobody told the algorithm that there are digits.",
                "Grey pictures, most of them readable as digits",
            ),
        ),
    ]
    return page.Section("digits", "Handwritten digits, from the command line", pieces)


class _Run:
    """One ``modeseek cluster`` in a process of its own."""

    def __init__(self, directory: Path, source: str, output: str, *options: str):
        command = ["-m", "modeseek.cli", "cluster", source, "-o", output, *options]
        self.shown = shlex.join(["python", *command])
        self.result = directory / output
        environment = {**os.environ, "COLUMNS": "96"}
        environment.pop("FORCE_COLOR", None)
        done = subprocess.run(
            [sys.executable, *command],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            raise OSError(f"{self.shown} failed: {done.stderr.strip().splitlines()[-1:]}")
        self.printed = done.stdout

    def column(self, name: str) -> list[str]:
        with self.result.open(newline="", encoding="utf-8") as file:
            return [row[name] for row in csv.DictReader(file)]

    def labels(self) -> NDArray[np.int64]:
        return np.array(self.column("label"), dtype=int)

    def html(self, truth: str, remark: str) -> str:
        """Return the command, its output, and how well its labels agree with a column of the same file."""
        score = adjusted_rand_score(self.column(truth), self.labels())
        agreement = f"Adjusted Rand index against the column {truth}: {score:.3f}."
        return page.text(remark) + page.terminal(self.shown, self.printed) + page.text(agreement)


def _write_csv(path: Path, names: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *rows])


def _draw_means(path: Path, images: NDArray, labels: NDArray[np.int64], most: int = 18) -> None:
    """Draw the mean picture of each of the largest clusters."""
    counts = np.bincount(labels)[:most]
    columns = min(len(counts), 6)
    rows = -(-len(counts) // columns)
    figure = Figure(figsize=(1.2 * columns, 1.45 * rows), layout="constrained")
    for axes, k in zip(figure.subplots(rows, columns, squeeze=False).flat, range(rows * columns), strict=True):
        axes.axis("off")
        if k < len(counts):
            axes.imshow(images[labels == k].mean(axis=0), cmap="gray_r")
            axes.set_title(f"{counts[k]}", fontsize=9)
    figure.savefig(path, dpi=130)
