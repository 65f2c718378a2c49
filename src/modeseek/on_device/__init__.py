"""Mean shift on a device of Torch: points and labels stay where they are, what is small is decided on the CPU.

A sketch of a billion points is a grid of some hundred thousand masses. So points are deposited and labelled on the
device, and the grid alone goes to the CPU, where the flood and the proofs are those of every other fit.
"""
