"""The packed forward against TRL's own: the same numbers, for less work."""

from typing import Any

import pytest

pytestmark = pytest.mark.model


def tiny() -> Any:
    """A random Llama of two layers; the same one at every call."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=211,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model: Any = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")
    return model


def batch() -> dict[str, Any]:
    """Three rows whose prompts are not labelled; the last is padded."""
    import torch

    torch.manual_seed(4)
    tokens = torch.randint(0, 211, (3, 17))
    labels = tokens.clone()
    labels[:, :9] = -100
    mask = torch.ones_like(tokens)
    mask[2, 14:] = 0
    labels[2, 14:] = -100
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


def scored(head: Any, **settings: Any) -> tuple[Any, Any]:
    """A tiny model with a head, and what it says of the batch."""
    model = tiny()
    head(model, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    return model, model(**batch(), fused_lm_head=True, **settings)


@pytest.mark.parametrize("settings", [{}, {"num_items_in_batch": 40}])
def test_it_equals_trls_own_head(settings: dict[str, int]) -> None:
    """Loss, per-token log-probabilities, entropies, mean logits, top-1 and mask are the same, and so are gradients."""
    import torch
    from trl.trainer.utils import add_fused_lm_head

    from conscience.training.packing import add_packed_head

    (our_model, ours), (their_model, theirs) = (
        scored(add_packed_head, **settings),
        scored(add_fused_lm_head, **settings),
    )
    assert theirs.loss.item() == pytest.approx(ours.loss.item(), abs=1e-5)
    for name in ("log_probs", "entropy", "mean_logits"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-5, rtol=0)
    assert torch.equal(theirs.is_top1.bool(), ours.is_top1.bool())
    assert torch.equal(theirs.label_mask, ours.label_mask)
    ours.loss.backward()
    theirs.loss.backward()
    for mine, other in zip(our_model.parameters(), their_model.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=0)


def test_the_loss_is_the_models_own() -> None:
    """Scoring labelled positions only gives the loss of a plain forward with the same labels."""
    from conscience.training.packing import add_packed_head

    assert tiny()(**batch()).loss.item() == pytest.approx(scored(add_packed_head)[1].loss.item(), abs=1e-5)


def test_a_plain_call_is_left_alone() -> None:
    """Without `fused_lm_head` the model answers with logits as before."""
    import torch

    from conscience.training.packing import add_packed_head

    model = tiny()
    add_packed_head(model)
    tokens = batch()["input_ids"]
    torch.testing.assert_close(model(input_ids=tokens).logits, tiny()(input_ids=tokens).logits)


def test_a_head_that_does_more_is_left_to_trl() -> None:
    """Models whose logits are scaled get TRL's head, which knows how: the loss is that of TRL."""
    from trl.trainer.utils import add_fused_lm_head

    from conscience.training.packing import add_packed_head

    losses = []
    for head in (add_packed_head, add_fused_lm_head):
        model = tiny()
        model.config.logit_scale = 0.5
        head(model)
        losses.append(model(**batch(), fused_lm_head=True).loss.item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert losses[0] != pytest.approx(scored(add_packed_head)[1].loss.item(), abs=1e-3)


def test_answers_that_share_their_prompt_are_scored_as_if_alone() -> None:
    """The layout of preference batches: prompts twice, answers of unlike lengths, padding; values and gradients as TRL's."""
    import torch
    from trl.trainer.utils import add_fused_lm_head

    from conscience.training.packing import add_packed_head

    torch.manual_seed(5)
    prompts = [torch.randint(0, 211, (length,)) for length in (6, 9)]
    rows = [
        torch.cat((prompts[which], torch.randint(0, 211, (length,))))
        for which, length in ((0, 5), (1, 1), (0, 8), (1, 4))
    ]
    longest = max(map(len, rows))
    tokens = torch.zeros(4, longest, dtype=torch.long)
    mask, labels = torch.zeros_like(tokens), torch.full_like(tokens, -100)
    for number, (row, which) in enumerate(zip(rows, (0, 1, 0, 1), strict=True)):
        tokens[number, : len(row)], mask[number, : len(row)] = row, 1
        labels[number, len(prompts[which]) : len(row)] = row[len(prompts[which]) :]
    models = []
    for head in (add_packed_head, add_fused_lm_head):
        model = tiny()
        head(model)
        scored_rows = model(input_ids=tokens, attention_mask=mask, labels=labels, fused_lm_head=True)
        (scored_rows.log_probs.sum(1) * torch.tensor([1.0, -2.0, 3.0, 0.5])).sum().backward()
        models.append((model, scored_rows))
    (our_model, ours), (their_model, theirs) = models
    torch.testing.assert_close(ours.log_probs, theirs.log_probs, atol=1e-5, rtol=0)
    for mine, other in zip(our_model.parameters(), their_model.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-4, rtol=0)


def test_shared_prompts_are_laid_out_once() -> None:
    """Two answers to one prompt and one to another: 3 + 2 + 1 + 2 + 1 tokens instead of 14."""
    from conscience.training.packing import pack

    packed = pack([[1, 2, 3, 4, 5], [6, 7, 8], [1, 2, 3, 9]], [3, 2, 3])
    assert [[1, 2, 3, 4, 5, 9, 6, 7, 8]] == packed.tokens.tolist()
    assert [[0, 1, 2, 3, 4, 3, 0, 1, 2]] == packed.positions.tolist()
    assert [2, 3, 7, 2] == packed.predictors.tolist()
