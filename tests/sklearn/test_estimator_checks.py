"""scikit-learn's own checks of what an estimator has to do."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from jgd.sklearn import GDClassifier, GDClassifierCV, GDRegressor, GDRegressorCV, GDTransformer

# The check wants 1e-7. A weight of 2 and an example twice make other batches, and in float32 the same
# minimum to 1e-4 (test_a_weight_of_two_is_an_example_twice).
ORDER = "batches of an example twice are others than those of a weight of 2, and numbers are float32"
EXPECTED = {
    GDRegressor: {"check_sample_weight_equivalence_on_dense_data": ORDER},
    GDClassifier: {"check_sample_weight_equivalence_on_dense_data": ORDER},
}
# The searches with few and short fits: the rest of them is that of the estimators.
ALPHAS = {"alpha": [1e-4, 1e-2]}
ESTIMATORS = [
    GDRegressor(),
    GDClassifier(),
    GDRegressorCV(GDRegressor(batch_size=None), ALPHAS, cv=2),
    GDClassifierCV(GDClassifier(batch_size=None), ALPHAS, cv=2),
    GDTransformer(),
]


@pytest.mark.exhaustive
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda e: EXPECTED.get(type(e), {}))
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)
