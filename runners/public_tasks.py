"""Tasks that lm-eval knows by name (CMMLU, AGIEval ...), in the same item-level path as our own.

They are loaded once, before anything is trained, and their documents and requests are kept for
every checkpoint. Tasks that run generated code are only described here (see `code_tasks`).
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import datasets
from lm_eval.tasks import TaskManager

# The index of tasks resolves no functions, hence runs no code of a task; neither may we, before
# we know whether the task is safe.
from lm_eval.tasks._yaml_loader import load_yaml

from runners.code_scoring import describe_code_task
from runners.grid_spec import PublicTaskSpec
from runners.public_items import CodeTask, PublicItem, PublicTask, document_id
from runners.template import Template, Turn
from warehouse.errors import InputError

FEWSHOT_SEED = 1234
"""As the `lm_eval` command seeds the choice of examples."""

_SCORED_TYPES = ("multiple_choice", "generate_until", "loglikelihood")
_Sample = dict[str, Any]


def load_public_tasks(
    specs: Sequence[PublicTaskSpec],
    *,
    template: Template | None = None,
    task_folder: Path | None = None,
    max_items: int | None = None,
) -> tuple[PublicTask, ...]:
    """Load tasks and their data.

    Parameters
    ----------
    template : Template, optional
        Renders the prompts of tasks with `apply_template`.
    task_folder : Path, optional
        YAML files that are looked in before lm-eval's own.
    max_items : int, optional
        Items kept of each ability, the first ones in the order of their ids.

    Raises
    ------
    InputError
        If a task is unknown, its data can't be had, it has fewer documents than examples asked
        for, or it runs generated code and there is no sandbox.
    """
    if not specs:
        return ()
    datasets.disable_progress_bars()
    found: list[PublicTask] = []
    manager: TaskManager | None = None
    for spec in specs:
        if manager is None or spec.task not in manager.task_index:
            manager = _find(spec.task, task_folder)
        leaves = _leaves(manager, spec.task)
        unsafe = [name for name in leaves if _is_unsafe(manager, name)]
        if unsafe:
            if leaves != [spec.task]:
                raise InputError(
                    f"evaluation.public_tasks: {spec.task} holds tasks that run generated code; "
                    f"name them one by one ({', '.join(unsafe)})."
                )
            with _as_input_error(spec.task):
                tasks = [describe_code_task(spec, Path(manager.task_index[spec.task].yaml_path))]
        else:
            tasks = list(_plain_tasks(manager, spec, template))
        found += _first_items(tasks, max_items)
    return tuple(found)


def _find(name: str, task_folder: Path | None) -> TaskManager:
    """Return a manager that knows a task; lm-eval's 13,000 own files are read only if needed."""
    if task_folder is not None:
        manager = TaskManager(include_path=str(task_folder), include_defaults=False)
        if name in manager.task_index:
            return manager
    manager = TaskManager(include_path=None if task_folder is None else str(task_folder))
    if name not in manager.task_index:
        near = get_close_matches(name, manager.all_tasks, n=3)
        raise InputError(
            f"evaluation.public_tasks: lm-eval knows no task {name!r}"
            + (f" (near: {', '.join(near)})" if near else "")
            + "; `lm_eval ls tasks` lists them, scoring.task_folder adds own ones."
        )
    return manager


def _leaves(manager: TaskManager, name: str) -> list[str]:
    """Return the names of the tasks in a group or tag, or of the task itself."""
    entry = manager.task_index.get(name)
    if entry is None:
        return [name]
    members: Iterable[Any] = entry.tags if entry.kind.name == "TAG" else ()
    if entry.kind.name == "GROUP":
        listed = (entry.cfg or {}).get("task", [])
        members = [m if isinstance(m, str) else m.get("task") or m.get("group") for m in listed]
    leaves = [leaf for member in members if member for leaf in _leaves(manager, member)]
    return sorted(leaves) or [name]


def _is_unsafe(manager: TaskManager, name: str) -> bool:
    entry = manager.task_index.get(name)
    if entry is None or entry.yaml_path is None:
        return False
    return bool(load_yaml(entry.yaml_path, resolve_func=False).get("unsafe_code"))


