"""The report's findings: whom they speak of."""

from __future__ import annotations

from dataclasses import replace

from dashboard.charts.selection import models_of
from dashboard.export.report_findings import write_findings
from tests.dashboard.export.figure_evidence import read_study, with_everything
from warehouse.workspace import Workspace


def test_the_largest_model_with_all_sources_speaks_and_transfer_names_its_model(
    full_workspace: Workspace,
) -> None:
    evidence = with_everything(read_study(full_workspace))
    largest, smaller, *_ = models_of(evidence.fit.curves)
    lead, said = write_findings(evidence)
    assert f"of {largest} " in lead
    assert isinstance(evidence.transfer, tuple)
    assert f"Transfer on {evidence.transfer[0].transfer.base_model}" in {one.topic for one in said}
    fewer = tuple(
        curve
        for curve in evidence.fit.curves
        if (curve.base_model, curve.data_source) != (largest, "synthetic")
    )
    lead, said = write_findings(replace(evidence, fit=replace(evidence.fit, curves=fewer)))
    assert f"of {smaller} " in lead
    assert any(one.topic.startswith("Human against") for one in said)


def test_of_models_with_as_many_sources_the_one_with_more_runs_speaks(
    full_workspace: Workspace,
) -> None:
    evidence = with_everything(read_study(full_workspace))
    curves = evidence.fit.curves
    largest, smaller, *_ = models_of(curves)
    kept = curves[0].ability
    fewer = tuple(one for one in curves if one.base_model != largest or one.ability == kept)
    lead, _ = write_findings(replace(evidence, fit=replace(evidence.fit, curves=fewer)))
    assert f"of {smaller} " in lead
