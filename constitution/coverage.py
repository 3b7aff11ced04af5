"""What covers each principle: probes, scenarios of each surface, training prompts. And what is missing."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from conscience.constitution.document import Constitution

PROBES = 20
"""Probes that a principle needs for a verdict at the bar of 0.80 to mean anything."""


class Coverage(BaseModel):
    """What covers one principle outside the constitution."""

    model_config = ConfigDict(frozen=True)

    surfaces: dict[str, int] = {}
    """Test scenarios by surface."""
    training: int = 0
    """Training prompts."""


def lint(constitution: Constitution, coverage: Mapping[str, Coverage]) -> list[str]:
    """List what is wrong, a line each: a principle without enough probes, a surface, a training prompt or a rationale."""
    problems = []
    for principle in constitution.principles:
        covered = coverage.get(principle.id, Coverage())
        if len(principle.probes) < PROBES:
            problems.append(f"{principle.id}: {len(principle.probes)} probes, at least {PROBES} are needed")
        if not any(covered.surfaces.values()):
            problems.append(f"{principle.id}: no scenario of any surface puts it in play")
        if not covered.training:
            problems.append(f"{principle.id}: no training prompt puts it in play")
        if not principle.rationale.strip():
            problems.append(f"{principle.id}: no rationale")
        problems += [f"{probe.id}: no rubric" for probe in principle.probes if not probe.rubric]
        problems += [f"{probe.id}: no rationale" for probe in principle.probes if not probe.rationale]
        if constitution.crosswalk and principle.id not in constitution.crosswalk:
            problems.append(f"{principle.id}: not in the crosswalk")
    for row in constitution.precedence:
        if not any(probe.precedence == row.id for p in constitution.principles for probe in p.probes):
            problems.append(f"precedence {row.id}: no probe puts it in play")
    unknown = sorted(coverage.keys() - {principle.id for principle in constitution.principles})
    return problems + [f"{id}: named by scenarios, but not a principle" for id in unknown]


def matrix(
    constitution: Constitution, coverage: Mapping[str, Coverage], surfaces: Sequence[str]
) -> list[tuple[str, ...]]:
    """Principle by probes, surfaces and training prompts, as rows of cells; the first is the header."""
    rows: list[tuple[str, ...]] = [("principle", "probes", *surfaces, "training prompts")]
    for principle in constitution.principles:
        covered = coverage.get(principle.id, Coverage())
        counts = [len(principle.probes), *(covered.surfaces.get(name, 0) for name in surfaces), covered.training]
        rows.append((principle.id, *map(str, counts)))
    return rows