@contextlib.contextmanager
def _as_input_error(name: str) -> Iterator[None]:
    """Turn whatever stops a task from loading into one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        offline = "HF_HUB_OFFLINE is set; " if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
        text = str(error).strip().split("\n")[0][:200]
        raise InputError(
            f"evaluation.public_tasks: {name} can't be loaded ({type(error).__name__}: {text}); "
            f"{offline}if its data is not on this disk, load the task once where the hub can be "
            "reached, or put a local copy into scoring.task_folder."
        ) from error


# ---------------------------------------------------------------------------- plain tasks


def _plain_tasks(
    manager: TaskManager, spec: PublicTaskSpec, template: Template | None
) -> Iterator[PublicTask]:
    with _as_input_error(spec.task):
        loaded = manager.load(spec.task)["tasks"]
    suffix = spec.ability.removeprefix(spec.task)
    for name, task in sorted(loaded.items()):
        with _as_input_error(name):
            if task.OUTPUT_TYPE not in _SCORED_TYPES:
                raise InputError(
                    f"evaluation.public_tasks: {name} gives {task.OUTPUT_TYPE}, no score per "
                    "item; leave it out."
                )
            _set_examples(task, name, spec.num_fewshot)
            documents = _distinct(task.eval_docs, f"{name}{suffix}")
            _keep(task, list(documents.values()), _renderer(spec, template))
            yield PublicTask(
                name=f"{name}{suffix}",
                ability=spec.ability,
                output_type=task.OUTPUT_TYPE,
                task=task,
                items=tuple(_items(task, list(documents))),
                higher_is_better=dict(task.higher_is_better()),
            )


def _set_examples(task: Any, name: str, num_fewshot: int) -> None:
    """Ask for a number of examples, and never for the question itself among them."""
    task.set_config("num_fewshot", num_fewshot)
    task.set_fewshot_seed(FEWSHOT_SEED)
    if not num_fewshot:
        return
    has_own = (
        task.fewshot_cfg.split is not None
        or task.fewshot_cfg.samples is not None
        or task.has_training_docs()
        or task.has_validation_docs()
    )
    if not has_own:
        # Examples come from the test split; only when lm-eval is told so does it leave the
        # question itself out.
        task.fewshot_cfg.split = task.config.test_split
    if task.OUTPUT_TYPE == "multiple_choice" and task.multiple_target:
        # lm-eval 0.4.13 can't write an example whose right choices are a list (as AGIEval's are).
        task.fewshot_cfg.doc_to_target = functools.partial(_first_right_choice, task)
    n_examples = len(task.sampler.fewshot_docs()) - (not has_own)
    if n_examples < num_fewshot:
        raise InputError(
            f"evaluation.public_tasks: {name} has {n_examples} documents for examples, "
            f"{num_fewshot} are asked for; lower num_fewshot."
        )


def _first_right_choice(task: Any, document: dict[str, Any]) -> str:
    return str(task.doc_to_choice(document)[task.doc_to_target(document)[0]])


def _distinct(documents: Iterable[Mapping[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    """Return the documents by item id; equal ones once."""
    found: dict[str, dict[str, Any]] = {}
    for document in documents:
        found.setdefault(document_id(name, document), dict(document))
    return found


def _renderer(spec: PublicTaskSpec, template: Template | None) -> Callable[..., str] | None:
    """Return what turns lm-eval's messages into a prompt; None leaves the text bare."""
    if not spec.apply_template or template is None:
        return None

    def render(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        begun = "" if add_generation_prompt else messages[-1]["content"]
        asked = messages if add_generation_prompt else messages[:-1]
        content = "\n\n".join(message["content"].strip() for message in asked)
        return template.prompt((Turn(role="user", content=content),)) + begun

    return render


def _keep(task: Any, documents: list[dict[str, Any]], render: Callable[..., str] | None) -> None:
    """Build a task's requests once, and have lm-eval use them for every checkpoint."""
    task.doc_iterator = lambda **_: enumerate(documents)
    # lm-eval's progress bar at this place can't be turned off.
    with contextlib.redirect_stderr(io.StringIO()):
        task.build_all_requests(apply_chat_template=render is not None, chat_template=render)

    def forget_answers(**_: object) -> None:
        for instance in task.instances:
            instance.resps = []
            instance.filtered_resps = {}

    task.build_all_requests = forget_answers


def _items(task: Any, item_ids: Sequence[str]) -> Iterator[PublicItem]:
    """Yield the items of a task whose requests are built."""
    first = {instance.doc_id: instance for instance in reversed(task.instances)}
    for doc_id, item_id in enumerate(item_ids):
        document = first[doc_id].doc
        right = task.doc_to_target(document)
        has_choices = task.OUTPUT_TYPE == "multiple_choice"
        choices = tuple(map(str, task.doc_to_choice(document))) if has_choices else ()
        listed = right if isinstance(right, list) else [right]
        texts = [choices[r] if isinstance(r, int) and choices else str(r) for r in listed]
        yield PublicItem(
            item_id=item_id,
            prompt=str(first[doc_id].args[0]),
            target=" | ".join(texts),
            choices=choices,
            n_right=max(1, len(listed)) if choices else 1,
        )


def _first_items(tasks: list[PublicTask], max_items: int | None) -> list[PublicTask]:
    """Keep the first items of an ability in the order of their ids."""
    if max_items is None:
        return tasks
    ids = sorted(item.item_id for task in tasks for item in task.items)
    kept = set(ids[:max_items])
    return [task for task in (_only(task, kept) for task in tasks) if task.items]


def _only(public: PublicTask, kept: set[str]) -> PublicTask:
    """Return a task with some of its items, numbered anew."""
    places = [i for i, item in enumerate(public.items) if item.item_id in kept]
    items = tuple(public.items[i] for i in places)
    new_place = {old: new for new, old in enumerate(places)}
    if isinstance(public.task, CodeTask):
        code = CodeTask(
            yaml=public.task.yaml,
            documents=tuple(public.task.documents[i] for i in places),
            requests=tuple(public.task.requests[i] for i in places),
            repeats=public.task.repeats,
        )
        return PublicTask(**{**vars(public), "task": code, "items": items})
    task = public.task
    instances = [i for i in task.instances if i.doc_id in new_place]
    documents: dict[int, dict[str, Any]] = {}
    for instance in instances:
        name, doc_id, repeats = instance.metadata
        instance.metadata = (name, new_place[doc_id], repeats)
        instance.doc_id = new_place[doc_id]
        documents[instance.doc_id] = instance.doc
    task._instances = instances
    task.doc_iterator = functools.partial(_enumerate, documents)
    return PublicTask(**{**vars(public), "items": items})


def _enumerate(documents: Mapping[int, dict[str, Any]], **_: object) -> Iterator[Any]:
    return iter(sorted(documents.items()))
