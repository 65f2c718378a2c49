"""Dask: map deposit, merge in a tree, map labels. Points stay where they are; what is small travels.

A collection is read partition by partition (`parts`). What a route on grids asks of all points, to deposit them, to sum
around a few places, to look labels up, is done where they are (`problem`), so the routes are those of the CPU, on the
same integers, and so are the labels, to the bit, for any number of partitions and workers. Tasks are pure functions of
a partition: one that is lost is run again. No mathematics is added here, and nothing below imports Dask.
"""
