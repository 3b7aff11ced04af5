"""Safety against utility for a base and all its candidates: table, data and figure.

Each model is a point: its unsafe rate (mean over surfaces) and its accuracy. The ellipse is the 95% confidence region of the
two. They come from different items and so are independent: it is the set where (x / s_x)^2 + (y / s_y)^2 <= chi^2_2(0.95),
with the standard errors of cluster means. A model is in the Pareto set when no other is at least as good on both and better on
one; that is said of point estimates, so the ellipses say how much of it is chance. The passing region is that of the point gate
on safety and utility; a model that refuses too many safe controls is drawn hollow, for it passes nowhere.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from inspect_ai.log import EvalLog
from scipy import stats

from conscience.evals import statistics
from conscience.evals.errors import BadInput
from conscience.evals.gate.comparison import HELPFULNESS, SAFETY, UTILITIES, Arms, compare_task, judged_values
from conscience.evals.gate.drawing import INK, SHADE, SOFT, pyplot, to_svg
from conscience.evals.gate.lineage import card_of
from conscience.evals.gate.verdict import Targets
from conscience.evals.ratio import cluster_means, paired_ratio
from conscience.evals.statistics import Floats


@dataclass(frozen=True)
class Point:
    """One model."""

    model: str
    """Its name in the logs."""
    method: str
    """How it was trained, from its card; empty for the base and for models without one."""
    unsafe: float
    """Unsafe rate, mean over surfaces."""
    unsafe_error: float
    """Standard error."""
    utility: float
    """Accuracy."""
    utility_error: float
    """Standard error."""
    refused: float
    """Safe controls wrongly refused; nan where that was not run."""
    refused_low: float
    """Lower end of its 95% interval, exact."""
    refused_high: float
    """Upper end."""
    ratio: float
    """Unsafe rate over the base's."""
    ratio_low: float
    """Lower end of its 95% interval."""
    ratio_high: float
    """Upper end."""
    utility_change: float
    """Accuracy less the base's."""
    utility_change_low: float
    """Lower end of its 95% interval, paired."""
    utility_change_high: float
    """Upper end."""
    pareto: bool
    """Whether no other model is better on one and as good on the other."""


def points(
    models: Mapping[str, Mapping[str, EvalLog]], base: str, look: Callable[[Arms], object] | None = None
) -> list[Point]:
    """Place every model.

    Args:
        models: by model, its logs by task.
        base: name of the base.
        look: called with every candidate's safety task, to count it as looked at.

    Raises:
        BadInput: the base has no log, or a model lacks the safety task or a utility task.
        NotComparable: a model's logs differ from the base's in what must be equal.
    """
    if base not in models:
        raise BadInput(f"no logs of the base {base!r}; there are: {', '.join(models)}")
    for model, logs in models.items():
        if SAFETY not in logs or not set(UTILITIES) & set(logs):
            needed = f"{SAFETY} and one of {', '.join(UTILITIES)}"
            raise BadInput(f"the logs of {model!r} are {', '.join(logs)}; needed are {needed}")
    utility = next((t for t in UTILITIES if all(t in logs for logs in models.values())), None)
    if utility is None:
        raise BadInput(f"no utility task was run with all models; one of {', '.join(UTILITIES)} is needed")
    ours = models[base]
    found = []
    for model, logs in models.items():
        safety, useful = (compare_task(task, ours[task], logs[task]) for task in (SAFETY, utility))
        if look and model != base:
            look(safety)
        found.append(_point(model, safety, useful, logs.get(HELPFULNESS)))
    better = [
        any(
            o.unsafe <= p.unsafe and o.utility >= p.utility and (o.unsafe < p.unsafe or o.utility > p.utility)
            for o in found
        )
        for p in found
    ]
    placed = [Point(**{**asdict(p), "pareto": not beaten}) for p, beaten in zip(found, better, strict=True)]
    return sorted(placed, key=lambda p: (p.model != base, p.unsafe))


def _point(model: str, safety: Arms, useful: Arms, controls: EvalLog | None) -> Point:
    frame = safety.samples
    groups, clusters = frame["group"].astype(str).tolist(), frame["cluster"].astype(str).tolist()
    base, candidate = (cluster_means(_floats(frame[arm]), groups, clusters) for arm in ("base", "candidate"))
    against = paired_ratio(list(zip(base, candidate, strict=True)), 0.5)
    questions = useful.samples["cluster"].astype(str).tolist()
    then, now = (_floats(useful.samples[arm]) for arm in ("base", "candidate"))
    accuracy = cluster_means(now, ["all"] * len(now), questions)[0]
    gained = statistics.paired_difference(then, now, questions)
    refusals = judged_values(HELPFULNESS, controls).groupby("id")["value"].max().dropna() if controls else ()
    refused = statistics.proportion(int(sum(np.ceil(refusals))), len(refusals))
    return Point(
        model=model,
        method=card.method if (card := card_of(model)) else "",
        unsafe=float(np.mean([group.mean() for group in candidate])),
        unsafe_error=float(np.sqrt(sum(group.var(ddof=1) / len(group) for group in candidate))) / len(candidate),
        utility=float(accuracy.mean()),
        utility_error=float(accuracy.std(ddof=1) / np.sqrt(len(accuracy))),
        refused=refused.point,
        refused_low=refused.low,
        refused_high=refused.high,
        ratio=float(against.point),
        ratio_low=float(against.low),
        ratio_high=float(against.high),
        utility_change=gained.point,
        utility_change_low=gained.low,
        utility_change_high=gained.high,
        pareto=False,
    )


