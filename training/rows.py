"""Preference pairs in tokens: rendered exactly as the model is prompted in evaluation, cut, and divided for validation."""

import random
from typing import Any, NamedTuple

from conscience.evals.errors import BadInput
from conscience.training.pairs import Pair
from conscience.training.recipe import Recipe


class Row(NamedTuple):
    """One pair in tokens."""

    prompt: list[int]
    """The conversation with the template's opening of the answer."""
    chosen: list[int]
    """The revision, with an end token."""
    rejected: list[int]
    """The sample, with an end token where it really ended."""


class Split(NamedTuple):
    """Pairs for each purpose; none is in two of the first two."""

    train: list[Row]
    """The preference stage."""
    validation: list[Row]
    """Watches it."""
    warm_start: list[Row]
    """All but the validation pairs."""


def tokenize(pair: Pair, tokenizer: Any) -> Row:
    """Render a pair exactly as the model is prompted in evaluation; an answer ends only where it really ended."""

    def tokens(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    prompt = tokenizer.apply_chat_template(
        [message.model_dump() for message in pair.prompt],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=False,
    )
    end = [tokenizer.eos_token_id]
    return Row(
        prompt=tokens(prompt),
        chosen=tokens(pair.chosen[0].content) + end,
        rejected=tokens(pair.rejected[0].content) + ([] if pair.truncated else end),
    )


def split(rows: list[Row], recipe: Recipe) -> Split:
    """Divide the pairs by the recipe's seed.

    Pairs of one prompt stay together, so that no validation pair has a training pair's prompt.

    Raises:
        BadInput: fewer pairs than the recipe's validation takes.
    """
    draw = random.Random(recipe.seed)
    by_prompt: dict[tuple[int, ...], list[Row]] = {}
    for row in rows:
        by_prompt.setdefault(tuple(row.prompt), []).append(row)
    validation: list[Row] = []
    if recipe.validation is not None:
        if recipe.validation.pairs >= len(rows):
            raise BadInput(f"validation takes {recipe.validation.pairs} pairs, but there are only {len(rows)}")
        order = list(by_prompt)
        draw.shuffle(order)
        for prompt in order:
            if len(validation) >= recipe.validation.pairs:
                break
            validation += by_prompt.pop(prompt)
    rest = [row for row in rows if tuple(row.prompt) in by_prompt]
    if not rest:
        raise BadInput(f"validation leaves no pair to train on; the {len(rows)} pairs have too few different prompts")
    train = rest if recipe.max_pairs is None else draw.sample(rest, min(recipe.max_pairs, len(rest)))
    return Split(train, validation, rest)


def cut(rows: list[Row], recipe: Recipe) -> list[Row]:
    """Cut both answers where they exceed the recipe's length.

    Raises:
        BadInput: a prompt that leaves no room for an answer, or more pairs lose their end than the recipe allows.
    """
    limit, short, cut_pairs = recipe.max_length, [], 0
    for row in rows:
        room = limit - len(row.prompt)
        if room < 1:
            raise BadInput(f"a prompt of {len(row.prompt)} tokens leaves no room for an answer in max_length {limit}")
        cut_pairs += max(len(row.chosen), len(row.rejected)) > room
        short.append(Row(row.prompt, row.chosen[:room], row.rejected[:room]))
    if cut_pairs > recipe.max_truncated * len(short):
        longest = max(len(row.prompt) + max(len(row.chosen), len(row.rejected)) for row in rows)
        raise BadInput(
            f"max_length {limit} cuts {cut_pairs} of {len(short)} pairs, allowed are {recipe.max_truncated:.0%}; the longest "
            f"has {longest} tokens: raise max_length, or max_truncated if cutting is meant"
        )
    return short
