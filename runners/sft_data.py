"""Training pools, seeded nested subsets and their hashes, prepared for the training workers."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from itertools import zip_longest
from pathlib import Path

from runners.doit_format import (
    MANIFEST_FILE,
    Item,
    doit_files,
    read_doit_file,
    read_doit_folder,
)
from runners.grid import short_hash
from runners.grid_spec import DatasetSpec, ExpectedDataSpec, GridSpec
from runners.leak_check import Leak, find_leaks
from warehouse.errors import InputError
from warehouse.landing import write_atomically
from warehouse.records import UNLABELLED, CompositionPart
from warehouse.workspace import Workspace

TRAIN_FILE = "train.jsonl"
TEST_FILE = "test.jsonl"
VALIDATION_FILE = "validation.jsonl"
OVERLAP_FILE = "overlap.json"


@dataclass(frozen=True, kw_only=True)
class StudyData:
    """All data of a grid: training pools by source and ability, and evaluation items.

    Attributes
    ----------
    folder : Path
        The dataset in DoIT layout.
    pools : mapping of source to mapping of ability to items
    test, validation : mapping of ability to items
        Already cut to `scoring.max_items_per_ability`.
    """

    folder: Path
    pools: Mapping[str, Mapping[str, Sequence[Item]]]
    test: Mapping[str, Sequence[Item]]
    validation: Mapping[str, Sequence[Item]]
    # Hash of how a source was made, of the sources that say so.
    _provenance: Mapping[str, str] = field(default_factory=dict, repr=False)
    _ordered: dict[tuple[str, str, int], list[Item]] = field(default_factory=dict, repr=False)
    # Unlabelled pools by file, where every file is to give the same share.
    _files: Mapping[str, Sequence[Sequence[Item]]] = field(default_factory=dict, repr=False)

    @property
    def pool_sizes(self) -> dict[str, dict[str, int]]:
        """Training examples at hand by source and ability."""
        return {
            source: {ability: len(items) for ability, items in abilities.items()}
            for source, abilities in self.pools.items()
        }

    @cached_property
    def evaluation_hash(self) -> str:
        """Hash of the evaluation items; part of every cell's id."""
        return short_hash(
            [
                sorted(item.item_id for items in split.values() for item in items)
                for split in (self.test, self.validation)
            ]
        )

    def subset(self, composition: Sequence[CompositionPart], seed: int) -> list[Item]:
        """Return the training examples of a composition.

        Every pool is put in a fixed random order per seed and its first examples are taken, so
        the 16 examples of a seed contain its 4, and what one ability contributes does not depend
        on the others.
        """
        chosen: list[Item] = []
        for part in composition:
            key = (part.data_source, part.ability, seed)
            if key not in self._ordered:
                self._ordered[key] = self._order(part.data_source, part.ability, seed)
            chosen += self._ordered[key][: part.n_examples]
        return chosen

    @property
    def n_test_items(self) -> int:
        """Test items of all abilities."""
        return sum(len(items) for items in self.test.values())

    def _order(self, source: str, ability: str, seed: int) -> list[Item]:
        """Return a pool in its order for a seed; from each file in turn if that was asked for."""
        if source not in self._files:
            return _seeded_order(self.pools[source][ability], seed)
        turns = zip_longest(*(_seeded_order(items, seed) for items in self._files[source]))
        return [item for turn in turns for item in turn if item is not None]

    def subset_hash(self, composition: Sequence[CompositionPart], seed: int) -> str:
        """Return the hash of a composition's examples, in order, and of where they come from."""
        items = [item.item_id for item in self.subset(composition, seed)]
        sources = sorted({part.data_source for part in composition} & self._provenance.keys())
        known = [[source, self._provenance[source]] for source in sources]
        return short_hash([items, known] if known else items)


@dataclass(frozen=True, kw_only=True)
class ExpectedData(StudyData):
    """What a dry run knows of a dataset that is not at hand: the counts that its grid states.

    Its hashes stand for no data, so the cells' ids differ from those of a real run.
    """

    expected: ExpectedDataSpec

    @property
    def pool_sizes(self) -> dict[str, dict[str, int]]:
        """Training examples by source and ability, as stated."""
        return self.expected.pool_sizes

    @property
    def evaluation_hash(self) -> str:
        """Hash of the statement."""
        return short_hash(self.expected.model_dump())

    @property
    def n_test_items(self) -> int:
        """Test items, as stated."""
        return self.expected.n_test_items

    def subset_hash(self, composition: Sequence[CompositionPart], seed: int) -> str:
        """Return a hash of what a subset would be drawn as."""
        return short_hash([[part.model_dump() for part in composition], seed])


