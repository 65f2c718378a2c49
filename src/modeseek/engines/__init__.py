"""How sums are computed: compiled kernels over ranges (``cpu``) and the threads around them (``threads``)."""
