"""Reader for data in the DoIT format, so that the paper's published data set drops in unchanged.

A file holds JSON lines. Every line has `messages` [{role, content}], the last one the assistant's
gold answer, and a `type` (the ability). Evaluation items also have `question_format` (0: exact
answer, 1: open-ended with three `choices`, the first one right); those of maths have `answer`.
Own data may name its `scoring_rule` and list its `options`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from runners.template import Turn
from warehouse.errors import InputError
from warehouse.records import UNLABELLED

LETTERS = "ABCDEF"
"""Letters that an option may carry (the paper's code looks for A to F)."""

TRUE_WORDS = frozenset({"正确", "对", "T", "√", "V", "true", "yes"})
FALSE_WORDS = frozenset({"错误", "错", "F", "×", "X", "false", "no"})

EVALUATION_FOLDERS = frozenset({"valid", "test"})
MANIFEST_FILE = "manifest.json"
"""Says where a folder's data comes from; no data itself."""
N_CHOICES = 3

_ROLES = frozenset({"user", "assistant"})
_ABILITY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}$")
# The paper's synthetic pool is not sorted by ability, so its lines name none or a filler.
_NO_ABILITY = frozenset({"", "other", "others", "synthetic", UNLABELLED})


class ScoringRule(StrEnum):
    """How a model's output on an item becomes a score (see `scoring_rules`)."""

    SINGLE_CHOICE = "single_choice"
    MULTI_CHOICE = "multi_choice"
    TRUE_FALSE = "true_false"
    CLOZE = "cloze"
    MATH = "math"
    OPEN_ENDED = "open_ended"
    OPTION_TEXT = "option_text"


RULE_NAMES = ", ".join(ScoringRule)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One conversation, for training or for evaluation.

    Attributes
    ----------
    turns : tuple of Turn, at least 2
        The conversation; the last turn is the assistant's gold answer.
    ability : str
        From `type`; "unlabelled" where the line names none.
    question_format : int, 0 or 1, or None
        1 for open-ended items; None where a training item does not tell.
    scoring_rule : ScoringRule or None
        None for items that are only trained on.
    choices : tuple of str
        Candidates of an open-ended item, the right one first; else empty.
    options : tuple of str
        Options of an own-data item, as its prompt lists them; else empty.
    answer : str or None
        The right value of a maths item.
    item_id : str
        16 hexadecimal digits of the content's hash; equal content gives equal ids.
    """

    turns: tuple[Turn, ...]
    ability: str
    question_format: int | None = None
    scoring_rule: ScoringRule | None = None
    choices: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    answer: str | None = None
    item_id: str = field(init=False)

    def __post_init__(self) -> None:
        """Derive `item_id` from the content."""
        content = {
            "ability": self.ability,
            "turns": [[turn.role, turn.content] for turn in self.turns],
            "choices": self.choices,
            "options": self.options,
            "answer": self.answer,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
        object.__setattr__(self, "item_id", digest)

    @property
    def prompt_turns(self) -> tuple[Turn, ...]:
        """The turns before the gold answer."""
        return self.turns[:-1]

    @property
    def gold(self) -> str:
        """The assistant's last message, stripped."""
        return self.turns[-1].content.strip()


class _FieldError(Exception):
    """A field of a line is wrong; the reader adds file and line."""

    def __init__(self, name: str, problem: str, remedy: str) -> None:
        super().__init__(f"field {name}: {problem}; {remedy}.")


def read_doit_file(path: Path | str, *, scored: bool | None = None) -> list[Item]:
    """Read a JSON-lines file in the DoIT format.

    Parameters
    ----------
    path : Path or str
        The file; blank lines in it are skipped.
    scored : bool, optional
        Whether its items are scored, hence need a scoring rule and the fields of that rule. By
        default they are if the file lies in a folder called "valid" or "test".

    Raises
    ------
    InputError
        If the file can't be read, is empty, or has a bad line; the message names the file, the
        line, the field and the remedy.
    """
    path = Path(path)
    if scored is None:
        scored = path.absolute().parent.name in EVALUATION_FOLDERS
    items = []
    try:
        # Split at "\n" only: str.splitlines would also cut at separators inside JSON strings.
        with path.open("rb") as handle:
            for number, raw in enumerate(handle, start=1):
                if raw.strip():
                    items.append(_parse_line(raw, f"{path}, line {number}", scored=scored))
    except OSError as error:
        raise InputError(
            f"The data file {path} can't be read ({error.strerror}); check the path."
        ) from error
    if not items:
        raise InputError(f"The data file {path} holds no items; remove it or fill it.")
    return items


