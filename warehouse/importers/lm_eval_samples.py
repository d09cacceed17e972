"""Reads the samples that lm-eval writes: one line per document and filter.

Versions differ: up to 0.4.2 one JSON list without `filter`, `metrics` and hashes; arguments as
lists or as `{"gen_args_0": {"arg_0": ...}}`; numbers, log-likelihoods among them, also as text.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Any

from warehouse.importers.lm_eval_files import Findings, LocatedFile
from warehouse.importers.lm_eval_results import NO_FILTER
from warehouse.importers.lm_eval_tables import Item

INVALID = "[invalid]"
"""What lm-eval's regex filters give where nothing matches."""

_FIXED_KEYS = frozenset(
    {
        "doc_id",
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "filter",
        "metrics",
        "doc_hash",
        "prompt_hash",
        "target_hash",
        "schema_version",
    }
)
_DIGEST_LENGTH = 64


@dataclass(kw_only=True)
class FilterSamples:
    """Samples of one task and filter: lists of equal length, one entry a document.

    Attributes
    ----------
    scores : dict of str to list
        Per-item scores by metric; NaN where lm-eval gave no number, None where the value is no
        single number (what a corpus-level metric is computed from).
    log_likelihoods : list of (list of float or None)
        Of each choice, nats.
    """

    lines: list[int] = field(default_factory=list)
    item_ids: list[str] = field(default_factory=list)
    prompt_hashes: list[str] = field(default_factory=list)
    target_hashes: list[str] = field(default_factory=list)
    responses: list[str | None] = field(default_factory=list)
    log_likelihoods: list[list[float] | None] = field(default_factory=list)
    chance_levels: list[float] = field(default_factory=list)
    scores: dict[str, list[float | None]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TaskSamples:
    """Samples of one task in one file."""

    file: LocatedFile
    task: str
    n_documents: int
    by_filter: dict[str, FilterSamples]


def read_samples(
    file: LocatedFile,
    task: str,
    lines: Iterable[tuple[int | None, Any]],
    findings: Findings,
    texts: dict[str, Item],
    filter_order: Sequence[str] = (),
) -> TaskSamples:
    """Read the samples of a task.

    Parameters
    ----------
    task : str
        Name that items are told apart by, shots included.
    lines : iterable of (line number or None, sample)
        As `read_lines` gives them.
    texts : dict
        Texts of items by id; new ones are added.
    filter_order : sequence of str
        Filters in the order of the results, for samples that do not name theirs.
    """
    by_filter: dict[str, FilterSamples] = {}
    seen: dict[tuple[str, str], str] = {}
    n_unnamed: dict[str, int] = {}
    documents: dict[str, str] = {}
    content_counts: dict[str, int] = {}
    n_repeated = 0
    for number, sample in lines:
        if not isinstance(sample, dict) or "doc_id" not in sample:
            findings.reject(
                file.name,
                number,
                str(sample)[:80],
                "is no sample of lm-eval (no doc_id); remove it.",
            )
            continue
        doc_id = str(sample["doc_id"])
        filter_name = sample.get("filter")
        if not isinstance(filter_name, str):
            place = n_unnamed.get(doc_id, 0)
            n_unnamed[doc_id] = place + 1
            filter_name = filter_order[place] if place < len(filter_order) else NO_FILTER
        scores = _scores(sample)
        # A file that was written twice, by two processes or two runs of one second.
        digest = repr(scores)
        known = seen.setdefault((doc_id, filter_name), digest)
        if known is not digest:
            if known == digest:
                n_repeated += 1
                continue
            findings.reject(
                file.name,
                number,
                f"doc_id {doc_id}",
                f"document {doc_id} of {task} has two different scores; keep one run per file.",
            )
            continue
        requests = _requests(sample.get("arguments"))
        item_id = documents.get(doc_id)
        if item_id is None:
            content = _doc_hash(sample)
            repeats = content_counts.get(content, 0)
            content_counts[content] = repeats + 1
            # A document that a task holds twice is two items.
            item_id = _digest(json.dumps([task, content, repeats]))
            documents[doc_id] = item_id
            if item_id not in texts:
                texts[item_id] = _item_text(sample, requests)
        columns = by_filter.setdefault(filter_name, FilterSamples())
        columns.lines.append(number or 0)
        columns.item_ids.append(item_id)
        first = requests[0][0] if requests else ""
        columns.prompt_hashes.append(_hash_or(sample.get("prompt_hash"), first))
        columns.target_hashes.append(_hash_or(sample.get("target_hash"), _target(sample)))
        columns.log_likelihoods.append(_log_likelihoods(sample, len(requests)))
        columns.responses.append(_response(sample, columns.log_likelihoods[-1], requests))
        columns.chance_levels.append(_chance_level(sample, requests))
        for metric in scores:
            columns.scores.setdefault(metric, [math.nan] * (len(columns.item_ids) - 1))
        for metric, values in columns.scores.items():
            values.append(scores.get(metric, math.nan))
    if n_repeated:
        findings.ignore(file.name, f"{n_repeated} lines", "repeat other lines of the file")
    return TaskSamples(file=file, task=task, n_documents=len(documents), by_filter=by_filter)


def read_lines(file: LocatedFile, findings: Findings) -> Iterator[tuple[int | None, Any]]:
    """Yield the samples of a file with their lines; one JSON list has none."""
    content = file.path.read_bytes()
    findings.add_file(file, content)
    text = content.decode("utf-8-sig", "replace")
    if text.lstrip()[:1] == "[":
        try:
            for sample in json.loads(text):
                yield None, sample
        except (ValueError, RecursionError) as error:
            _reject_line(file, getattr(error, "lineno", None), error, findings)
        return
    # Texts may hold Unicode line separators, which do not end a line of JSON.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                sample = json.loads(line)
            except (ValueError, RecursionError) as error:
                _reject_line(file, number, error, findings)
            else:
                yield number, sample


def _reject_line(file: LocatedFile, line: int | None, error: Exception, findings: Findings) -> None:
    """List a line that is not JSON."""
    reason = "the line is not JSON; the file may be cut short: write it anew or leave it out."
    findings.reject(file.name, line, error, reason)


# --- One sample ---------------------------------------------------------------------------------


def _scores(sample: dict[str, Any]) -> dict[str, float | None]:
    """Return the scores of a sample by metric; None where a value is no single number."""
    named = sample.get("metrics")
    names = named if isinstance(named, list) else [key for key in sample if key not in _FIXED_KEYS]
    found: dict[str, float | None] = {}
    for name in map(str, names):
        if name in sample:
            value = _score(sample[name])
            # Without a list of metrics, a text beside them is no metric.
            if value is not None or isinstance(named, list):
                found[name] = value
    return found


def _score(value: object) -> float | None:
    """Return one score as a number."""
    if isinstance(value, bool | int | float):
        return float(value)
    if value is None:
        return math.nan
    if isinstance(value, str):
        if value in {"True", "False"}:
            return float(value == "True")
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _requests(arguments: object) -> list[tuple[str, str]]:
    """Return the (context, continuation) of each request; a generation's continuation is empty."""
    parts: Iterable[Any]
    if isinstance(arguments, dict):
        parts = arguments.values()
    elif isinstance(arguments, list):
        parts = arguments
    else:
        return []
    requests = []
    for part in parts:
        if isinstance(part, dict):
            fields = list(part.values())
        else:
            fields = part if isinstance(part, list) else [part]
        texts = [field if isinstance(field, str) else "" for field in fields[:2]]
        requests.append((texts[0] if texts else "", texts[1] if len(texts) > 1 else ""))
    # acc_mutual_info asks for each choice without its question as well.
    with_context = [request for request in requests if request[0]]
    return with_context if 2 * len(with_context) == len(requests) else requests


def _item_text(sample: dict[str, Any], requests: list[tuple[str, str]]) -> Item:
    """Return what an item asks; contexts that differ are themselves the choices."""
    choices: tuple[str, ...] | None = None
    prompt = requests[0][0] if requests else ""
    if len(requests) > 1:
        if len({context for context, _ in requests}) > 1:
            whole = [context + continuation for context, continuation in requests]
            prompt = commonprefix(whole)  # noqa: RUF071 (of characters)
            choices = tuple(text[len(prompt) :] for text in whole)
        else:
            choices = tuple(continuation.strip() for _, continuation in requests)
    message = json.dumps([{"role": "user", "content": prompt}], ensure_ascii=False)
    return Item(prompt=message, target=_target(sample), choices=choices)


def _target(sample: dict[str, Any]) -> str:
    """Return the right answer as lm-eval names it: a text, or the place of the right choice."""
    target = sample.get("target", "")
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)


