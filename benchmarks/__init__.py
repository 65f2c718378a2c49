"""Benchmarks: speed, memory and agreement with the exact answer, side by side with other implementations.

Run from the root of the repository::

    python -m benchmarks.mean_shift            # everything: some 10 to 15 minutes on 2 cores, 6 GB of memory
    python -m benchmarks.mean_shift --quick    # up to 60 000 points, no photograph: a few minutes
    python -m benchmarks.certificate           # labels proven equal to exact ones, checked one by one: half an hour
    python -m benchmarks.scaling               # time and memory up to 100 million points: some minutes, 6 GB
    python -m benchmarks.fidelity              # errors of steps against spacing, and their bounds: half a minute
    python -m benchmarks.high_dimensions       # 16 and 64 dimensions, against the batched form: some minutes
    python -m benchmarks.startup               # imports, first fits and compilation alone
    python -m benchmarks.figures               # redraw figures and tables of all pages from benchmarks/results

Speed is shown next to agreement with the exact answer: `benchmarks.reference` runs the definition itself, over
all points in float64, for a sample of starts, with no engine of the package under test.
"""
