"""Points counted in the cells of an image, and the label that most points of a cell have."""

from modeseek.engines.cpu import exact_kernel


@exact_kernel
def count_cells(x, y, low, size, shape, counts):
    """Add the points to the counts of their cells, rows of low y first; the last cells hold their upper edge."""
    rows, columns = shape
    for i in range(len(x)):
        row = min(int((y[i] - low[1]) / size[1]), rows - 1)
        column = min(int((x[i] - low[0]) / size[0]), columns - 1)
        counts[row * columns + column] += 1


@exact_kernel
def sort_by_cell(x, y, codes, low, size, shape, ends, out):
    """Write the codes of the points to out, cell after cell; ``ends`` holds where each cell goes on."""
    rows, columns = shape
    for i in range(len(x)):
        row = min(int((y[i] - low[1]) / size[1]), rows - 1)
        column = min(int((x[i] - low[0]) / size[0]), columns - 1)
        cell = row * columns + column
        out[ends[cell]] = codes[i]
        ends[cell] += 1


@exact_kernel
def most_frequent(codes, counts, tally, out):
    """Write the most frequent code of each cell that holds any, the least of equals; ``tally`` is zero, and again."""
    start = 0
    for cell in range(len(counts)):
        stop = start + counts[cell]
        best = 0
        for i in range(start, stop):
            code = codes[i]
            tally[code] += 1
            if tally[code] > tally[best] or (tally[code] == tally[best] and code < best) or i == start:
                best = code
        for i in range(start, stop):
            tally[codes[i]] = 0
        if stop > start:
            out[cell] = best
        start = stop