def _log_likelihoods(sample: dict[str, Any], n_choices: int) -> list[float] | None:
    """Return the log-likelihood of each choice, or None for replies and unusable numbers."""
    answers = sample.get("filtered_resps")
    if not isinstance(answers, list):
        return None
    if len(answers) == 1 and isinstance(answers[0], list) and _is_pairs(answers[0]):
        answers = answers[0]
    if not _is_pairs(answers):
        return None
    try:
        values = [float(pair[0]) for pair in answers[: n_choices or None]]
    except (ValueError, TypeError):
        return None
    return None if any(map(math.isnan, values)) else values


def _is_pairs(answers: list[Any]) -> bool:
    """Tell whether answers are (log-likelihood, is greedy) pairs."""
    return bool(answers) and all(
        isinstance(answer, list)
        and len(answer) == 2
        and (isinstance(answer[1], bool) or str(answer[1]) in {"True", "False"})
        for answer in answers
    )


def _response(
    sample: dict[str, Any], values: list[float] | None, requests: list[tuple[str, str]]
) -> str | None:
    """Return the reply, or the choice with the highest log-likelihood."""
    if values is not None:
        if len(values) < 2 or len(values) != len(requests):
            return None
        context, continuation = requests[values.index(max(values))]
        return continuation.strip() or context
    answer = sample.get("filtered_resps", sample.get("resps"))
    while isinstance(answer, list) and answer:
        answer = answer[0]
    return answer if isinstance(answer, str) else None


def _chance_level(sample: dict[str, Any], requests: list[tuple[str, str]]) -> float:
    """Return the expected score of guessing: one over the choices, 0 for replies."""
    doc = sample.get("doc")
    options = doc.get("mc2_targets") if isinstance(doc, dict) else None
    labels = options.get("labels") if isinstance(options, dict) else None
    if isinstance(labels, list) and len(labels) == len(requests) and labels:
        # TruthfulQA's MC2 gives the probability of all true choices.
        return labels.count(1) / len(labels)
    return 1 / len(requests) if len(requests) > 1 else 0.0


def _doc_hash(sample: dict[str, Any]) -> str:
    """Return the document's hash, computed as lm-eval does where the sample has none."""
    given = sample.get("doc_hash")
    if isinstance(given, str) and len(given) == _DIGEST_LENGTH:
        return given
    return _digest(json.dumps(sample.get("doc"), indent=2, ensure_ascii=False))


def _hash_or(given: object, text: str) -> str:
    """Return a hash that the sample gives, or the text's."""
    return given if isinstance(given, str) and len(given) == _DIGEST_LENGTH else _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
