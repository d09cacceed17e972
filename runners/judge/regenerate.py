"""Makes replies of cells that were done before their grid had judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from runners.base_models import resolve_base_model
from runners.doit_format import read_doit_file
from runners.grid_spec import GridSpec
from runners.job import ReplySettings
from runners.replies import generate_replies, reply_stem, select_items
from runners.sft_data import TEST_FILE
from runners.template import TEMPLATE_FILE, load_template
from warehouse.landing import write_table
from warehouse.records import CellRecord, Design, RecordKind
from warehouse.workspace import Workspace


def regenerate_replies(
    workspace: Workspace,
    spec: GridSpec,
    cells: Sequence[CellRecord],
    settings: ReplySettings,
    *,
    on_cell: Callable[[CellRecord], None] = lambda _: None,
) -> dict[str, str]:
    """Land replies of cells whose model is still there: base models and kept checkpoints.

    Returns
    -------
    dict of label to reason
        Cells that can't reply any more.
    """
    impossible: dict[str, str] = {}
    for cell in cells:
        evaluation = workspace.data / f"evaluation-{cell.scoring.get('evaluation_hash')}"
        if not (evaluation / TEST_FILE).is_file():
            impossible[cell.label] = f"its test items are gone ({evaluation.name})"
            continue
        folder = _model_folder(workspace, spec, cell)
        if folder is None:
            impossible[cell.label] = "its checkpoint was not kept (keep_checkpoints: true keeps it)"
            continue
        on_cell(cell)
        _reply(workspace, cell, folder, evaluation / TEST_FILE, settings, spec.scoring.batch_size)
    return impossible


def _model_folder(workspace: Workspace, spec: GridSpec, cell: CellRecord) -> Path | None:
    """Return where a cell's model lies; None if it is gone."""
    if cell.design is not Design.BASE:
        folder = workspace.checkpoints / cell.cell_id
        return folder if (folder / TEMPLATE_FILE).is_file() else None
    for model in spec.base_models:
        if model.name == cell.base_model:
            found = resolve_base_model(model, workspace.data)
            # Under the same name there may be another model by now.
            return found.folder if found.revision == cell.base_model_revision else None
    return None


def _reply(
    workspace: Workspace,
    cell: CellRecord,
    folder: Path,
    test_file: Path,
    settings: ReplySettings,
    batch_size: int,
) -> None:
    """Load one model and land its replies."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    template = load_template(cell.template, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtypes[cell.training["dtype"]])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # As the worker does it: new template tokens get the same random rows in every cell.
    torch.manual_seed(0)
    template.prepare(tokenizer, model)
    if torch.cuda.is_available():
        model = model.to("cuda")
    replies = generate_replies(
        model.eval(),
        tokenizer,
        template,
        select_items(read_doit_file(test_file, scored=True), settings),
        cell_id=cell.cell_id,
        max_new_tokens=settings.max_new_tokens,
        batch_size=batch_size,
    )
    write_table(workspace, RecordKind.GENERATION, reply_stem(cell.cell_id, settings), replies)
