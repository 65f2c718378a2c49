"""Tables in files: the numbers to cluster read out of them, labels written back beside their rows.

`read_table` hands out the chosen columns as one (n, d) array; `write_labels` writes the same rows with one
more column. CSV, TSV, Parquet and Arrow (Feather) go through pyarrow, NPY through NumPy, memory-mapped.

What this package refuses to do is guess: text or a missing value in a chosen column is an error that names
the file, the column and the row. It holds nothing that can be read again: the rows are read once for their
numbers and once more while they are written. Output appears whole or not at all.
"""

from modeseek.files.read import Table, read_table
from modeseek.files.write import check_columns, check_output, check_place, replacing, write_columns, write_labels

__all__ = [
    "Table", "check_columns", "check_output", "check_place", "read_table", "replacing", "write_columns", "write_labels",
]  # fmt: skip