def expected_data(spec: GridSpec, grid_folder: Path) -> ExpectedData | None:
    """Return what a grid states of its dataset, if it does and the dataset is not at hand."""
    if spec.dataset.expected is None or spec.dataset.folder is None:
        return None
    folder = grid_folder / spec.dataset.folder
    if folder.is_dir():
        return None
    return ExpectedData(
        folder=folder, pools={}, test={}, validation={}, expected=spec.dataset.expected
    )


def _seeded_order(items: Sequence[Item], seed: int) -> list[Item]:
    """Order items by a hash of seed and content: the same on every machine and file order."""

    def rank(item: Item) -> bytes:
        return hashlib.sha256(f"{seed}:{item.item_id}".encode()).digest()

    return sorted(items, key=rank)


def load_study_data(spec: GridSpec, grid_folder: Path, data_root: Path) -> StudyData:
    """Read (or first generate) the data of a grid.

    Parameters
    ----------
    grid_folder : Path
        Relative dataset folders are looked up from here.
    data_root : Path
        Where generated data is kept.

    Raises
    ------
    InputError
        If a folder is missing or a file has a bad line (file and line are named).
    """
    folder = dataset_folder(spec.dataset, grid_folder, data_root)
    limit = spec.scoring.max_items_per_ability
    pools: dict[str, Mapping[str, Sequence[Item]]] = {}
    files: dict[str, Sequence[Sequence[Item]]] = {}
    for source in spec.data_sources:
        if source.from_each_file:
            paths = doit_files(folder / source.path)
            files[source.name] = [read_doit_file(path, scored=False) for path in paths]
            pools[source.name] = {UNLABELLED: [i for items in files[source.name] for i in items]}
            continue
        pool = read_doit_folder(folder / source.path, scored=False)
        if not source.labelled:
            pool = {UNLABELLED: [item for items in pool.values() for item in items]}
        pools[source.name] = pool
    test = read_doit_folder(folder / spec.evaluation.test, scored=True)
    if unknown := sorted(set(spec.evaluation.out_of_domain) - set(test)):
        raise InputError(
            f"evaluation.out_of_domain: no test items of {', '.join(unknown)} in "
            f"{folder / spec.evaluation.test}; it holds {', '.join(test)}."
        )
    if spec.judge and (unknown := sorted(set(spec.judge.abilities) - set(test))):
        raise InputError(
            f"judge.abilities: no test items of {', '.join(unknown)} in "
            f"{folder / spec.evaluation.test}; it holds {', '.join(test)}."
        )
    validation: Mapping[str, Sequence[Item]] = {}
    rules: list[object] = [spec.training.checkpoint_rule]
    rules += [model.training.get("checkpoint_rule") for model in spec.base_models]
    rules += [design.training.get("checkpoint_rule") for design in spec.designs]
    if "best_validation" in rules:
        if spec.evaluation.validation is None:
            raise InputError("checkpoint_rule best_validation needs evaluation.validation.")
        validation = read_doit_folder(folder / spec.evaluation.validation, scored=False)
    return StudyData(
        folder=folder,
        pools=pools,
        test={ability: _seeded_order(items, 0)[:limit] for ability, items in test.items()},
        validation={
            ability: _seeded_order(items, 0)[:limit] for ability, items in validation.items()
        },
        _provenance={
            source.name: known
            for source in spec.data_sources
            if (known := read_provenance(folder / source.path)) is not None
        },
        _files=files,
    )


def read_provenance(folder: Path) -> str | None:
    """Return the hash of what a folder's manifest says of its making; None if it says nothing.

    `synthesize` writes it: teacher, parameters, prompts and seeds. Equal texts that were made in
    another way are other data.
    """
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / MANIFEST_FILE} can't be read ({error}); restore it or make the data again."
        ) from error
    provenance = manifest.get("provenance") if isinstance(manifest, dict) else None
    return None if provenance is None else short_hash(provenance)


