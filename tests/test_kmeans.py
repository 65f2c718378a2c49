"""KMeans: scikit-learn's checks and results, the textbook's rounds, hostile input, the same bits for any threads."""

from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms

DRAWN = "the same random numbers draw other rows of repeated points than of weighted ones; one cluster passes"


def expected_failures(estimator: ms.KMeans) -> dict[str, str]:
    return {"check_sample_weight_equivalence_on_dense_data": DRAWN} if estimator.n_clusters > 1 else {}


@parametrize_with_checks(
    [
        ms.KMeans(3, n_init=1),
        ms.KMeans(1),
        ms.KMeans(3, init="k-means||"),
        ms.KMeans(3, init="random", n_init=2),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
