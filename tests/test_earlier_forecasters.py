"""Files of forecasters of earlier versions: what they forecast, and what they cannot do."""

import json
from pathlib import Path

import numpy as np
import pytest

from fastlstm.forecasting import LSTMForecaster

EARLIER = Path(__file__).parent / "earlier"
KNOWN = json.loads((EARLIER / "forecasts.json").read_text())
A, B = np.array(KNOWN["a"]), np.array(KNOWN["b"])
CASES = {
    "plain": (A, None),
    "log": (np.exp(A), None),
    "two": (np.stack([A, B], 1), None),
    "inputs": (A, B[:, None]),
}
COVERAGE = {"inputs": 0.8}


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_an_earlier_version_forecasts_as_it_did(name, tmp_path):
    y, X = CASES[name]
    forecaster = LSTMForecaster.load(EARLIER / f"{name}.safetensors").update(y, X)
    coverage = COVERAGE.get(name, 0.9)
    ends = forecaster.predict_interval(coverage=coverage)
    for part, expected in ((forecaster.predict(), "mean"), (ends[..., 0], "low"), (ends[..., 1], "high")):
        np.testing.assert_allclose(part, KNOWN[name][expected], rtol=1e-5)
    wider = forecaster.predict_interval(coverage=0.99)
    assert (wider[..., 0] < ends[..., 0]).all() and (wider[..., 1] > ends[..., 1]).all()
    np.testing.assert_allclose(forecaster.predict_quantiles([0.5])[..., 0], forecaster.predict(), rtol=1e-12)
    np.testing.assert_array_equal(forecaster.predict(2), forecaster.predict()[:2])
    forecaster.save(tmp_path / "again.safetensors")
    again = LSTMForecaster.load(tmp_path / "again.safetensors").update(y, X)
    np.testing.assert_array_equal(again.predict(), forecaster.predict())


def test_missing_values_are_those_before():
    gaps = A.copy()
    gaps[-3] = np.nan
    held = A.copy()
    held[-3] = A[-4]
    found, expected = (LSTMForecaster.load(EARLIER / "plain.safetensors").update(y).predict() for y in (gaps, held))
    np.testing.assert_array_equal(found, expected)


def test_what_such_a_file_cannot_do_is_said():
    forecaster = LSTMForecaster.load(EARLIER / "two.safetensors")
    with pytest.raises(RuntimeError, match="a file of an earlier version has no series: give them to update first"):
        forecaster.predict()
    with pytest.raises(ValueError, match="y: expected 2 series and 0 columns of X, as in fit, got 1 and 0"):
        forecaster.update(A).predict()
    forecaster = LSTMForecaster.load(EARLIER / "plain.safetensors").update(A[:5])
    with pytest.raises(ValueError, match="y: expected at least 12 values of each series, got 5"):
        forecaster.predict()
    forecaster.update(A)
    with pytest.raises(ValueError, match="fh: expected at most 2, as fit was told, got 3"):
        forecaster.predict(3)
    for call in (lambda: forecaster.evaluate(A), lambda: forecaster.share_, lambda: forecaster.update(A, refit=True)):
        with pytest.raises(ValueError, match="a file of an earlier version, which can only predict: fit anew"):
            call()
    with pytest.raises(ValueError, match="a file of an earlier version, which has no paths: fit anew"):
        forecaster.sample_paths(3)
    assert forecaster.fit(np.tile(A, 2), fh=2, progress=False).predict().shape == (2,)
