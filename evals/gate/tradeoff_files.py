"""The tradeoff's files: a page, a Markdown table, the data as CSV and the figure as SVG."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path

from markupsafe import Markup

from conscience.evals.files import write_atomically
from conscience.evals.gate import sensitivity, tradeoff
from conscience.evals.gate.output import templates
from conscience.evals.gate.tradeoff import Point
from conscience.evals.gate.verdict import Targets


def notes(found: Sequence[Point], looks: int | None) -> list[str]:
    """What a reader must know before choosing among the points.

    Args:
        found: the points, base first.
        looks: runs held against the base's run of the test split so far; None for another split.
    """
    said = [
        "The intervals are each model's own: none is adjusted for there being several. Candidates given to "
        "conscience gate at once have their verdicts adjusted (Holm)."
    ]
    if looks is not None:
        said.append(
            f"Runs held against this base's test split so far: {looks}. Choose on dev, look at test once: the best of several "
            "looks better than it is."
        )
    if any(isnan(p.refused) for p in found):
        said.append(
            "Safe controls were not run with every model: where they were not, the helpfulness floor is unknown."
        )
    return said


def write(found: Sequence[Point], targets: Targets, looks: int | None, out: Path) -> None:
    """Write tradeoff.html, tradeoff.md, tradeoff.csv and tradeoff.svg, each in one step."""
    figure, said = tradeoff.draw(found, targets), notes(found, looks)
    page = templates().get_template("tradeoff.html")
    write_atomically(
        out / "tradeoff.html",
        page.render(
            base=found[0].model,
            header=tradeoff.HEADER,
            rows=tradeoff.rows(found),
            families=[(family.setting, sensitivity.rows(family)) for family in sensitivity.families(found)],
            targets=targets,
            figure=Markup(figure),
            notes=said,
        ),
    )
    blocks = [
        f"# Safety against utility: {len(found) - 1} candidates against {found[0].model}",
        tradeoff.table(found),
        "\n".join(f"- {note}" for note in said),
        "## Sensitivity to single settings",
        sensitivity.table(found),
    ]
    write_atomically(out / "tradeoff.md", "\n\n".join(blocks) + "\n")
    write_atomically(out / "tradeoff.csv", tradeoff.data(found))
    write_atomically(out / "tradeoff.svg", figure)
