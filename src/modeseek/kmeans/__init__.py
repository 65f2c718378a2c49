"""k-means: seeds, Lloyd's rounds, mini-batches. Mathematics only; the estimator is `modeseek.KMeans`."""