def dataset_folder(spec: DatasetSpec, grid_folder: Path, data_root: Path) -> Path:
    """Return a dataset's folder; a generator's is written into `data_root`, once."""
    if spec.folder is not None:
        folder = Path(spec.folder)
        folder = folder if folder.is_absolute() else grid_folder / folder
        if not folder.is_dir():
            raise InputError(
                f"dataset.folder: there is no folder {folder}; put the data there or correct it."
            )
        return folder
    generator = spec.generator or "demo"
    version = _generator_version(generator)
    folder = data_root / f"{generator}-{version}-seed{spec.seed}"
    if not (folder / MANIFEST_FILE).is_file():
        from runners.demo_data import write_demo_data
        from runners.plain_data import write_plain_data

        shutil.rmtree(folder, ignore_errors=True)
        write = {"demo": write_demo_data, "plain": write_plain_data}[generator]
        write(folder, seed=spec.seed)
        manifest = {"generator": generator, "version": version, "seed": spec.seed}
        # The manifest comes last: its presence means that the folder is complete.
        write_atomically(folder / MANIFEST_FILE, partial(_write_text, text=json.dumps(manifest)))
    return folder


def _generator_version(generator: str) -> str:
    """Hash what a generator's data is made from, so that a change makes new data."""
    here = Path(__file__).parent
    own = "ladder/teacher_answers*" if generator == "demo" else "plain_*"
    # Plain data is written by the demonstration's code too.
    parts = sorted([*here.glob("demo_*.py"), *here.glob(own)])
    return short_hash([hashlib.sha256(path.read_bytes()).hexdigest() for path in parts])


def hash_task_files(folder: str | None) -> str | None:
    """Hash the files of a folder with lm-eval tasks, by name and content.

    Raises
    ------
    InputError
        If the folder is missing.
    """
    if folder is None:
        return None
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"scoring.task_folder: there is no folder {root}; correct the path.")
    paths = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return short_hash(
        [[str(p.relative_to(root)), hashlib.sha256(p.read_bytes()).hexdigest()] for p in paths]
    )


def find_overlap(data: StudyData) -> list[Leak]:
    """Return training items of any source that give a test item away (see `leak_check`)."""
    training = (item for pool in data.pools.values() for items in pool.values() for item in items)
    return find_leaks(training, (item for items in data.test.values() for item in items))


def prepare_subset(
    workspace: Workspace,
    dataset_hash: str,
    items: Sequence[Item],
    composition: Sequence[CompositionPart],
    seed: int | None,
) -> Path:
    """Write a training subset to `data/<dataset_hash>/` unless it is there; return its folder."""
    manifest = {
        "seed": seed,
        "n_examples": len(items),
        "composition": [part.model_dump() for part in composition],
    }
    return _prepare(workspace.data / dataset_hash, {TRAIN_FILE: items}, manifest)


def write_overlap(workspace: Workspace, data: StudyData, leaks: Sequence[Leak]) -> Path:
    """Keep the matches beside the prepared test items, for review; return the file."""
    path = prepare_evaluation(workspace, data) / OVERLAP_FILE
    text = json.dumps([asdict(leak) for leak in leaks], indent=1)
    return write_atomically(path, partial(_write_text, text=text))


def prepare_evaluation(workspace: Workspace, data: StudyData) -> Path:
    """Write a study's evaluation items to `data/evaluation-<hash>/`; return the folder."""
    files = {
        name: [item for items in split.values() for item in items]
        for name, split in ((TEST_FILE, data.test), (VALIDATION_FILE, data.validation))
        if split
    }
    manifest = {"n_items": {name: len(items) for name, items in files.items()}}
    return _prepare(workspace.data / f"evaluation-{data.evaluation_hash}", files, manifest)


def _prepare(
    folder: Path, files: Mapping[str, Sequence[Item]], manifest: Mapping[str, object]
) -> Path:
    """Write data files into a folder named by their hash; the manifest last makes it complete."""
    if not (folder / MANIFEST_FILE).is_file():
        for name, items in files.items():
            lines = "".join(json.dumps(item_document(item)) + "\n" for item in items)
            write_atomically(folder / name, partial(_write_text, text=lines))
        text = json.dumps(manifest, indent=1)
        write_atomically(folder / MANIFEST_FILE, partial(_write_text, text=text))
    return folder


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def item_document(item: Item) -> dict[str, object]:
    """Return an item as a line of a DoIT-format file."""
    document: dict[str, object] = {
        "messages": [{"role": turn.role, "content": turn.content} for turn in item.turns],
        "type": item.ability,
        "question_format": item.question_format,
        "scoring_rule": item.scoring_rule,
        "answer": item.answer,
        "choices": list(item.choices) or None,
        "options": list(item.options) or None,
    }
    return {name: value for name, value in document.items() if value is not None}
