"""Models as estimators of scikit-learn."""

from torchkeras.wrappers.classifier import SKLearnClassifier as SKLearnClassifier
from torchkeras.wrappers.regressor import SKLearnRegressor as SKLearnRegressor
from torchkeras.wrappers.transformer import SKLearnTransformer as SKLearnTransformer
