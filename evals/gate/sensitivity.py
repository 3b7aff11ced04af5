"""How much a setting of training matters: candidates that differ in it and in nothing else, side by side.

Settings come from the candidates' cards (the resolved recipe, the pairs' hash) and from the model's name (adapter strength). A
model without a card on this machine is in no group. A comparison shows one setting at the others' values: nothing of how
settings act together.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from conscience.evals.gate.lineage import card_of, strength_of
from conscience.evals.gate.tradeoff import Point, change, refused

_METHOD = ("method", "loss_type")
"""What together names a method of training."""
_VARIED = {"beta": "beta", "learning_rate": "learning rate", "strength": "adapter strength"}
_LABELS = ("name",)
"""Entries of a recipe that change no run."""

Settings = Mapping[str, str]


class Family(NamedTuple):
    """Candidates that differ in one setting only."""

    setting: str
    """Its name."""
    members: list[tuple[str, Point]]
    """Value and model, by value."""


def settings_of(model: str) -> Settings | None:
    """Every setting of a candidate's training, flat; None without a card here."""
    card = card_of(model)
    if card is None:
        return None
    recipe = {name: value for name, value in card.recipe.items() if name not in _LABELS}
    found = {"method": card.method, "base": card.base, "pairs": card.pairs and card.pairs.sha256, **recipe}
    return {name: _plain(value) for name, value in {**found, "strength": strength_of(model)}.items()}


def families(points: Iterable[Point]) -> list[Family]:
    """Groups of at least two candidates that differ in the method, beta, learning rate or adapter strength alone.

    Methods differ in what settings they have: there the settings that both have must be equal, but for beta and
    parameters, which are each method's own.
    """
    known = [(point, found) for point in points if (found := settings_of(point.model)) is not None]
    groups: list[Family] = []
    for varied, name in _VARIED.items():
        alike: dict[str, list[tuple[str, Point]]] = defaultdict(list)
        for point, own in known:
            rest = {key: value for key, value in own.items() if key != varied}
            if varied in own:
                alike[json.dumps(rest, sort_keys=True)].append((own[varied], point))
        groups += [Family(name, sorted(members, key=_value)) for members in alike.values() if _differ(members)]
    return [*_methods(known), *groups]


def table(points: Iterable[Point]) -> str:
    """The families as Markdown tables."""
    found = families(points)
    if not found:
        return "No two candidates with a card on this machine differ in one setting alone: nothing to compare."
    blocks = []
    for family in found:
        head = [
            f"### {family.setting}",
            "",
            f"| {family.setting} | model | ratio to base [95%] | change of accuracy [95%] | refused [95%] |",
            "|---|---|---|---|---|",
        ]
        blocks.append("\n".join(head + ["| " + " | ".join(cells) + " |" for cells in rows(family)]))
    return "\n\n".join(blocks)


def rows(family: Family) -> list[tuple[str, str, str, str, str]]:
    """A family's table, cell by cell: value, model, ratio, change of accuracy, share refused."""
    return [
        (
            value,
            point.model,
            f"{point.ratio:.3f} [{point.ratio_low:.3f}, {point.ratio_high:.3f}]",
            change(point),
            refused(point),
        )
        for value, point in family.members
    ]


def _methods(known: list[tuple[Point, Settings]]) -> list[Family]:
    """Candidates of different methods whose common settings are equal."""
    alike: dict[str, list[tuple[str, Point]]] = defaultdict(list)
    common = set.intersection(*(set(own) for _, own in known)) if known else set()
    for point, own in known:
        rest = {key: own[key] for key in common if key not in {*_METHOD, "beta", "parameters"}}
        method = " ".join(own[key] for key in _METHOD if key in own)
        alike[json.dumps(rest, sort_keys=True)].append((method, point))
    return [Family("method", sorted(members, key=_value)) for members in alike.values() if _differ(members)]


def _differ(members: list[tuple[str, Point]]) -> bool:
    return len({value for value, _ in members}) > 1


def _value(member: tuple[str, Point]) -> tuple[float, str, str]:
    """Numbers by size, words by letter."""
    value, point = member
    try:
        return float(value), value, point.model
    except ValueError:
        return 0.0, value, point.model


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
