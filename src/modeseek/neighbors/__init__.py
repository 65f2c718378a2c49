"""Which points are close to which: nearest neighbours, and compact groups of rows, in any number of columns.

`choose` says how neighbours are searched for; `tree` and `brute` do it, exactly, by the same three verbs.

`groups` cuts rows into groups of neighbours by k-means-like splits. In hundreds of columns no bound on distances leaves
out much (a group that is far in the mean may, by the triangle inequality, always have a point that is near), so groups
are ranked by what they weigh, and who uses them says what becomes of the rest.
"""
