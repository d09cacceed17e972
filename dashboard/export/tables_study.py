"""All tables of a study, from the evidence that its figures are drawn from."""

from __future__ import annotations

from dashboard.export.study_evidence import StudyEvidence, Unavailable
from dashboard.export.study_records import StudyRecords
from dashboard.export.tables import MissingTable, PaperTable, TableSet
from dashboard.export.tables_runs import (
    compute_table,
    import_table,
    run_score_table,
    settings_table,
)
from dashboard.export.tables_scores import (
    backtest_table,
    family_table,
    gain_table,
    score_tables,
)
from dashboard.export.tables_tests import (
    ability_table,
    mixture_table,
    scale_table,
    source_table,
    transfer_table,
)


def study_tables(evidence: StudyEvidence, records: StudyRecords) -> TableSet:
    """Return every table that a study's results give, and why the others are missing."""
    tables: list[PaperTable] = []
    missing: list[MissingTable] = []

    def add(name: str, table: PaperTable | None, reason: str) -> None:
        if table is None:
            missing.append(MissingTable(name=name, reason=reason))
        else:
            tables.append(table)

    curves = evidence.fit.curves
    if curves:
        tables += [*score_tables(curves), gain_table(curves), family_table(curves)]
        add("backtest", backtest_table(curves), "no curve has larger volumes to hold back")
    else:
        missing += [
            MissingTable(name=name, reason="no trained run of this study is scored on any volume")
            for name in ("scores", "gains", "fits", "backtest")
        ]
    add("scores-runs", run_score_table(records.scores), "every scored run is on a growth curve")
    nothing = "the runs hold nothing to compare"
    if isinstance(sources := evidence.sources, Unavailable):
        add("tests-sources", None, sources.reason)
    else:
        add("tests-sources", source_table(sources.comparison), sources.comparison.reason or nothing)
    if isinstance(abilities := evidence.abilities, Unavailable):
        add("tests-abilities", None, abilities.reason)
    else:
        add("tests-abilities", ability_table(abilities), "the study has one ability")
    if isinstance(scales := evidence.scales, Unavailable):
        add("tests-scale", None, scales.reason)
    else:
        add("tests-scale", scale_table(scales.comparison), nothing)
    if isinstance(transfer := evidence.transfer, Unavailable):
        add("tests-transfer", None, transfer.reason)
    else:
        add("tests-transfer", transfer_table([one.transfer for one in transfer]), nothing)
    if isinstance(mixtures := evidence.mixtures, Unavailable):
        add("tests-mixtures", None, mixtures.reason)
    else:
        add("tests-mixtures", mixture_table(mixtures), nothing)
    add("settings", settings_table(evidence.cells), "imported results state no settings")
    add("compute", compute_table(evidence.cells), "no run recorded time, tokens or memory")
    add("imports", import_table(records.imports), "every run of this study was made here")
    return TableSet(tables=tuple(tables), missing=tuple(missing))
