"""What a report says of how its numbers came about, what they can't say, and whom to cite.

Only methods whose results the report holds are described and cited. docs/statistics.md and the
pages that it links describe all of them in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.analysis import IntervalKind, ResponseKind
from dashboard.charts.findings import fit_warnings, interval_note, label_rule
from dashboard.charts.wording import say_count, say_list
from dashboard.export.study_evidence import StudyEvidence, Unavailable

REFERENCES = {
    "song": "Song et al. Dynamics of Instruction Tuning: Each Ability of Large Language Models Has "
    "Its Own Growth Pace. arXiv 2310.19651 (2023); COLING 2025.",
    "mccullagh": "McCullagh, Nelder. Generalized Linear Models. 2nd edition, Chapman and Hall "
    "(1989).",
    "burnham": "Burnham, Anderson. Model Selection and Multimodel Inference. 2nd edition, Springer "
    "(2002).",
    "efron": "Efron, Tibshirani. An Introduction to the Bootstrap. Chapman and Hall (1993).",
    "bretz": "Bretz, Pinheiro, Branson. Combining Multiple Comparisons and Modeling Techniques in "
    "Dose-Response Studies. Biometrics 61(3), 738-748 (2005).",
    "benjamini": "Benjamini, Hochberg. Controlling the False Discovery Rate: A Practical and "
    "Powerful Approach to Multiple Testing. Journal of the Royal Statistical Society B 57(1), "
    "289-300 (1995).",
    "westfall": "Westfall, Young. Resampling-Based Multiple Testing. Wiley (1993).",
    "lin": "Lin et al. Selecting Large Language Models to Fine-tune via Rectified Scaling Law. "
    "ICML 2024. arXiv 2402.02314.",
    "hoffmann": "Hoffmann et al. Training Compute-Optimal Large Language Models. arXiv 2203.15556 "
    "(2022).",
    "besiroglu": "Besiroglu et al. Chinchilla Scaling: A Replication Attempt. arXiv 2404.10102 "
    "(2024).",
    "satterthwaite": "Satterthwaite. An Approximate Distribution of Estimates of Variance "
    "Components. Biometrics Bulletin 2(6), 110-114 (1946).",
    "bradley": "Bradley, Terry. Rank Analysis of Incomplete Block Designs: I. The Method of Paired "
    "Comparisons. Biometrika 39(3/4), 324-345 (1952).",
    "dubois": "Dubois et al. Length-Controlled AlpacaEval: A Simple Way to Debias Automatic "
    "Evaluators. arXiv 2404.04475 (2024).",
}
"""Works by key; those that imported results name are added as they are."""


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """One paragraph of the methods: its heading, its text, and the works that it rests on."""

    heading: str
    text: str
    cites: tuple[str, ...] = ()


def write_methods(evidence: StudyEvidence) -> list[Paragraph]:
    """Return how the results that a study has were computed, a paragraph each."""
    parts = [_design(evidence)]
    if evidence.fit.curves:
        parts += [_curves(evidence), _intervals(evidence), _labels(evidence)]
    if not isinstance(evidence.abilities, Unavailable) and _n_abilities(evidence) > 1:
        parts.append(
            Paragraph(
                heading="Abilities",
                text="Each ability's gain and pace are compared with the mean of the others; "
                "p-values are adjusted over the abilities of a base model, source and metric by "
                "the largest of the studentised differences (max-t). Overall scores are macro "
                "means of observed scores, in domain and out of domain apart, and keep the run "
                "noise that abilities of one run share.",
                cites=("westfall",),
            )
        )
    if not isinstance(evidence.sources, Unavailable):
        parts.append(
            Paragraph(
                heading="Data sources",
                text="Sources are compared at equal volumes, paired by test item and averaged over "
                "seeds, with Benjamini-Hochberg over all differences of the study and metric. An "
                "exchange rate is the number of examples of a source worth one of the reference, "
                "by inverting both curves; what lies beyond the observed volumes is told apart "
                "from what the fitted families never reach. Whether one rate can hold at every "
                "volume is tested by a fit with a shared ceiling against one with two.",
                cites=("benjamini",),
            )
        )
    if not isinstance(evidence.scales, Unavailable):
        laws = (
            " Where the runs can tell, E + A/N^alpha + B/n^beta is fitted to all sizes at once."
            if evidence.scales.laws
            else ""
        )
        parts.append(
            Paragraph(
                heading="Base models",
                text="The probability that a model is the best at a volume comes from the "
                "replicates, models shrunk towards their mean, since the one that looks best is "
                "partly lucky. Slopes over log10 of the parameters are corrected by "
                f"Benjamini-Hochberg.{laws}",
                cites=("benjamini", *(("hoffmann", "besiroglu") if laws else ())),
            )
        )
    if not isinstance(evidence.transfer, Unavailable):
        parts.append(
            Paragraph(
                heading="Transfer",
                text="An effect is the score after training on one ability alone minus the base "
                "model's, or with all abilities minus without the one. Since any fine-tuning "
                "teaches the form of an answer, the test is of the effect beyond the mean of the "
                "other abilities' data, with t at Satterthwaite's degrees of freedom and "
                "Benjamini-Hochberg over the matrix; a pair counts as helped or hurt only if its "
                "raw effect lies on the same side of 0.",
                cites=("satterthwaite", "benjamini"),
            )
        )
    if not isinstance(evidence.mixtures, Unavailable):
        parts.append(
            Paragraph(
                heading="Mixtures",
                text="Named mixtures are compared by differences paired by item, on every ability "
                "and exam and on macro means; the means are corrected apart from single targets.",
                cites=("benjamini",),
            )
        )
    if not isinstance(evidence.plan, Unavailable):
        parts.append(
            Paragraph(
                heading="Budget",
                text="The plan maximises the expected mean score under the budget: mixed-integer "
                "optimisation on piecewise-linear curves, then a search on half of the bootstrap "
                "replicates; what is said of the plan comes from the other half, so that it is not "
                "flattered by the choice.",
            )
        )
    if not isinstance(evidence.judge, Unavailable):
        parts.append(
            Paragraph(
                heading="Judges",
                text="A pair whose verdict changes with the order of the answers counts as a tie. "
                "Win rates at equal length come from a logistic model with a length term; ratings "
                "are Bradley-Terry; intervals are bootstrapped over items. Votes that failed are "
                "counted and score nothing.",
                cites=("bradley", "dubois"),
            )
        )
    return parts


def _design(evidence: StudyEvidence) -> Paragraph:
    """Say what was run: models, sources, volumes, seeds."""
    cells = evidence.cells
    done = cells[cells["status"] == "done"]
    trained = done[done["data_source"].notna()]
    imported = bool((done["design"] == "imported").any())
    counts = (
        (done["base_model"].nunique(), "base model"),
        (trained["data_source"].nunique(), "data source"),
        (trained["volume_setting"].dropna().nunique(), "volume"),
        (trained["seed"].dropna().nunique(), "seed"),
    )
    what = f"{say_count(len(done), 'run')}: " + say_list(
        [say_count(count, noun) for count, noun in counts if count]
    )
    if imported:
        made = (
            "The results were imported; how models were trained and scored is their makers' word. "
            "The questions follow Song et al.: how abilities grow with volume, model size and "
            "source of data."
        )
    else:
        made = (
            "Every model was fine-tuned in full with DeepSpeed and scored through lm-eval on the "
            "same held-out items, and item-level results were kept. Subsets are nested: a larger "
            "volume of a seed holds the smaller ones. The design follows Song et al.: abilities "
            "apart, over volumes, sizes and sources of data, in domain and out of domain."
        )
    return Paragraph(heading="Design", text=f"{what}. {made}", cites=("song",))


def _curves(evidence: StudyEvidence) -> Paragraph:
    """Say how curves were fitted."""
    kinds = {curve.response for curve in evidence.fit.curves}
    how = []
    if ResponseKind.ACCURACY in kinds:
        how.append("accuracies by binomial quasi-likelihood")
    if ResponseKind.LOSS in kinds:
        how.append("losses by least squares on the log")
    if kinds - {ResponseKind.ACCURACY, ResponseKind.LOSS}:
        how.append("other scores by least squares")
    families = sorted(
        {
            family.name.replace("_", " ")
            for curve in evidence.fit.curves
            for family in curve.families
            if family.name != "constant"
        }
    )
    lin = ("lin",) if "rectified" in families else ()
    return Paragraph(
        heading="Growth curves",
        text=f"A curve is an ability's score against training volume for one base model, data "
        f"source and metric. Families ({say_list(families)}) were fitted from several starts, "
        f"{say_list(how)}, and averaged by their QAICc weights at run level, the overdispersion "
        "floored at 1; a fit that did not converge is neither drawn nor averaged. The gain is the "
        "averaged curve at the largest volume minus at the smallest, positive when better.",
        cites=("mccullagh", "burnham", *lin),
    )


def _intervals(evidence: StudyEvidence) -> Paragraph:
    """Say what intervals are made of."""
    settings = evidence.settings
    kinds = {curve.noise for curve in evidence.fit.curves}
    drawn = []
    if kinds & {IntervalKind.ITEMS_AND_RUNS, IntervalKind.ITEMS_ONLY}:
        drawn.append("test items are drawn once for all runs of an ability")
    if kinds & {IntervalKind.STDERR_AND_RUNS, IntervalKind.STDERR_ONLY}:
        drawn.append("given standard errors take the place of items where these are not known")
    if kinds & {IntervalKind.ITEMS_AND_RUNS, IntervalKind.STDERR_AND_RUNS}:
        drawn.append("run noise is added at a variance shrunk towards the study's pool")
    if IntervalKind.RESIDUAL in kinds:
        drawn.append("where nothing else is known the runs' scatter around the curve is drawn")
    pooled = "".join(
        f" The pooled run-to-run standard deviation is {one.stddev:.2f} ({one.response.value} "
        f"scale, {one.df:g} degrees of freedom)."
        for one in evidence.fit.run_noise
    )
    return Paragraph(
        heading="Intervals",
        text=f"{interval_note(evidence.fit.curves)} They come from {settings.n_replicates:,} "
        f"bootstrap replicates (seed {settings.seed}): {'; '.join(drawn)}; every family is "
        f"refitted and averaged anew.{pooled}",
        cites=("efron",),
    )


def _labels(evidence: StudyEvidence) -> Paragraph:
    """State the test of growth and the rule behind the labels."""
    return Paragraph(
        heading="Tests and labels",
        text="Growth is tested by multiple contrasts of monotone shapes against a constant whose "
        "null keeps items and run noise; p-values are adjusted after "
        f"{evidence.fit.correction} over the abilities of one base model, data source and metric "
        f"(false discovery rate {evidence.settings.fdr:g}). {label_rule(evidence.fit.curves)}",
        cites=("bretz", "benjamini"),
    )


def write_limits(evidence: StudyEvidence) -> list[str]:
    """Return what the report can't say: of this study first, then of any."""
    cells, curves = evidence.cells, evidence.fit.curves
    said = [evidence.notice] if evidence.notice else []
    for status, words in (("failed", "failed"), ("pending", "not been run yet")):
        n_cells = int((cells["status"] == status).sum())
        if n_cells:
            verb = "" if status == "failed" else "have "
            said.append(
                f"{n_cells} of {say_count(len(cells), 'planned run')} {verb}{words}: what they "
                "would say is missing here."
            )
    n_excluded = int(cells["excluded_reason"].notna().sum())
    if n_excluded:
        said.append(
            f"{say_count(n_excluded, 'run')} {'was' if n_excluded == 1 else 'were'} excluded by "
            "hand, with the reason in the warehouse, and out of every estimate."
        )
    said += fit_warnings(curves)
    kinds = {curve.noise for curve in curves}
    if kinds & {IntervalKind.ITEMS_AND_RUNS, IntervalKind.STDERR_AND_RUNS}:
        said.append(
            "Intervals cover the same experiment again: other test items of the same kind, another "
            "seed and another draw of training examples."
        )
    said += [
        "Intervals do not cover another base model, even of the same size, another data source, "
        "template or hyperparameter, test items of another kind, or a checkpoint or mixture that "
        "was chosen after looking at the test scores.",
        "Intervals are pointwise: of many, about one in twenty misses. Tests are corrected over "
        "the comparisons that are named, not over all that anyone looked at.",
    ]
    if not curves:
        return said
    return [
        *said,
        "A larger volume means more optimizer steps too: curves speak of the training recipe as "
        "run.",
        "Beyond the observed volumes nothing guarantees anything: predictions are weighted by how "
        "well they did on held-back volumes, and say so where none lies as far out.",
    ]


def cited(paragraphs: Sequence[Paragraph]) -> list[str]:
    """Return the keys of the works that are cited, in order of first mention."""
    return list(dict.fromkeys(key for paragraph in paragraphs for key in paragraph.cites))


def _n_abilities(evidence: StudyEvidence) -> int:
    """Return how many abilities are scored."""
    return len({curve.ability for curve in evidence.fit.curves})
