"""Wrappers as estimators: scikit-learn's own checks, pipelines, searches, copies."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import torchkeras as ours
from torchkeras.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

QUIET = {"verbose": 0}


def make(X, y, loss="mse", activation=None, units=4):
    model = ours.Sequential(
        [ours.Input((X.shape[1],)), ours.layers.Dense(units, "relu"), ours.layers.Dense(y.shape[1], activation)]
    )
    model.compile(ours.optimizers.Adam(0.05), loss, jit_compile=False)
    return model


def classifier(**arguments):
    kwargs = {"loss": "categorical_crossentropy", "activation": "softmax"}
    return SKLearnClassifier(make, model_kwargs=kwargs, **{"fit_kwargs": {"epochs": 2, **QUIET}, **arguments})


# The numbers of two trainings differ, and few steps on small data find few classes.
NOT_PROMISED = dict.fromkeys(
    [
        "check_classifiers_one_label_sample_weights",
        "check_classifiers_classes",
        "check_classifier_data_not_an_array",
        "check_regressor_data_not_an_array",
        "check_regressors_int",
        "check_supervised_y_2d",
        "check_fit_idempotent",
        "check_classifiers_train",
    ],
    "trainings are random and short, and samples of weight zero still move the weights' averages",
)
ESTIMATORS = [classifier(), SKLearnRegressor(make, fit_kwargs=QUIET), SKLearnTransformer(make, fit_kwargs=QUIET)]


CHECKS = [
    check
    for estimator in ESTIMATORS
    for check in estimator_checks_generator(estimator, expected_failed_checks=NOT_PROMISED, mark="xfail")
]


def check_id(value):
    """A name without addresses of memory: all processes of a run must collect the same tests."""
    return getattr(getattr(value, "func", None), "__name__", type(value).__name__)


@pytest.mark.parametrize("estimator, check", CHECKS, ids=check_id)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def data(rng):
    X = rng.normal(size=(60, 3))
    return X, np.where(X[:, 0] > 0, "high", "low")


def test_in_a_pipeline_and_a_search(rng):
    X, y = data(rng)
    pipeline = make_pipeline(StandardScaler(), classifier(fit_kwargs={"epochs": 12, **QUIET}))
    assert pipeline.fit(X, y).score(X, y) > 0.7
    assert set(pipeline.predict(X)) <= {"high", "low"}
    grid = {"model_kwargs__units": [1, 2], "fit_kwargs__epochs": [1]}
    search = GridSearchCV(classifier(), grid, cv=2, error_score="raise").fit(X, y)
    best = search.best_estimator_
    assert best.model_.layers[0].units == search.best_params_["model_kwargs__units"]
    assert (best.epoch_, len(best.history_.history["loss"])) == (1, 1)
    scores = cross_val_score(SKLearnRegressor(make, fit_kwargs=QUIET), X, X[:, 0], cv=2)
    assert np.isfinite(scores).all() and len(scores) == 2


def test_kinds_outputs_and_errors(rng):
    X, y = data(rng)
    assert is_classifier(classifier()) and is_regressor(SKLearnRegressor(make))
    fitted = classifier().fit(X, y)
    columns = fitted.decision_function(X)
    np.testing.assert_array_equal(fitted.classes_[columns.argmax(1)], fitted.predict(X))
    two = SKLearnRegressor(make, fit_kwargs=QUIET).fit(X, X[:, :2])
    assert two.predict(X).shape == (60, 2)
    assert SKLearnTransformer(make, fit_kwargs=QUIET).fit_transform(X, X[:, 0]).shape == (60, 1)
    with pytest.raises(ValueError, match="only one class"):
        classifier().fit(X, np.zeros(60, int))
    with pytest.raises(ValueError, match="Only binary and multiclass"):
        classifier().fit(X, X[:, 0])
    with pytest.raises(NotFittedError):
        classifier().predict(X)
    with pytest.raises(RuntimeError, match="needs to be compiled"):
        SKLearnRegressor(ours.Sequential([ours.layers.Dense(1)])).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="Invalid parameter 'units'"):
        classifier().set_params(units=3)


def test_models_are_copied_or_go_on(rng):
    X, y = data(rng)
    model = make(X, X[:, :1])
    before = [weight.copy() for weight in model.get_weights()]
    given = {"epochs": 1, **QUIET}
    estimator = SKLearnRegressor(model, fit_kwargs=given).fit(X, X[:, 0], epochs=2)
    assert (given, estimator.epoch_) == ({"epochs": 1, **QUIET}, 2)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    again = SKLearnRegressor(model, warm_start=True, fit_kwargs=QUIET).fit(X, X[:, 0])
    assert again.model_ is model
    first = SKLearnRegressor(make, warm_start=True, fit_kwargs=QUIET).fit(X, X[:, 0])
    kept = first.model_
    assert first.fit(X, X[:, 0]).model_ is kept
    copy = clone(estimator)
    assert copy.fit_kwargs == given and not hasattr(copy, "model_") and copy.model is not model
    restored = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_allclose(restored.predict(X), estimator.predict(X), rtol=1e-6)


def test_requests_of_metadata(rng):
    with pytest.raises(RuntimeError, match="enable_metadata_routing"):
        classifier().set_fit_request(sample_weight=True)
    X, y = data(rng)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        assert asked.get_metadata_routing().fit.requests == {"sample_weight": True}
        assert asked.get_metadata_routing().score.requests == {"sample_weight": False}
        seen = []
        asked.model = lambda X, y, **kwargs: seen.append(1) or make(X, y, **kwargs)
        make_pipeline(StandardScaler().set_fit_request(sample_weight=False), asked).fit(X, y, sample_weight=np.ones(60))
        assert seen


def test_scikit_learn_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.utils.metadata_routing", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        SKLearnRegressor(make)
