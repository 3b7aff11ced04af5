"""`conscience constitution`: read a version, check that every principle is covered, and see what a change makes stale."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from conscience.constitution.coverage import Coverage
from conscience.constitution.document import DEFAULT, Constitution
from conscience.constitution.revision import Revision


@click.group()
def constitution() -> None:
    """Show, lint and compare versions of the constitution."""


@constitution.command()
@click.argument("name", default=DEFAULT)
@click.option("--principle", help="Only this one, with its probes.")
def show(name: str, principle: str | None) -> None:
    """Print a version: its hash, its principles and its precedence table; or one principle in full."""
    from conscience.evals.errors import bad_input

    loaded = _load(name)
    if principle:
        with bad_input():
            found = loaded.principle(principle)
        click.echo(f"{found.number}. {found.title}\n\n{found.text}\n\nWhy: {found.rationale}\n")
        click.echo(f"For the reviewer: {found.review}\n\nSources: {'; '.join(found.sources)}\n")
        for probe in found.probes:
            click.echo(f"{'*' if probe.fixed else ' '} {probe.id}  {probe.turns[-1].content}")
        return
    click.echo(f"{loaded.name}  {loaded.hash}\n")
    for item in loaded.principles:
        click.echo(f"{item.number:2}. {item.id:26} {item.summary}")
    click.echo("\nWhen two pull apart:")
    for row in loaded.precedence:
        click.echo(f"  {row.question} ({' / '.join(row.between)}): {row.rule}")


@constitution.command()
@click.argument("name", default=DEFAULT)
def lint(name: str) -> int:
    """Check that every principle has probes, a surface, training prompts and a rationale; exit 1 when one has not."""
    from conscience.constitution import coverage

    loaded = _load(name)
    problems = coverage.lint(loaded, covered())
    for problem in problems:
        click.echo(problem)
    click.echo(f"{loaded.name}: {len(problems)} problems in {len(loaded.principles)} principles")
    return 1 if problems else 0


@constitution.command()
@click.argument("name", default=DEFAULT)
def matrix(name: str) -> None:
    """Print principle by probes, surfaces and training prompts."""
    from conscience.constitution import coverage
    from conscience.evals.asclepius import SURFACES

    rows = coverage.matrix(_load(name), covered(), (*SURFACES, "helpfulness"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells))


@constitution.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--in",
    "places",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder to search for pairs and reports; may be repeated. Registered checkpoints are always looked at.",
)
def diff(old: str, new: str, places: tuple[Path, ...]) -> None:
    """List what changed from OLD to NEW, what became stale by it, and what has to run again."""
    from conscience.constitution.revision import diff as compare

    before, after = _load(old), _load(new)
    revision = compare(before, after)
    for what, change in (("text", revision.texts), ("probe", revision.probes), ("precedence", revision.precedence)):
        for how in ("added", "removed", "changed"):
            for id in getattr(change, how):
                click.echo(f"{what} {how}: {id}")
    stale = list(stale_artefacts(before, revision, places))
    for line in stale:
        click.echo(f"stale: {line}")
    for step in to_run_again(revision, after.name):
        click.echo(f"run again: {step}")
    if not (revision.texts or revision.probes or revision.precedence):
        click.echo("nothing changed")


def covered() -> dict[str, Coverage]:
    """Count, by principle, the test scenarios of each surface and the training prompts that put it in play."""
    from conscience.evals.asclepius import SURFACES, load_scenarios

    surfaces: dict[str, Counter[str]] = {}
    for scenario in load_scenarios((*SURFACES, "helpfulness"), "test"):
        for id in scenario.principles if scenario.twin != "neutral" else ():
            surfaces.setdefault(id, Counter())[scenario.surface] += 1
    training = Counter(
        id for s in load_scenarios((*SURFACES, "helpfulness", "principles"), "train") for id in s.principles
    )
    return {
        id: Coverage(surfaces=dict(surfaces.get(id, {})), training=training[id])
        for id in surfaces.keys() | training.keys()
    }


def stale_artefacts(old: Constitution, revision: Revision, places: Iterable[Path]) -> Iterable[str]:
    """Pairs, checkpoints and reports that carry the old hash and that the change makes stale, a line each."""
    from conscience.evals.errors import BadInput
    from conscience.evals.models.card import find, registered

    taught = bool(revision.texts or revision.precedence)
    if taught:
        for name in registered():
            try:
                _, card = find(name)
            except BadInput as error:
                yield f"checkpoint conscience/{name}, perhaps: {error}"
                continue
            if card.constitution_hash == old.hash:
                yield f"checkpoint conscience/{name}"
    for place in places:
        for file in sorted(place.rglob("*.json")):
            try:
                text = file.read_text(encoding="utf-8")
                content = json.loads(text)
            except (OSError, ValueError):
                continue
            if not isinstance(content, dict) or old.hash not in text:
                continue
            if taught and "constitution_hash" in content and "source" in content:
                yield f"pairs {file.parent}"
            elif "schema_version" in content and (taught or revision.probes):
                yield f"report {file}"


def to_run_again(revision: Revision, name: str) -> list[str]:
    """What the change asks for, in the order to run it."""
    steps = []
    if revision.texts or revision.precedence:
        steps += [
            f"inspect eval conscience/critique_revise -T constitution={name}  (critiques and revisions)",
            "conscience pairs build, conscience train  (pairs and checkpoints)",
        ]
    if revision.probes:
        steps.append(f"inspect eval conscience/principles -T constitution={name}  (base and candidate)")
    if steps:
        steps.append("conscience gate  (the report)")
    return steps


def _load(name: str) -> Constitution:
    from conscience.constitution import load
    from conscience.evals.errors import bad_input

    with bad_input():
        return load(name)
