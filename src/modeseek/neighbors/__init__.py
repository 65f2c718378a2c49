"""Which points are close to which: compact groups of rows, in any number of columns.

`groups` cuts rows into groups of neighbours by k-means-like splits. In hundreds of columns no bound on distances leaves
out much (a group that is far in the mean may, by the triangle inequality, always have a point that is near), so groups
are ranked by what they weigh, and who uses them says what becomes of the rest.
"""
