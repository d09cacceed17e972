import pytest
import torch

from runners.batches import (
    collate,
    collate_packed,
    count_targets,
    micro_batches,
    pack_rows,
    row_length,
)
from runners.template import IGNORE_INDEX, EncodedExample
from runners.train_steps import summed_loss

from .families import FAMILIES, examples, tiny_model


def lengths(rows):
    return [row_length(row) for row in rows]


def test_rows_hold_every_example_once_and_no_more_than_they_may():
    batch = examples(40)
    rows = pack_rows(batch, 80)
    assert max(lengths(rows)) <= 80
    assert sorted(id(e) for row in rows for e in row) == sorted(map(id, batch))
    assert len(rows) == -(-sum(len(e.input_ids) for e in batch) // 80)
    assert max(lengths(rows)) - min(lengths(rows)) <= 19


def test_rows_stay_within_bounds_where_equal_lengths_would_not():
    batch = [
        EncodedExample(input_ids=[1] * n, labels=[1] * n, truncated=False)
        for n in (6, 6, 4, 4, 4, 3, 3)
    ]
    assert max(lengths(pack_rows(batch, 10))) <= 10


def test_positions_restart_and_first_tokens_are_no_targets():
    one = EncodedExample(input_ids=[5, 6, 7], labels=[5, 6, 7], truncated=False)
    two = EncodedExample(input_ids=[8, 9], labels=[IGNORE_INDEX, 9], truncated=False)
    batch = collate_packed([[one, two]], pad_token_id=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 0, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0, 1, 2]]
    targets = batch["labels"][0]
    assert targets.tolist() == [-100, 6, 7, -100, 9, -100, -100, -100]
    assert int((targets != IGNORE_INDEX).sum()) == count_targets([one, two])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_loss_equals_the_loss_of_examples_on_their_own(family, attention):
    model = tiny_model(family).eval()
    model.set_attn_implementation(attention)
    batch = examples()
    with torch.no_grad():
        alone = sum(float(summed_loss(model, collate([one], 0, 1))) for one in batch)
        packed = float(summed_loss(model, collate_packed(pack_rows(batch, 48), 0)))
    assert packed == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_token_of_a_row_depends_on_another_example(family):
    model = tiny_model(family).eval()
    first, second, other = examples(3)

    def logits(row):
        batch = collate_packed([row], 0)
        del batch["labels"]
        with torch.no_grad():
            return model(**batch, use_cache=False).logits[0]

    here = slice(len(first.input_ids), len(first.input_ids) + len(second.input_ids))
    base = logits([first, second])[here]
    changed = EncodedExample(
        input_ids=other.input_ids[:1] * len(first.input_ids),
        labels=first.labels,
        truncated=False,
    )
    torch.testing.assert_close(logits([changed, second])[here], base, rtol=0, atol=0)


def test_without_restarting_positions_the_loss_would_differ():
    # What the two tests above would miss if the model ignored positions.
    model = tiny_model("llama").eval()
    batch = collate_packed([examples(3)], 0)
    broken = batch | {"position_ids": torch.arange(batch["input_ids"].shape[1])[None]}
    with torch.no_grad():
        apart, mixed = float(summed_loss(model, batch)), float(summed_loss(model, broken))
    assert mixed != pytest.approx(apart, rel=1e-3)


def test_every_rank_gets_as_many_micro_batches_and_fillers_have_no_targets():
    rows = [[example] for example in examples(7)]
    shares = [micro_batches(rows, 2, rank, 3) for rank in range(3)]
    assert {len(share) for share in shares} == {2}
    dealt = [example for share in shares for part in share for row in part for example in row]
    real = [example for example in dealt if count_targets([example])]
    assert sorted(map(id, real)) == sorted(id(row[0]) for row in rows)


def test_a_packed_filler_costs_no_loss_but_keeps_the_graph():
    model = tiny_model("llama")
    empty = EncodedExample(input_ids=[5, 6, 7], labels=[IGNORE_INDEX] * 3, truncated=False)
    loss = summed_loss(model, collate_packed([[empty]], 0))
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(float(p.grad.abs().sum()) == 0 for p in model.parameters())