def read_doit_folder(folder: Path | str, *, scored: bool | None = None) -> dict[str, list[Item]]:
    """Read every `*.json` and `*.jsonl` file of a folder and sort its items by ability.

    Parameters
    ----------
    folder : Path or str
        E.g. `data/curated/full` or `data/synthetic/40960`; folders inside it are left out.
    scored : bool, optional
        As in `read_doit_file`; by default true for folders called "valid" or "test".

    Returns
    -------
    dict of str to list of Item
        Abilities in alphabetical order; items in the order of file names and lines.

    Raises
    ------
    InputError
        If the folder is missing or holds no such file, or a file has a bad line.
    """
    found: dict[str, list[Item]] = {}
    for path in doit_files(Path(folder)):
        for item in read_doit_file(path, scored=scored):
            found.setdefault(item.ability, []).append(item)
    return dict(sorted(found.items()))


def doit_files(folder: Path) -> list[Path]:
    """Return the data files of a folder, in the order of their names.

    Raises
    ------
    InputError
        If the folder is missing or holds no such file.
    """
    if not folder.is_dir():
        raise InputError(f"There is no data folder {folder}; check the path or make the data.")
    paths = sorted(path for path in folder.iterdir() if _is_data_file(path))
    if not paths:
        raise InputError(f"The data folder {folder} holds no .json file in the DoIT format.")
    return paths


def find_doit_folders(root: Path | str) -> tuple[list[Path], list[Path]]:
    """Return the folders at or below `root` that hold data files: (training, evaluation).

    Those named "valid" or "test" are for evaluation.

    Raises
    ------
    InputError
        If there is no such folder, or no data below it.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"There is no data folder {root}; check the path or make the data.")
    folders = sorted({path.parent for path in root.rglob("*.json*") if _is_data_file(path)})
    folders = [
        folder
        for folder in folders
        if not any(part.startswith(".") for part in folder.relative_to(root).parts)
    ]
    if not folders:
        raise InputError(f"There is no .json file in the DoIT format in or below {root}.")
    evaluation = [folder for folder in folders if folder.name in EVALUATION_FOLDERS]
    return [folder for folder in folders if folder not in evaluation], evaluation


def _is_data_file(path: Path) -> bool:
    """Tell whether a file of a data folder holds items."""
    return (
        path.suffix in {".json", ".jsonl"}
        and path.is_file()
        and not path.name.startswith(".")
        and path.name != MANIFEST_FILE
    )


def _parse_line(raw: bytes, where: str, *, scored: bool) -> Item:
    """Return the item of one line; `where` names file and line in errors."""
    # Real downloads may start with a byte order mark; integers of absurd length raise ValueError.
    try:
        document = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 text ({error.reason}); save the file as UTF-8."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where}: not JSON ({error}); the format is one JSON object per line."
        ) from error
    if not isinstance(document, dict):
        raise InputError(
            f"{where}: a {type(document).__name__} instead of a JSON object; "
            "the format is one JSON object per line."
        )
    return parse_document(document, where, scored=scored)


def parse_document(document: dict[str, Any], where: str, *, scored: bool = False) -> Item:
    """Return the item that a line's document describes.

    Raises
    ------
    InputError
        If a field is wrong; the message begins with `where` and names field and remedy.
    """
    try:
        return _parse_item(document, scored=scored)
    except _FieldError as error:
        raise InputError(f"{where}: {error}") from error


def _parse_item(document: dict[str, Any], *, scored: bool) -> Item:
    """Return the item of a line's document or raise _FieldError."""
    item = Item(
        turns=_parse_turns(document.get("messages")),
        ability=_parse_ability(document.get("type")),
        question_format=_parse_question_format(document.get("question_format"), scored=scored),
        choices=_parse_texts(document, "choices"),
        options=_parse_texts(document, "options"),
        answer=_parse_answer(document.get("answer")),
    )
    explicit = document.get("scoring_rule")
    if explicit is not None and explicit not in list(ScoringRule):
        raise _FieldError("scoring_rule", f"{explicit!r} is unknown", f"use one of {RULE_NAMES}")
    if not scored:
        return item
    rule = default_rule(item) if explicit is None else ScoringRule(explicit)
    _check_rule_fields(item, rule)
    return replace(item, scoring_rule=rule)


def _parse_ability(value: Any) -> str:
    """Return the ability of a `type` field."""
    if value is None:
        return UNLABELLED
    if not isinstance(value, str):
        raise _FieldError("type", f"{value!r} is not a string", "name the ability")
    if value.strip().lower() in _NO_ABILITY:
        return UNLABELLED
    if not _ABILITY.match(value):
        raise _FieldError(
            "type",
            f"{value!r} can't name an ability",
            "use letters, digits and . _ : + - (at most 120)",
        )
    return value


def _parse_question_format(value: Any, *, scored: bool) -> int | None:
    """Return 0, 1 or, where nothing is said, None (0 for a scored item)."""
    if value is None:
        return 0 if scored else None
    if isinstance(value, bool) or value not in (0, 1):
        raise _FieldError(
            "question_format", f"{value!r} is unknown", "use 0 (exact answer) or 1 (open-ended)"
        )
    return int(value)


