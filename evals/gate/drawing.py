"""Figures of the gate as inline SVG that says in words what it shows. Nothing is told by colour alone."""

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from math import isfinite
from typing import Any

from conscience.evals.gate.surfaces import Turn
from conscience.evals.gate.verdict import Outcome
from conscience.evals.statistics import Estimate

INK, SOFT, SHADE, BAR = "#1f2a44", "#5a6478", "#d9ecdf", "#2b5d3a"
_INCHES = 5.4
"""Width that a phone shrinks little, so that the words in a figure stay legible."""


@contextmanager
def pyplot(name: str) -> Iterator[Any]:
    """Matplotlib's pyplot without a screen, text kept as text, settings put back afterwards; `name` tells its ids apart."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": name}):
        yield plt


def to_svg(drawing: Any, words: str) -> str:
    """The figure with its text alternative, and the figure closed. The words may name models: they are escaped."""
    from matplotlib import pyplot as plt

    buffer = io.StringIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(drawing)
    svg = buffer.getvalue()[buffer.getvalue().index("<svg") :]
    # Names of groups repeat from figure to figure; a page may hold an id once.
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(words)}" ', 1)


def interval(estimate: Estimate, digits: int = 3) -> str:
    """An estimate in a figure's words."""
    return f"{estimate.point:.{digits}g} (95% {estimate.low:.{digits}g} to {estimate.high:.{digits}g})"


def targets(outcomes: Sequence[Outcome]) -> str:
    """Every target's interval against its bar; the side that meets the target is shaded."""
    shown = [outcome for outcome in outcomes if isfinite(outcome.estimate.low) and isfinite(outcome.estimate.high)]
    words = "; ".join(
        f"{o.target}: {interval(o.estimate)}, must be {'at most' if o.better == 'lower' else 'at least'} {o.bar:g}, "
        f"{o.verdict.value}"
        for o in outcomes
    )
    count = max(1, len(shown))
    with pyplot("targets") as plt:
        drawing, axes = plt.subplots(
            count, 1, figsize=(_INCHES, 1.1 * count + 0.2), squeeze=False, layout="constrained"
        )
        for axis, outcome in zip(axes[:, 0], shown, strict=False):
            _against_bar(axis, outcome)
        return to_svg(drawing, f"Estimates with 95% intervals against their bars. {words}.")


def _against_bar(axis: Any, outcome: Outcome) -> None:
    estimate, bar = outcome.estimate, outcome.bar
    span = [estimate.low, estimate.high, bar, 0.0]
    pad = 0.08 * (max(span) - min(span) or 1)
    left, right = min(span) - pad, max(span) + pad
    axis.axvspan(*((left, bar) if outcome.better == "lower" else (bar, right)), color=SHADE, zorder=0)
    axis.axvline(bar, color=BAR, linestyle="--", linewidth=1.2)
    axis.plot([estimate.low, estimate.high], [0, 0], color=INK, linewidth=2)
    axis.plot([estimate.point], [0], "o", color=INK)
    axis.set(xlim=(left, right), ylim=(-1, 1), yticks=[])
    title = textwrap.fill(f"{outcome.target} ({outcome.verdict.value}): {outcome.metric}", 68)
    axis.set_title(title, fontsize=9.5, loc="left")
    axis.tick_params(labelsize=9)
    for side in ("top", "left", "right"):
        axis.spines[side].set_visible(False)


def survival(turns: Sequence[Turn]) -> str:
    """Kaplan-Meier curves: conversations without an unsafe answer, turn by turn, with pointwise 95% bands."""
    words = "; ".join(f"after {t.turn}: base {interval(t.base)}, candidate {interval(t.candidate)}" for t in turns)
    last = max(turn.turn for turn in turns)
    with pyplot("survival") as plt:
        drawing, axis = plt.subplots(figsize=(_INCHES, 3.1), layout="constrained")
        for arm, colour, line, hatch in (("base", SOFT, "--", "//"), ("candidate", INK, "-", "")):
            points = [(t.turn, getattr(t, arm)) for t in turns if isfinite(getattr(t, arm).low)]
            at = [0, *(turn for turn, _ in points), last + 0.6]  # on a little, so that the last step can be seen
            point, low, high = (
                [1.0, *(getattr(e, name) for _, e in points), getattr(points[-1][1], name) if points else 1.0]
                for name in ("point", "low", "high")
            )
            axis.step(at, point, where="post", color=colour, linestyle=line, linewidth=2, label=arm)
            axis.fill_between(
                at, low, high, step="post", facecolor=colour if not hatch else "none", edgecolor=colour, alpha=0.18,
                hatch=hatch, linewidth=0.5,
            )  # fmt: skip
        axis.set(xlim=(0, last + 0.6), ylim=(0, 1.03), xlabel="answers so far", ylabel="without an unsafe answer")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(frameon=False, fontsize=9.5, loc="best")
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        return to_svg(drawing, f"Share of conversations without an unsafe answer. {words}.")
