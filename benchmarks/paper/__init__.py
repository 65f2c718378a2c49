"""Experiments of the paper "sketch, climb, label": small tables, each made again by one command.

Run from the root of the repository; each takes a few minutes at most, all together less than half an hour::

    python -m benchmarks.paper.pareto       # labels that differ from exact mean shift, against time, with peers
    python -m benchmarks.paper.growth       # more points than the other benchmarks have: 4e8 in memory, 1e9 in files
    python -m benchmarks.paper.spacing      # errors and certified shares against the spacing of the grid
    python -m benchmarks.paper.ablation     # what each part of a proof settles and costs, and what is lost without it
    python -m benchmarks.paper.dimensions   # one to sixteen columns, and embeddings: routes, times, agreement
    python -m benchmarks.paper.quality      # clusters against known ones, with bootstrap intervals over seeds
    python -m benchmarks.paper.coverage     # how often the audit's bound holds, over 1000 audits of each kind
    python -m benchmarks.paper.gaps         # how far exact steps and Jacobians are from tables, over what bounds allow

``--quick`` runs the same in seconds on less data, and writes to files named so. Results are
benchmarks/results/paper_*.csv. What other benchmarks measure is not measured here again: time and memory up to 1e8
points (`benchmarks.scaling`), two million certified labels checked one by one (`benchmarks.certificate`), directions in
hundreds of columns (`benchmarks.embeddings`), photographs (`benchmarks.images`).
"""