def _parse_turns(messages: Any) -> tuple[Turn, ...]:
    """Return the turns of a `messages` field."""
    if not isinstance(messages, list) or not messages:
        raise _FieldError(
            "messages", "missing or empty", "give a list of {role, content}, the answer last"
        )
    turns = tuple(_parse_turn(index, message) for index, message in enumerate(messages))
    if turns[-1].role != "assistant":
        raise _FieldError(
            f"messages[{len(turns) - 1}].role",
            "the last message is not the assistant's",
            "end every conversation with the gold answer",
        )
    if not any(turn.role == "user" for turn in turns):
        raise _FieldError("messages", "no message of the user", "begin with the user's question")
    return turns


def _parse_turn(index: int, message: Any) -> Turn:
    """Return one message as a turn."""
    name = f"messages[{index}]"
    if not isinstance(message, dict):
        raise _FieldError(name, "not an object", "give {role, content}")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise _FieldError(f"{name}.role", f"{role!r} is unknown", "use user or assistant")
    return Turn(role=role, content=_parse_text(f"{name}.content", message.get("content")))


def _parse_text(name: str, value: Any) -> str:
    """Return a text that is not blank and can be encoded."""
    if not isinstance(value, str) or not value.strip():
        raise _FieldError(name, "missing, empty or not a string", "give text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _FieldError(
            name, "half a surrogate pair, which no encoding can hold", "write the whole character"
        ) from None
    return value


def _parse_texts(document: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return an optional list of texts."""
    values = document.get(name)
    if values is None:
        return ()
    if not isinstance(values, list):
        raise _FieldError(name, "not a list", "give a list of texts")
    return tuple(_parse_text(f"{name}[{index}]", value) for index, value in enumerate(values))


def _parse_answer(value: Any) -> str | None:
    """Return the right value of a maths item as text; numbers are allowed."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _parse_text("answer", value).strip()


def truth_value(word: str) -> bool | None:
    """Return what a single true/false word says, or None if it is neither."""
    bare = word.strip().rstrip(".。!！")
    for known in (bare, bare.lower()):
        if known in TRUE_WORDS:
            return True
        if known in FALSE_WORDS:
            return False
    return None


def default_rule(item: Item) -> ScoringRule:
    """Return the rule by which the paper scores an item of this ability and form.

    Own data may mix forms, so listed options decide before the ability does.
    """
    if item.question_format == 1:
        return ScoringRule.OPEN_ENDED
    if item.options:
        return ScoringRule.OPTION_TEXT
    if item.ability == "math":
        return ScoringRule.MATH
    if item.ability == "ethics":
        return ScoringRule.MULTI_CHOICE
    if _is_letter(item.gold):
        return ScoringRule.SINGLE_CHOICE
    if item.ability == "history":
        return ScoringRule.TRUE_FALSE
    if item.ability in {"biology", "reasoning", "understanding"} or re.fullmatch(
        r"ceval_.*_fshot", item.ability
    ):
        return ScoringRule.SINGLE_CHOICE
    return ScoringRule.CLOZE


def _check_rule_fields(item: Item, rule: ScoringRule) -> None:
    """Raise _FieldError unless the item has what its rule needs."""
    field_name, gold = f"messages[{len(item.turns) - 1}].content", item.gold
    if rule is ScoringRule.OPEN_ENDED and len(item.choices) != N_CHOICES:
        raise _FieldError(
            "choices",
            f"{len(item.choices)} candidates instead of {N_CHOICES}",
            "list the right candidate first, then two wrong ones",
        )
    if rule is ScoringRule.OPTION_TEXT:
        texts = {option.strip() for option in item.options}
        if len(texts) < 2 or len(texts) != len(item.options):
            raise _FieldError("options", "fewer than two or equal ones", "list each option once")
        if gold not in texts:
            raise _FieldError(
                field_name, f"{gold!r} is not among the options", "answer with an option's text"
            )
    if rule is ScoringRule.SINGLE_CHOICE and not _is_letter(gold):
        raise _FieldError(field_name, f"{gold!r} is not a letter A-D", "answer with one letter")
    if rule is ScoringRule.MULTI_CHOICE and not re.search("[A-F]", gold.splitlines()[-1]):
        raise _FieldError(
            field_name, "its last line holds no letter A-F", "end with the right letters"
        )
    if rule is ScoringRule.TRUE_FALSE and truth_value(gold) is None:
        raise _FieldError(
            field_name,
            f"{gold!r} says neither true nor false",
            "answer 正确 or 错误, true or false, yes or no",
        )
    if rule is ScoringRule.MATH and item.answer is None:
        raise _FieldError("answer", "missing", "give the value that replies are compared with")


def _is_letter(text: str) -> bool:
    """Tell whether a text is one letter A-D."""
    return len(text) == 1 and text in LETTERS[:4]