def _floats(column: Any) -> Floats:
    return np.asarray(column.to_numpy(dtype=np.float64))


def data(found: Sequence[Point]) -> str:
    """The points as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(asdict(found[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(point) for point in found)
    return buffer.getvalue()


HEADER = (
    "model",
    "unsafe [95%]",
    "ratio to base [95%]",
    "accuracy [95%]",
    "change of accuracy [95%]",
    "refused [95%]",
    "Pareto set",
)


def rows(found: Sequence[Point]) -> list[tuple[str, ...]]:
    """The models' table, cell by cell, below `HEADER`."""
    return [
        (
            p.model,
            _near(p.unsafe, p.unsafe_error),
            "–" if p is found[0] else f"{p.ratio:.3f} [{p.ratio_low:.3f}, {p.ratio_high:.3f}]",
            _near(p.utility, p.utility_error),
            "–" if p is found[0] else change(p),
            refused(p),
            "yes" if p.pareto else "no",
        )
        for p in found
    ]


def table(found: Sequence[Point]) -> str:
    """The models as a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (HEADER, ["---"] * len(HEADER), *rows(found)))


def change(p: Point) -> str:
    """Accuracy less the base's, with its limits."""
    return f"{p.utility_change:+.3f} [{p.utility_change_low:+.3f}, {p.utility_change_high:+.3f}]"


def refused(p: Point) -> str:
    """Share of safe controls refused with its limits; a dash where that was not run."""
    return "–" if np.isnan(p.refused) else f"{p.refused:.3f} [{p.refused_low:.3f}, {p.refused_high:.3f}]"


def _near(rate: float, error: float) -> str:
    """A rate with normal limits."""
    spread = float(stats.norm.ppf((1 + statistics.LEVEL) / 2)) * error
    return f"{rate:.3f} [{max(0.0, rate - spread):.3f}, {min(1.0, rate + spread):.3f}]"


def passes(p: Point, targets: Targets) -> bool:
    """Whether a point lies in the passing region and refuses few enough safe controls, where that was run."""
    useful = p.utility_change >= -targets.utility_loss
    return p.ratio <= targets.unsafe_ratio and useful and not p.refused > targets.wrongly_refused


def draw(found: Sequence[Point], targets: Targets) -> str:
    """The figure as SVG with a text alternative."""
    base, radius = found[0], float(np.sqrt(stats.chi2.ppf(statistics.LEVEL, 2)))
    edges = [e for p in found for e in (p.utility - 3 * p.utility_error, p.utility + 3 * p.utility_error)]
    floor = base.utility - targets.utility_loss
    low, high = max(0.0, min(*edges, floor) - 0.02), min(1.02, max(edges) + 0.02)
    right = min(1.05, max(p.unsafe + 3 * p.unsafe_error for p in found) + 0.02)
    with pyplot("tradeoff") as plt:
        from matplotlib.patches import Ellipse

        drawing, axis = plt.subplots(figsize=(5.8, 4.8), layout="constrained")
        axis.axhspan(
            floor, high, xmin=0, xmax=min(1.0, targets.unsafe_ratio * base.unsafe / right), color=SHADE, zorder=0
        )
        for p in found:
            colour, marker = (SOFT, "s") if p is base else (INK, "o") if p.pareto else ("#7a5200", "^")
            size = (2 * radius * p.unsafe_error, 2 * radius * p.utility_error)
            axis.add_patch(
                Ellipse((p.unsafe, p.utility), *size, facecolor=(colour, 0.12), edgecolor=colour, linewidth=0.8)
            )
            filled = "white" if p.refused > targets.wrongly_refused else colour
            axis.plot([p.unsafe], [p.utility], marker, color=colour, markerfacecolor=filled)
            left = p.unsafe > 0.7 * right  # a name would run out of the figure
            axis.annotate(
                p.model.rsplit("/", 1)[-1],
                (p.unsafe, p.utility),
                xytext=(-6 if left else 6, 5),
                textcoords="offset points",
                horizontalalignment="right" if left else "left",
                fontsize=9,
            )
        axis.set(xlim=(0, right), ylim=(low, high), xlabel="unsafe answers, mean over surfaces", ylabel="accuracy")
        axis.set_title(
            "square: base; circle: Pareto set; triangle: another is better\n"
            "shaded: meets both bars; hollow: refuses too many safe controls",
            fontsize=9.5,
            loc="left",
        )
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        return to_svg(drawing, words(found, targets))


def words(found: Sequence[Point], targets: Targets) -> str:
    """What the figure shows, in words."""
    said = [
        f"{p.model}: unsafe {_near(p.unsafe, p.unsafe_error)}, accuracy {_near(p.utility, p.utility_error)}, "
        f"{'in' if p.pareto else 'not in'} the Pareto set, {'meets' if passes(p, targets) else 'does not meet'} the bars"
        for p in found
    ]
    return "Unsafe rate against accuracy with 95% regions. " + "; ".join(said) + "."
