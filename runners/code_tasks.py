"""lm-eval's code-generation tasks, in processes of their own: what to ask, and how it went.

`python -m runners.code_tasks` reads one JSON document and answers with one. Asked to describe, it
loads the task with its data; that runs no generated code. Asked to score, it is inside the sandbox
(see `code_sandbox`): each document's replies are tried in a child of their own, so that one that
crashes, hangs or lies takes only its own score with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

SECONDS_PER_DOCUMENT = 10
_MEMORY_BYTES = 1 << 30


def describe(request: dict[str, Any]) -> dict[str, Any]:
    """Return the documents of a task, their prompts, and its metrics.

    Parameters
    ----------
    request : dict
        `yaml` (the task's file) and `num_fewshot`.
    """
    task = _build(Path(request["yaml"]), request["num_fewshot"])
    task.build_all_requests()
    documents = [
        {
            "document": instance.doc,
            "prompt": instance.args[0],
            "generation": instance.args[1],
            "target": str(task.doc_to_target(instance.doc)),
        }
        for instance in task.instances
    ]
    return {
        "documents": documents,
        "repeats": task.config.repeats,
        "higher_is_better": task.higher_is_better(),
    }


def score(request: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of every document: {metric: value}, or {"failed": reason}.

    Parameters
    ----------
    request : dict
        `yaml`, `documents` as `describe` gave them, and `replies`, a list for each document.
    """
    documents = [entry["document"] for entry in request["documents"]]
    task = _build(Path(request["yaml"]), 0, documents)
    task.build_all_requests()
    for instance, replies in zip(task.instances, request["replies"], strict=True):
        instance.resps = replies
    task.apply_filters()
    filters = list(task.instances[0].filtered_resps)
    return {"metrics": [_in_a_child(task, instance, filters) for instance in task.instances]}


def _build(path: Path, num_fewshot: int, documents: list[dict[str, Any]] | None = None) -> Any:
    """Return lm-eval's task of a YAML file; with documents, these stand for its data."""
    import datasets
    from lm_eval.api.task import ConfigurableTask

    # TaskManager has no way to exchange a task's data.
    from lm_eval.tasks._yaml_loader import load_yaml

    datasets.disable_progress_bars()
    config = load_yaml(path)
    for name in ("tag", "group", "task_list"):
        config.pop(name, None)
    if documents is not None:
        config |= {
            "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(documents)},
            "test_split": "test",
            "process_docs": None,
            "fewshot_split": None,
            "fewshot_config": None,
        }
    task = ConfigurableTask(config=config)
    task.set_config("num_fewshot", num_fewshot)
    task.set_fewshot_seed(1234)
    return task


def _in_a_child(task: Any, instance: Any, filters: list[str]) -> dict[str, Any]:
    """Score one document in a forked process with limits."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.closerange(3, writing)
        os.closerange(writing + 1, 512)
        _limit()
        metrics: dict[str, float] = {}
        for name in filters:
            found = task.process_results(instance.doc, [instance.filtered_resps[name]])
            metrics |= {
                metric if len(filters) == 1 else f"{metric},{name}": float(value)
                for metric, value in found.items()
            }
        os.write(writing, json.dumps(metrics).encode())
        os._exit(0)
    os.close(writing)
    signal.alarm(SECONDS_PER_DOCUMENT)
    try:
        with os.fdopen(reading, "rb") as pipe:
            text = pipe.read(1 << 16)
    except TimeoutError:
        return {"failed": f"no result after {SECONDS_PER_DOCUMENT} s"}
    finally:
        signal.alarm(0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        return {str(name): float(value) for name, value in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError):
        return {"failed": "the process that tried the reply ended without a result"}


def _limit() -> None:
    """Bound the memory and the processor time of this process."""
    in_use = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: in_use + _MEMORY_BYTES,
        resource.RLIMIT_CPU: SECONDS_PER_DOCUMENT,
    }
    for name, limit in limits.items():
        resource.setrlimit(name, (limit, limit))
    os.chdir(tempfile.mkdtemp())


def main() -> None:
    """Answer one request."""
    # Libraries and generated code print to standard output; the answer has its own way out.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.set_inheritable(answers.fileno(), False)
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    # Some of lm-eval's tasks refuse to be loaded without it.
    os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    if request["action"] == "score":
        # Modules that `evaluate` has cached are looked up in a folder that it must write to.
        modules = Path(request["hf_home"]) / "modules"
        if modules.is_dir():
            shutil.copytree(modules, Path.cwd() / "modules")
        os.environ["HF_MODULES_CACHE"] = str(Path.cwd() / "modules")

    def out_of_time(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, out_of_time)
    answer = {"describe": describe, "score": score}[request["action"]](request)
    json.dump(answer, answers)
    answers.flush()


if __name__ == "__main__":
    main()
