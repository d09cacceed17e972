"""Plain sentences about effective data."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.analysis.effective.results import AbilityWorth, SourceWorth, WorthStatus
from dashboard.analysis.results import Interval

_MOST_NAMED = 5


def read_effective(
    base_model: str,
    rho: Sequence[SourceWorth],
    unlabelled: Sequence[SourceWorth],
    tau: Sequence[AbilityWorth],
    reference: str,
    fdr: float,
    reason: str | None,
) -> tuple[str, ...]:
    """Return what an effective-data fit says, a sentence each."""
    if reason is not None:
        return (f"Effective data of {base_model}: not identified, since {reason}.",)
    sentences = []
    for worths, kind in ((rho, ""), (unlabelled, "unlabelled ")):
        for source in sorted({worth.data_source for worth in worths}):
            mine = [worth for worth in worths if worth.data_source == source]
            sentences.append(_read_source(base_model, source, kind, mine, reference))
    if tau:
        sentences.append(_read_pairs(base_model, tau, fdr))
    return tuple(sentences)


def _read_source(
    base_model: str, source: str, kind: str, worths: Sequence[SourceWorth], reference: str
) -> str:
    known = [(w, w.rho) for w in worths if w.status is WorthStatus.OK and w.rho is not None]
    start = f"{base_model}: one {kind}{source} example"
    if not known:
        return f"{start}: its worth in {reference} examples is not identified for any ability."
    known.sort(key=lambda pair: pair[1].estimate)
    least, most = known[0], known[-1]
    text = f"{start} is worth {_range(least[1])} {reference} examples in {_name(least[0].ability)}"
    if most is not least:
        text += f" and {_range(most[1])} in {_name(most[0].ability)}, the least and the most of "
        text += f"{len(known)} abilities"
    rest = len(worths) - len(known)
    return text + (f"; for {rest} more at most one bound is known." if rest else ".")


def _read_pairs(base_model: str, tau: Sequence[AbilityWorth], fdr: float) -> str:
    unknown = sum(worth.status is WorthStatus.NOT_IDENTIFIED for worth in tau)
    if unknown == len(tau):
        return f"{base_model}: what other abilities' examples are worth is not identified."
    found = [w for w in tau if w.q_value is not None and w.q_value < fdr]
    helps = sorted(
        ((w, w.tau) for w in found if w.tau is not None and w.tau.estimate > 0),
        key=lambda pair: -pair[1].estimate,
    )
    hurts = sorted(
        ((w, w.shift) for w in found if w.tau is not None and w.tau.estimate == 0 and w.shift),
        key=lambda pair: -abs(pair[1].estimate),
    )
    parts = [f"{base_model}: of {len(tau)} pairs of abilities {len(helps)} help"]
    if helps:
        named = "; ".join(
            f"one {_name(w.source_ability)} example is worth {_range(interval)} of "
            f"{_name(w.target_ability)}"
            for w, interval in helps[:_MOST_NAMED]
        )
        parts[0] += f" ({named}{'; ...' if len(helps) > _MOST_NAMED else ''})"
    if hurts:
        named = ", ".join(
            f"{_name(w.source_ability)} on {_name(w.target_ability)}"
            for w, _ in hurts[:_MOST_NAMED]
        )
        parts.append(f"{len(hurts)} hurt ({named}{', ...' if len(hurts) > _MOST_NAMED else ''})")
    if unknown:
        parts.append(f"{unknown} are not identified")
    text = ", ".join(parts)
    n_tests = max(worth.n_tests for worth in tau)
    return (
        f"{text} (Benjamini-Hochberg over {n_tests} tests, q < {fdr:g}). Worths hold all that "
        "helps, the form of answers too."
    )


def _name(ability: str) -> str:
    return ability.replace("_", " ")


def _range(interval: Interval) -> str:
    if interval.high == float("inf"):
        return f"at least {interval.low:.2g}"
    return f"{interval.estimate:.2g} [{interval.low:.2g}, {interval.high:.2g}]"
