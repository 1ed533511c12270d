"""Estimators for scikit-learn: a class, a number or a label for each step of sequences, and what follows a series."""

import typing
from importlib import import_module

from fastlstm.estimators.converters import from_channels_first as from_channels_first
from fastlstm.estimators.converters import from_sktime as from_sktime
from fastlstm.estimators.converters import from_tslearn as from_tslearn

if typing.TYPE_CHECKING:
    from fastlstm.estimators.classifier import LSTMClassifier as LSTMClassifier
    from fastlstm.estimators.regressor import LSTMRegressor as LSTMRegressor
    from fastlstm.estimators.tagger import SequenceTagger as SequenceTagger
    from fastlstm.forecasting import LSTMForecaster as LSTMForecaster

LATE = {
    "LSTMClassifier": "fastlstm.estimators.classifier",
    "LSTMForecaster": "fastlstm.forecasting",
    "LSTMRegressor": "fastlstm.estimators.regressor",
    "SequenceTagger": "fastlstm.estimators.tagger",
}
"""What is imported when it is first asked for, and from where: all but the forecaster need scikit-learn."""

__all__ = [
    "LSTMClassifier",
    "LSTMForecaster",
    "LSTMRegressor",
    "SequenceTagger",
    "from_channels_first",
    "from_sktime",
    "from_tslearn",
]


def __getattr__(name: str) -> object:
    if name in LATE:
        try:
            found: object = getattr(import_module(LATE[name]), name)
        except ImportError as error:
            if not (error.name or "").startswith("sklearn"):
                raise
            raise ImportError(f"{name} needs scikit-learn 1.6 or later: pip install 'fastlstm[sklearn]'") from error
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
