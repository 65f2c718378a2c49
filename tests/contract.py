"""Which of scikit-learn's checks end at what partial_fit refuses, and an estimator that runs them to their end."""

import modeseek as ms

COLUMNS = "partial_fit sums on a grid of up to three columns; the check fits more"
BANDWIDTH = "partial_fit needs a bandwidth given as a number, and the check gives none"
BLURRING = "blurring moves points, which partial_fit does not keep"
DIRECTIONS = "the check has a row of zeros, which has no direction"
STREAMED = {
    "check_dataframe_column_names_consistency": COLUMNS,
    "check_n_features_in_after_fitting": COLUMNS,
}
STREAMED_TOO = ("check_fit_score_takes_y", "check_estimators_partial_fit_n_features")


def expected_failures(estimator: ms.MeanShift) -> dict[str, str]:
    """Return the checks that end at what partial_fit refuses; `WithoutStreams` runs them to their end."""
    if estimator.metric == "cosine":
        return {"check_estimators_dtypes": DIRECTIONS}
    if isinstance(estimator, WithoutStreams):
        return {}
    if not hasattr(estimator, "partial_fit"):
        return {}
    why = BLURRING if estimator.blurring else BANDWIDTH if estimator.bandwidth is None else None
    return STREAMED | (dict.fromkeys(STREAMED_TOO, why) if why else {})


class WithoutStreams(ms.MeanShift):
    """Has no partial_fit: what a check finds wrong of everything else is not hidden behind it."""

    @property
    def partial_fit(self):
        raise AttributeError("partial_fit")
