"""Which candidates differ in one setting alone, by their cards."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conscience.evals.errors import BadInput
from conscience.evals.gate import lineage, sensitivity
from conscience.evals.gate.tradeoff import Point
from conscience.evals.models.card import CheckpointCard, PairSource

POINT = Point("", "", 0.4, 0.05, 0.7, 0.05, 0.02, 0.01, 0.05, 0.5, 0.4, 0.6, -0.01, -0.03, 0.01, pareto=True)


def checkpoint(name: str, method: str = "dpo", pairs: str = "p", **recipe: Any) -> CheckpointCard:
    """A card with a recipe of its own."""
    return CheckpointCard(
        name=name,
        base="b",
        method=method,
        recipe={"name": name, "learning_rate": 1e-4, "lora": {"r": 8}, **recipe},
        pairs=PairSource(sha256=pairs, count=1, log_ids=(), teacher="t"),
        constitution="c",
        constitution_hash="h",
        chat_template_hash="h",
        adapter_sha256="h",
        fingerprint=name,
        versions={},
        metrics={},
    )


@pytest.fixture(autouse=True)
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six checkpoints as if they were registered here."""
    known = [
        checkpoint("low", beta=0.05),
        checkpoint("high", beta=0.1),
        checkpoint("fast", beta=0.1, learning_rate=1e-3),
        checkpoint("other-pairs", pairs="q", beta=0.1, learning_rate=1e-2),
        checkpoint("kto", method="kto", beta=0.1, desirable_weight=1.0),
    ]

    def find(name: str) -> tuple[Path, CheckpointCard]:
        for found in known:
            if found.name == name.partition("@")[0]:
                return Path(), found
        raise BadInput(f"unknown {name}")

    monkeypatch.setattr(lineage, "lookup", find)


def families(*names: str) -> dict[str, list[list[tuple[str, str]]]]:
    """The groups found among models, by setting."""
    found: dict[str, list[list[tuple[str, str]]]] = {}
    for setting, members in sensitivity.families(replace(POINT, model=f"conscience/{name}") for name in names):
        found.setdefault(setting, []).append([(value, point.model.split("/")[1]) for value, point in members])
    return found


def test_one_setting_at_a_time() -> None:
    """Beta by size among equals; a learning rate likewise; other pairs are another experiment."""
    assert {
        "beta": [[("0.05", "low"), ("0.1", "high")]],
        "learning rate": [[("0.0001", "high"), ("0.001", "fast")]],
    } == families("high", "low", "fast", "other-pairs")


def test_methods_share_what_settings_both_have() -> None:
    """A method's own settings, and beta, may differ; what both have may not."""
    assert {"method": [[("dpo", "high"), ("kto", "kto")]]} == families("high", "kto")
    assert {} == families("fast", "kto")


def test_adapter_strength_stands_in_the_name() -> None:
    """NAME@S is the checkpoint NAME at strength S; without it, 1."""
    assert {"adapter strength": [[("0.5", "high@0.5"), ("1.0", "high")]]} == families("high", "high@0.5")


def test_without_cards_nothing_is_compared() -> None:
    """A model without a card here is in no group, and the table says so."""
    assert {} == families("nobody", "high")
    assert "nothing to compare" in sensitivity.table([replace(POINT, model="scripted/x")])


def test_the_table_has_intervals() -> None:
    """Ratio, change of accuracy and share refused, each with its limits."""
    table = sensitivity.table(replace(POINT, model=f"conscience/{name}") for name in ("high", "low"))
    assert "### beta" in table
    assert (
        "| 0.05 | conscience/low | 0.500 [0.400, 0.600] | -0.010 [-0.030, +0.010] | 0.020 [0.010, 0.050] |"
        in table.splitlines()
    )
