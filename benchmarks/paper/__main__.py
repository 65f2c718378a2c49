"""All experiments of the paper, one after the other: ``python -m benchmarks.paper`` (``--quick``)."""

import sys

from benchmarks.paper import ablation, coverage, dimensions, gaps, growth, pareto, quality, spacing

EXPERIMENTS = (pareto, growth, spacing, ablation, dimensions, quality, coverage, gaps)


def main(arguments: list[str] | None = None) -> int:
    """Run each; return 1 if one failed."""
    return max(experiment.main(arguments) for experiment in EXPERIMENTS)


if __name__ == "__main__":
    sys.exit(main())
