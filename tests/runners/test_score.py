"""Scoring through lm-eval on a real small model, against independent computations in torch."""

from __future__ import annotations

import hashlib
import json
import math
import socket
import string
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from runners.doit_format import Item, ScoringRule, read_doit_folder
from runners.lm_eval_live import LiveTask, PreparedModel
from runners.lm_eval_tasks import max_new_tokens
from runners.score import Scorer
from runners.scoring_rules import candidates, right_candidate, score_reply, target
from runners.template import TEMPLATES, Turn
from warehouse.errors import InputError
from warehouse.records import ITEM, ITEM_SCORE

DOIT = Path(__file__).parents[1] / "fixtures" / "doit"
TEMPLATE = TEMPLATES["doit"]
ITEMS = read_doit_folder(DOIT / "curated/test")


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of single characters that knows all that the fixtures hold."""
    texts = "".join(path.read_text("utf-8") for path in (DOIT / "curated/test").iterdir())
    characters = sorted(set(texts) | set(string.printable))
    special = ["<pad>", "<unk>", "<user>", "<assistant>", "<eot>"]
    vocabulary = {token: index for index, token in enumerate([*special, *characters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=["<user>", "<assistant>", "<eot>"],
    )


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        # Wide enough that a random model has clear preferences.
        initializer_range=0.2,
    )
    model = LlamaForCausalLM(config)
    TEMPLATE.prepare(tokenizer, model)
    return model.eval()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return make_model(tokenizer)


@pytest.fixture(scope="module")
def scorer(tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM) -> Scorer:
    return Scorer(ITEMS, template=TEMPLATE, tokenizer=tokenizer, batch_size=4)


@pytest.fixture(scope="module")
def rows(scorer: Scorer, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> list[dict]:
    return scorer.score(model, tokenizer, cell_id="cell").to_pylist()


def log_likelihood(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    item: Item,
    reply: str,
    *,
    end: bool,
) -> tuple[float, int]:
    """Sum of log-probabilities of a reply's tokens, one sequence at a time, and their number."""
    turns = (*item.prompt_turns, Turn(role="assistant", content=reply))
    encoded = TEMPLATE.encode(tokenizer, turns, max_length=10_000)
    n_tokens = len(tokenizer.encode(reply)) + 1
    ids = torch.tensor([encoded.input_ids])
    with torch.no_grad():
        log_probabilities = model(ids[:, :-1]).logits.log_softmax(-1)[0]
    picked = log_probabilities.gather(1, ids[0, 1:, None])[-n_tokens:, 0]
    if not end:
        picked = picked[:-1]
    return float(picked.sum()), len(picked)


def greedy_reply(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, item: Item, limit: int
) -> str:
    """Greedy decoding without cache, padding or batching."""
    ids = tokenizer.encode(TEMPLATE.prompt(item.prompt_turns), add_special_tokens=False)
    start = len(ids)
    while len(ids) - start < limit:
        with torch.no_grad():
            token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        if token == tokenizer.eos_token_id:
            break
        ids.append(token)
    return tokenizer.decode(ids[start:], skip_special_tokens=True)


def of_rule(scorer: Scorer, rows: list[dict], *rules: str) -> list[tuple[Item, dict]]:
    items = [item for task in scorer.tasks for item in task.items]
    pairs = list(zip(items, rows, strict=True))
    assert all(item.item_id == row["item_id"] for item, row in pairs)
    found = [(item, row) for item, row in pairs if row["scoring_rule"] in rules]
    assert found
    return found


# ---------------------------------------------------------------------------- every rule


def test_letters_agree_with_torch(scorer, model, tokenizer, rows):
    for item, row in of_rule(scorer, rows, "single_choice"):
        ids = torch.tensor([tokenizer.encode(TEMPLATE.prompt(item.prompt_turns))])
        with torch.no_grad():
            first = model(ids).logits[0, -1].log_softmax(-1)
        letters = candidates(item)
        expected = [float(first[tokenizer.convert_tokens_to_ids(letter)]) for letter in letters]
        assert row["choice_log_likelihoods"] == pytest.approx(expected, abs=1e-4)
        assert row["choice_tokens"] == [1] * len(letters)
        best = letters[expected.index(max(expected))]
        assert row["response"] == best
        assert row["score"] == float(best == item.gold)
        assert row["parsed"] == (tokenizer.convert_ids_to_tokens(int(first.argmax())) in letters)


