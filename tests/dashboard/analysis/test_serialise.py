"""Results survive a round trip through JSON, and the printed document keeps its contract."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dashboard.analysis import CurveFit, FitSettings, StudyFit, fit_study
from dashboard.analysis.serialise import curve_document, from_plain, to_plain
from tests.dashboard.analysis.worlds import make_curve, simulate


@pytest.fixture(scope="module")
def study() -> StudyFit:
    rng = np.random.default_rng(50)
    curves = [*simulate(("rise", "flat"), rng=rng), make_curve((0.2,), (4,), ability="one point")]
    return fit_study(curves, FitSettings(n_replicates=60, predict=(100.0, 1024.0)))


def test_curves_survive_json(study: StudyFit) -> None:
    for fit in study.curves:
        text = json.dumps(to_plain(fit), allow_nan=False)
        back = from_plain(CurveFit, json.loads(text))
        assert json.dumps(to_plain(back)) == text
        assert back.key == fit.key
        assert back.status is fit.status
        assert back.label is fit.label
        if fit.band is not None:
            assert back.band is not None
            np.testing.assert_array_equal(back.band.estimate, fit.band.estimate)


def test_infinite_degrees_of_freedom_survive(study: StudyFit) -> None:
    back = from_plain(StudyFit, json.loads(json.dumps(to_plain(study))))
    assert back.run_noise == study.run_noise


def test_another_shape_is_refused(study: StudyFit) -> None:
    plain = to_plain(study.curves[0])
    with pytest.raises(KeyError):
        from_plain(CurveFit, {name: plain[name] for name in plain if name != "gain"})
    with pytest.raises((TypeError, ValueError)):
        from_plain(CurveFit, plain | {"n_points": "nine"})
    with pytest.raises(ValueError, match="not a valid FitStatus"):
        from_plain(CurveFit, plain | {"status": "perfect"})


def test_the_document_has_the_fields_scripts_rely_on(study: StudyFit) -> None:
    document = curve_document(study.curves[0])
    assert {
        "study", "ability", "base_model", "n_params", "data_source", "metric", "n_points",
        "status", "label", "label_basis", "left_out", "families", "gain", "plateau", "backtest",
        "predictions",
    } <= set(document)  # fmt: skip
    assert set(document["gain"]) == {"estimate", "low", "high", "level", "kind"}
    assert {
        "name", "status", "params", "stderr", "log_likelihood", "qaicc", "weight", "rmse",
    } <= set(document["families"][0])  # fmt: skip
    assert {"n_examples", "estimate", "low", "high", "level"} <= set(document["predictions"][0])
    json.dumps(document, allow_nan=False)


def test_what_is_unknown_is_null_with_a_reason(study: StudyFit) -> None:
    document = curve_document(study.curves[2])
    assert document["status"] == "too_few_points"
    assert document["gain"] is None
    assert "1 of 1 runs" in document["gain_reason"]
    assert document["label"] is None
    assert document["label_basis"] is None
    assert document["label_reason"]
