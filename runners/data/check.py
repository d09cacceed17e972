"""`data check`: what training data gives away of the evaluation sets, and where it repeats itself.

Matches are kept as a file to read, and the flagged items of a study land, so that the warehouse
shows scores with and without them (`mart_flagged_score`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from runners.data.flags import (
    FLAGGED,
    Duplicates,
    Match,
    Pools,
    Sign,
    find_duplicates,
    find_matches,
)
from runners.data.similar import MIN_SIMILARITY
from runners.doit_format import Item, find_doit_folders, read_doit_folder
from runners.grid import short_hash
from runners.grid_spec import load_grid
from runners.sft_data import load_study_data
from warehouse.errors import InputError
from warehouse.landing import write_atomically, write_document
from warehouse.records import ItemFlag, ItemFlagRecord, RecordKind
from warehouse.workspace import Workspace

CHECKS_FOLDER = "checks"


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """What a check found.

    Attributes
    ----------
    name : str
        The grid's study, or the folder's name.
    study : str or None
        None for a folder, whose items no study scored.
    n_evaluation : mapping of evaluation set to mapping of ability to count
    matches : tuple of Match
    duplicates : mapping of data source to Duplicates
    """

    name: str
    study: str | None
    n_evaluation: Mapping[str, Mapping[str, int]]
    matches: tuple[Match, ...]
    duplicates: Mapping[str, Duplicates]
    min_similarity: float

    @property
    def flagged(self) -> dict[str, Match]:
        """The match of every flagged item, by item id."""
        return {m.item.item_id: m for m in self.matches if m.sign in FLAGGED}

    def count(self, evaluation_set: str) -> dict[str, dict[Sign, int]]:
        """Count matches of a set by ability and sign."""
        counts: dict[str, Counter[Sign]] = {}
        for match in self.matches:
            if match.evaluation_set == evaluation_set:
                counts.setdefault(match.item.ability, Counter())[match.sign] += 1
        return {ability: dict(found) for ability, found in sorted(counts.items())}


def check_data(
    target: str, data_root: Path, *, min_similarity: float = MIN_SIMILARITY
) -> DataCheck:
    """Compare the training data of a grid or folder with its evaluation sets.

    Parameters
    ----------
    target : str
        A shipped grid's name, a grid file, or a folder of data in the DoIT format; of a folder,
        those inside it named "valid" or "test" are evaluation sets and all others training data.
    data_root : Path
        Where a grid's generated data goes.
    min_similarity : float, in (0, 1]
        See `similar`.

    Raises
    ------
    InputError
        If there is no such grid or folder, it lacks training or evaluation data, or a line is bad.
    """
    if Path(target).is_dir():
        name, study = Path(target).resolve().name, None
        training, evaluation = _folder_pools(Path(target))
    else:
        _, spec = load_grid(target)
        name = study = spec.study
        data = load_study_data(spec, Path(target).parent, data_root)
        training = {source: list(chain(*pool.values())) for source, pool in data.pools.items()}
        evaluation = {spec.evaluation.test: list(chain(*data.test.values()))}
        validation = spec.evaluation.validation
        if validation is not None and (data.folder / validation).is_dir():
            evaluation[validation] = _items(data.folder / validation)
    return DataCheck(
        name=name,
        study=study,
        n_evaluation={
            place: dict(sorted(Counter(item.ability for item in items).items()))
            for place, items in evaluation.items()
        },
        matches=tuple(find_matches(training, evaluation, min_similarity=min_similarity)),
        duplicates={
            source: find_duplicates(items, min_similarity=min_similarity)
            for source, items in training.items()
        },
        min_similarity=min_similarity,
    )


def _folder_pools(root: Path) -> tuple[Pools, Pools]:
    """Return the training and evaluation items of a folder, by subfolder."""
    training, evaluation = find_doit_folders(root)
    if not training or not evaluation:
        missing = "training data" if not training else "evaluation data (a folder valid or test)"
        raise InputError(f"There is no {missing} in {root}; name the folder that holds both.")
    return (
        {str(folder.relative_to(root)): _items(folder) for folder in training},
        {str(folder.relative_to(root)): _items(folder) for folder in evaluation},
    )


def _items(folder: Path) -> list[Item]:
    return list(chain(*read_doit_folder(folder, scored=False).values()))


def write_matches(workspace: Workspace, check: DataCheck) -> Path:
    """Keep every match with both texts, for review: `data/checks/<name>.jsonl`."""
    lines = [_match_line(match) for match in check.matches]
    for source, duplicates in check.duplicates.items():
        lines += [
            {
                "sign": f"duplicate_{sign}",
                "item": _text(item),
                "repeats": _text(earlier),
                "data_source": source,
            }
            for sign, item, earlier in duplicates.examples
        ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path = workspace.data / CHECKS_FOLDER / f"{check.name}.jsonl"
    return write_atomically(path, lambda target: target.write_text(text, "utf-8"))


def _match_line(match: Match) -> dict[str, object]:
    """A match as a line of the file."""
    return {
        "sign": match.sign,
        "flagged": match.sign in FLAGGED,
        "overlap": round(match.overlap, 4),
        "n_training": match.n_training,
        "evaluation_set": match.evaluation_set,
        "item": _text(match.item),
        "data_source": match.data_source,
        "training_item": _text(match.training_item),
    }


def _text(item: Item) -> dict[str, object]:
    """An item for a reader."""
    return {
        "item_id": item.item_id,
        "ability": item.ability,
        "messages": [{"role": turn.role, "content": turn.content} for turn in item.turns],
    }


def land_flags(workspace: Workspace, check: DataCheck) -> Path | None:
    """Land the flagged items of a study; return the file, or None for a folder.

    The latest record of a study counts, so a check that finds nothing takes earlier flags back.
    """
    if check.study is None:
        return None
    record = ItemFlagRecord(
        study=check.study,
        created_at=datetime.now(UTC),
        settings={"min_similarity": check.min_similarity},
        items=tuple(_flag(match) for _, match in sorted(check.flagged.items())),
    )
    found = short_hash(record.model_dump(mode="json", exclude={"created_at"}))
    stem = f"{check.study}-{record.created_at:%Y%m%dT%H%M%S%fZ}-{found}"
    earlier = sorted(
        (workspace.landing / RecordKind.ITEM_FLAG.value).glob(f"{check.study}-2*.json")
    )
    if earlier and earlier[-1].stem.endswith(f"-{found}"):
        return earlier[-1]
    return write_document(workspace, RecordKind.ITEM_FLAG, stem, record)


def _flag(match: Match) -> ItemFlag:
    """A match as it lands."""
    return ItemFlag(
        item_id=match.item.item_id,
        sign=match.sign.value,
        overlap=match.overlap,
        n_training=match.n_training,
        data_source=match.data_source,
        training_item_id=match.training_item.item_id,
    )


def check_document(check: DataCheck) -> dict[str, object]:
    """A check as `--json` prints it."""
    return {
        "name": check.name,
        "study": check.study,
        "min_similarity": check.min_similarity,
        "evaluation": {
            place: {
                "n_items": sum(counts.values()),
                "n_flagged": _n_flagged(check.matches, place),
                "by_ability": {
                    ability: {"n_items": n} | _zero_filled(check.count(place).get(ability, {}))
                    for ability, n in counts.items()
                },
            }
            for place, counts in check.n_evaluation.items()
        },
        "training": {
            source: {
                "n_items": found.n_items,
                "same_conversation": found.conversation,
                "same_question": found.question,
                "similar_question": found.similar,
            }
            for source, found in check.duplicates.items()
        },
    }


def _n_flagged(matches: Sequence[Match], place: str) -> int:
    return sum(m.evaluation_set == place and m.sign in FLAGGED for m in matches)


def _zero_filled(counts: Mapping[Sign, int]) -> dict[str, int]:
    return {sign.value: counts.get(sign, 0) for sign in Sign}
