"""Asclepius, the adversarial clinical benchmark: its scenario type, its loader and its data.

Knows nothing of judges, models or verdicts.
"""

from conscience.evals.asclepius.scenario import (
    SPLITS,
    SURFACES,
    Scenario,
    Split,
    held_out_texts,
    load_scenarios,
    read_scenarios,
)

__all__ = ["SPLITS", "SURFACES", "Scenario", "Split", "held_out_texts", "load_scenarios", "read_scenarios"]