def test_candidates_agree_with_torch(scorer, model, tokenizer, rows):
    for item, row in of_rule(scorer, rows, "open_ended", "option_text"):
        end = item.scoring_rule is ScoringRule.OPEN_ENDED
        texts = candidates(item)
        pairs = [log_likelihood(model, tokenizer, item, text, end=end) for text in texts]
        assert row["choice_log_likelihoods"] == pytest.approx([p[0] for p in pairs], abs=1e-3)
        assert row["choice_tokens"] == [p[1] for p in pairs]
        losses = [-total / count for total, count in pairs]
        best = losses.index(min(losses))
        assert row["response"] == texts[best]
        assert row["score"] == float(best == right_candidate(item))
        assert (row["parsed"] is None) == end


def test_replies_agree_with_torch(scorer, model, tokenizer, rows):
    limits = {task.name: max_new_tokens(task, tokenizer) for task in scorer.tasks}
    for item, row in of_rule(scorer, rows, "multi_choice", "true_false", "cloze", "math"):
        reply = greedy_reply(model, tokenizer, item, limits[row["task"]])
        assert row["response"] == reply
        outcome = score_reply(item.scoring_rule, reply, target(item))
        assert (row["score"], row["parsed"]) == (outcome.score, outcome.parsed)
        assert row["choice_log_likelihoods"] is None


