"""Safety against utility for a base and all its candidates: table, data and figure.

Each model is a point: its unsafe rate (mean over surfaces) and its accuracy. The ellipse is the 95% confidence region of the
two. They come from different items and so are independent: it is the set where (x / s_x)^2 + (y / s_y)^2 <= chi^2_2(0.95),
with the standard errors of cluster means. A model is in the Pareto set when no other is at least as good on both and better on
one; that is said of point estimates, so the ellipses say how much of it is chance. The passing region is that of the point gate.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from inspect_ai.log import EvalLog
from scipy import stats

from conscience.evals import statistics
from conscience.evals.errors import BadInput
from conscience.evals.files import write_atomically
from conscience.evals.gate.comparison import HELPFULNESS, SAFETY, UTILITIES, Arms, compare_task, judged_values
from conscience.evals.gate.drawing import to_svg
from conscience.evals.gate.verdict import Targets
from conscience.evals.models.card import lookup
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
    ratio: float
    """Unsafe rate over the base's."""
    ratio_low: float
    """Lower end of its 95% interval."""
    ratio_high: float
    """Upper end."""
    utility_change: float
    """Accuracy less the base's."""
    pareto: bool
    """Whether no other model is better on one and as good on the other."""


def points(models: Mapping[str, Mapping[str, EvalLog]], base: str) -> list[Point]:
    """Place every model.

    Args:
        models: by model, its logs by task.
        base: name of the base.

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
    accuracy = cluster_means(
        _floats(useful.samples["candidate"]),
        ["all"] * len(useful.samples),
        useful.samples["cluster"].astype(str).tolist(),
    )[0]
    refused = judged_values(HELPFULNESS, controls)["value"] if controls else None
    return Point(
        model=model,
        method=_method(model),
        unsafe=float(np.mean([group.mean() for group in candidate])),
        unsafe_error=float(np.sqrt(sum(group.var(ddof=1) / len(group) for group in candidate))) / len(candidate),
        utility=float(accuracy.mean()),
        utility_error=float(accuracy.std(ddof=1) / np.sqrt(len(accuracy))),
        refused=float("nan") if refused is None else float(refused.mean()),
        ratio=float(against.point),
        ratio_low=float(against.low),
        ratio_high=float(against.high),
        utility_change=float((useful.samples["candidate"] - useful.samples["base"]).mean()),
        pareto=False,
    )


def _floats(column: Any) -> Floats:
    return np.asarray(column.to_numpy(dtype=np.float64))


def _method(model: str) -> str:
    if not model.startswith("conscience/"):
        return ""
    try:
        return lookup(model.removeprefix("conscience/"))[1].method
    except BadInput:
        return ""


def write(found: list[Point], targets: Targets, out: Path) -> None:
    """Write tradeoff.csv, tradeoff.md and tradeoff.svg, each in one step."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(asdict(found[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(point) for point in found)
    write_atomically(out / "tradeoff.csv", buffer.getvalue())
    write_atomically(out / "tradeoff.md", table(found) + "\n\n" + sensitivity(found) + "\n")
    write_atomically(out / "tradeoff.svg", draw(found, targets))


def table(found: list[Point]) -> str:
    """The models as a Markdown table."""
    head = [
        "| model | unsafe | ratio to base [95%] | accuracy | change | refused | Pareto |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join(
        head
        + [
            f"| {p.model} | {p.unsafe:.3f} | {p.ratio:.3f} [{p.ratio_low:.3f}, {p.ratio_high:.3f}] | {p.utility:.3f} | "
            f"{p.utility_change:+.3f} | {p.refused:.3f} | {'yes' if p.pareto else ''} |"
            for p in found
        ]
    )


def sensitivity(found: list[Point]) -> str:
    """How much the method matters: the range over its checkpoints, as a Markdown table."""
    methods = sorted({p.method for p in found if p.method})
    lines = [
        "| method | checkpoints | ratio to base, least to most | change of accuracy, least to most |",
        "|---|---|---|---|",
    ]
    for method in methods:
        own = [p for p in found if p.method == method]
        ratios, changes = sorted(p.ratio for p in own), sorted(p.utility_change for p in own)
        lines.append(
            f"| {method} | {len(own)} | {ratios[0]:.3f} to {ratios[-1]:.3f} | {changes[0]:+.3f} to {changes[-1]:+.3f} |"
        )
    return "\n".join(lines) if methods else "No candidate's card is on this machine: methods are not compared."


def draw(found: list[Point], targets: Targets) -> str:
    """The figure as SVG with a text alternative."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Ellipse

    mpl.rcParams |= {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "conscience"}
    drawing, axis = plt.subplots(figsize=(7.2, 5.0), layout="constrained")
    base, radius = found[0], float(np.sqrt(stats.chi2.ppf(statistics.LEVEL, 2)))
    for p in found:
        colour = "#5a6478" if p is base else "#1f2a44" if p.pareto else "#9b6a1c"
        size = (2 * radius * p.unsafe_error, 2 * radius * p.utility_error)
        axis.add_patch(Ellipse((p.unsafe, p.utility), *size, facecolor=colour, alpha=0.12, edgecolor=colour))
        axis.plot([p.unsafe], [p.utility], "s" if p is base else "o", color=colour)
        axis.annotate(
            p.model.rsplit("/", 1)[-1], (p.unsafe, p.utility), xytext=(6, 5), textcoords="offset points", fontsize=9
        )
    edges = [e for p in found for e in (p.utility - 3 * p.utility_error, p.utility + 3 * p.utility_error)]
    low, high = max(0.0, min(edges) - 0.02), min(1.02, max(edges) + 0.02)
    right = min(1.05, max(p.unsafe + 3 * p.unsafe_error for p in found) + 0.02)
    passing = (targets.unsafe_ratio * base.unsafe, base.utility - targets.utility_loss)
    axis.axhspan(passing[1], high, xmin=0, xmax=passing[0] / right, color="#d9ecdf", zorder=0)
    axis.set(xlim=(0, right), ylim=(low, high), xlabel="unsafe answers, mean over surfaces", ylabel="accuracy")
    axis.set_title(
        "Safety against utility, 95% regions; the side that meets both bars is shaded", fontsize=10, loc="left"
    )
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    words = "; ".join(f"{p.model}: unsafe {p.unsafe:.3f}, accuracy {p.utility:.3f}" for p in found)
    return to_svg(drawing, words)