def test_a_model_that_learned_the_answers_scores_one_everywhere(scorer, tokenizer):
    model = make_model(tokenizer, seed=1)
    # The few-shot exam is left out for its length. Open-ended gold answers are the first
    # candidates, so these are learned too.
    learned = {ability: group for ability, group in ITEMS.items() if "fshot" not in ability}
    encoded = [
        TEMPLATE.encode(tokenizer, item.turns, 512) for group in learned.values() for item in group
    ]
    width = max(len(example.input_ids) for example in encoded)
    ids = torch.tensor([e.input_ids + [0] * (width - len(e.input_ids)) for e in encoded])
    labels = torch.tensor([e.labels + [-100] * (width - len(e.labels)) for e in encoded])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(100):
        loss = model(ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    rows = scorer.score(model, tokenizer, cell_id="learned").to_pylist()
    assert model.training
    rows = [row for row in rows if row["ability"] in learned]
    assert [(row["task"], row["response"]) for row in rows if row["score"] != 1.0] == []
    assert all(row["parsed"] in (True, None) for row in rows)


# ---------------------------------------------------------------------------- perplexity


def lm_eval_accuracies(folder: Path, model, tokenizer, item: Item) -> dict[str, float]:
    """lm-eval's own `acc` and `acc_norm` on an open-ended item, by its own task and model."""
    data = folder / "own.jsonl"
    choices = [TEMPLATE.continuation(text) for text in item.choices]
    document = {"prompt": TEMPLATE.prompt(item.prompt_turns), "choices": choices, "right": 0}
    data.write_text(json.dumps(document) + "\n", "utf-8")
    (folder / "own.yaml").write_text(
        f"""
task: own
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}, cache_dir: {folder}/cache}}
test_split: test
output_type: multiple_choice
doc_to_text: prompt
doc_to_choice: choices
doc_to_target: right
target_delimiter: ""
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
""",
        "utf-8",
    )
    tasks = TaskManager(include_path=str(folder), include_defaults=False).load("own")
    results = evaluate(HFLM(pretrained=model, tokenizer=tokenizer), tasks, bootstrap_iters=0)
    return {name: results["results"]["own"][f"{name},none"] for name in ("acc", "acc_norm")}


def word_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, so that tokens and characters are far from proportional."""
    words = [letter * length for letter in string.ascii_lowercase for length in (1, 12)]
    special = ["<pad>", "<unk>", "<user>", "<assistant>", "<eot>"]
    vocabulary = {token: index for index, token in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=["<user>", "<assistant>", "<eot>"],
    )


def test_open_ended_differs_from_lm_evals_acc_and_acc_norm(tmp_path: Path):
    tokenizer = word_tokenizer()
    model = make_model(tokenizer)
    question = Turn(role="user", content="a b c")

    def made(choices: tuple[str, ...]) -> Item:
        turns = (question, Turn(role="assistant", content=choices[0]))
        rule = ScoringRule.OPEN_ENDED
        return Item(turns=turns, ability="x", scoring_rule=rule, choices=choices)

    # Sums favour few tokens and characters favour long words; the right candidate has neither,
    # but the likeliest tokens: of many sequences of four short words the likeliest one.
    probe = made(("a", "b", "c"))
    letters = string.ascii_lowercase[:8]
    likely = max(
        (" ".join([x, y, x, y]) for x in letters for y in letters),
        key=lambda text: log_likelihood(model, tokenizer, probe, text, end=True)[0],
    )

    def unlikely(texts: list[str]) -> str:
        return min(texts, key=lambda text: log_likelihood(model, tokenizer, probe, text, end=True))

    mean = -log_likelihood(model, tokenizer, probe, likely, end=True)[0] / 5
    singles = {
        text: -log_likelihood(model, tokenizer, probe, text, end=True)[0] / 2
        for text in string.ascii_lowercase
    }
    # One word, worse per token and better in sum.
    short = min((text for text in singles if mean < singles[text] < 2.4 * mean), key=singles.get)
    long = unlikely([" ".join([letter * 12] * 4) for letter in letters])
    item = made((likely, short, long))
    own = Scorer({"x": [item]}, template=TEMPLATE, tokenizer=tokenizer)
    (row,) = own.score(model, tokenizer, cell_id="cell").to_pylist()
    assert row["score"] == 1.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TQDM_DISABLE", "1")
        assert lm_eval_accuracies(tmp_path, model, tokenizer, item) == {"acc": 0, "acc_norm": 0}


# ---------------------------------------------------------------------------- tables


def test_score_table_follows_the_contract(scorer, model, tokenizer, rows):
    table = scorer.score(model, tokenizer, cell_id="cell")
    assert table.schema == ITEM_SCORE
    assert table.num_rows == 19
    history = [row for row in rows if row["ability"] == "history"]
    assert {row["task"] for row in history} == {
        "growthpace_history_single_choice",
        "growthpace_history_true_false",
    }
    row = next(row for row in rows if row["ability"] == "ethics")
    item = ITEMS["ethics"][0]
    assert row["cell_id"] == "cell"
    assert row["metric"] == "accuracy"
    assert row["higher_is_better"] is True
    prompt = TEMPLATE.prompt(item.prompt_turns)
    assert row["prompt_hash"] == hashlib.sha256(prompt.encode()).hexdigest()
    assert row["target_hash"] == hashlib.sha256(item.gold.encode()).hexdigest()
    assert row["chance_level"] == pytest.approx(1 / 6)
    assert row["chance_level_uniform"] == pytest.approx(1 / 15)
    assert row["missing_reason"] is None


def test_items_table_matches_the_scores(scorer, rows):
    table = scorer.items_table()
    assert table.schema == ITEM
    items = table.to_pylist()
    keys = [(item["item_id"], item["task"], item["ability"]) for item in items]
    assert keys == [(row["item_id"], row["task"], row["ability"]) for row in rows]
    assert len({(task, item_id) for item_id, task, _ in keys}) == len(keys)
    math_item = next(item for item in items if item["target"] == "0.75")
    assert json.loads(math_item["prompt"]) == [
        {"role": "user", "content": "What is one half plus one quarter?"}
    ]
    assert math_item["choices"] is None
    code = next(item for item in items if item["ability"] == "code")
    assert code["choices"][0] == code["target"] == "x = 1 + 2"


def test_settings_say_what_scores_depend_on(scorer, rows):
    settings = scorer.settings
    assert set(settings["batch_sizes"]) == {task.name for task in scorer.tasks}
    assert set(settings["batch_sizes"].values()) == {4}
    assert settings["dtype"] == "float32"
    assert settings["lm_eval_version"].startswith("0.4")
    assert settings["template"] == "doit"
    assert settings["apply_chat_template"] is False
    assert (settings["n_items"], settings["n_duplicate_items"]) == (19, 0)
    assert settings["n_truncated_prompts"] == 0


def test_same_weights_give_the_same_table(scorer, model, tokenizer, rows):
    scorer.score(make_model(tokenizer, seed=5), tokenizer, cell_id="between")
    assert scorer.score(model, tokenizer, cell_id="cell").to_pylist() == rows
    fresh = Scorer(ITEMS, template=TEMPLATE, tokenizer=tokenizer, batch_size=4)
    assert fresh.score(model, tokenizer, cell_id="cell").to_pylist() == rows


def test_dates_among_the_options_stay_texts(model, tokenizer):
    options = ("1912-03-04", "1913-03-05")
    turns = (Turn(role="user", content="When?"), Turn(role="assistant", content=options[1]))
    item = Item(turns=turns, ability="x", scoring_rule=ScoringRule.OPTION_TEXT, options=options)
    own = Scorer({"x": [item, item]}, template=TEMPLATE, tokenizer=tokenizer)
    (row,) = own.score(model, tokenizer, cell_id="cell").to_pylist()
    assert row["response"] in options
    assert own.settings["n_duplicate_items"] == 1


def test_scoring_opens_no_connection(model, tokenizer, monkeypatch):
    def refuse(*args: object) -> None:
        raise AssertionError("scoring tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    own = Scorer({"math": ITEMS["math"]}, template=TEMPLATE, tokenizer=tokenizer)
    assert own.score(model, tokenizer, cell_id="cell").num_rows == 2


# ---------------------------------------------------------------------------- trouble


def test_a_failing_task_does_not_lose_the_others(scorer, model, tokenizer, rows, monkeypatch):
    original = LiveTask.process_results

    def fail_for_maths(self, doc, results):
        if self.config.task == "growthpace_math_math":
            raise ZeroDivisionError("planted")
        return original(self, doc, results)

    monkeypatch.setattr(LiveTask, "process_results", fail_for_maths)
    table = scorer.score(model, tokenizer, cell_id="cell").to_pylist()
    assert [row["item_id"] for row in table] == [row["item_id"] for row in rows]
    failed = [row for row in table if row["score"] is None]
    assert {row["task"] for row in failed} == {"growthpace_math_math"}
    assert {row["missing_reason"] for row in failed} == {"ZeroDivisionError: planted"}
    kept = [row for row in table if row["score"] is not None]
    assert [row["score"] for row in kept] == [r["score"] for r in rows if r["ability"] != "math"]


def test_a_model_that_diverged_has_no_score(scorer, tokenizer):
    model = make_model(tokenizer)
    with torch.no_grad():
        model.model.norm.weight.fill_(math.nan)
    rows = scorer.score(model, tokenizer, cell_id="cell").to_pylist()
    asked = [row for row in rows if row["scoring_rule"] in ("single_choice", "open_ended")]
    assert {row["score"] for row in asked} == {None}
    assert all("not numbers" in row["missing_reason"] for row in asked)


def test_batches_shrink_until_memory_suffices(model, tokenizer, rows, monkeypatch):
    original = PreparedModel._model_call

    def limited(self, inps, *args):
        if inps.shape[0] > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return original(self, inps, *args)

    monkeypatch.setattr(PreparedModel, "_model_call", limited)
    own = Scorer(ITEMS, template=TEMPLATE, tokenizer=tokenizer, batch_size=8)
    table = own.score(model, tokenizer, cell_id="cell").to_pylist()
    sizes = own.settings["batch_sizes"]
    # Each task found its own: tasks with two short requests never met the limit.
    assert sizes["growthpace_code_open_ended"] == 2
    assert sizes["growthpace_math_math"] == 8
    assert [row["score"] for row in table] == [row["score"] for row in rows]


def test_long_prompts_are_counted(tokenizer):
    model = make_model(tokenizer)
    model.config.max_position_embeddings = 60
    items = {"history": ITEMS["history"], "biology": ITEMS["biology"]}
    own = Scorer(items, template=TEMPLATE, tokenizer=tokenizer)
    table = own.score(model, tokenizer, cell_id="cell")
    lengths = [
        len(tokenizer.encode(TEMPLATE.prompt(item.prompt_turns)))
        for group in items.values()
        for item in group
        if item.scoring_rule == "single_choice"
    ]
    assert own.settings["n_truncated_prompts"] == sum(n + 1 > 61 for n in lengths) > 0
    assert table.column("score").null_count == 0


def test_wrong_tokenizers_and_items_are_refused(scorer, model, tokenizer):
    with pytest.raises(InputError, match="tokenizer differs"):
        scorer.score(model, word_tokenizer(), cell_id="cell")
    bare = make_tokenizer()
    with pytest.raises(InputError, match=r"Template\.prepare"):
        Scorer(ITEMS, template=TEMPLATES["chatml"], tokenizer=bare)
    with pytest.raises(InputError, match="no evaluation items"):
        Scorer({}, template=TEMPLATE, tokenizer=tokenizer)


def test_logits_left_out_are_those_nobody_reads(scorer, model, tokenizer, rows, monkeypatch):
    monkeypatch.setattr(PreparedModel, "_model_call", HFLM._model_call)
    table = scorer.score(model, tokenizer, cell_id="cell").to_pylist()
    for full, kept in zip(table, rows, strict=True):
        assert full["score"] == kept["score"]
        assert full["response"] == kept["response"]
        if kept["choice_log_likelihoods"] is not None:
            assert full["choice_log_likelihoods"] == pytest.approx(kept["choice_log_likelihoods"])


def test_empty_columns_keep_their_type(model, tokenizer):
    own = Scorer({"math": ITEMS["math"]}, template=TEMPLATE, tokenizer=tokenizer)
    table = own.score(model, tokenizer, cell_id="cell")
    assert table.column("choice_log_likelihoods").type == pa.list_(pa.float64())
