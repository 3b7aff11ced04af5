"""The curves of a training run as one SVG: loss, margin, accuracy, distance from the base, gradient norm."""

import io

PANELS = {
    "loss": ("loss", "eval_loss"),
    "reward margin": ("rewards/margins", "eval_rewards/margins"),
    "reward accuracy": ("rewards/accuracies", "eval_rewards/accuracies"),
    "KL from the base, nats a token": ("kl_from_base",),
    "gradient norm": ("grad_norm",),
}


def draw(history: dict[str, list[dict[str, float]]]) -> str:
    """Draw every stage in a row of its own, training solid and validation dashed; steps on the x axis.

    Returns:
        The SVG's text. Panels for which nothing was logged say so.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(PANELS), 2.6 * len(history)), layout="constrained")
    axes = figure.subplots(len(history), len(PANELS), squeeze=False)
    for row, (stage, entries) in zip(axes, history.items(), strict=True):
        for axis, (title, names) in zip(row, PANELS.items(), strict=True):
            axis.set_title(f"{stage}: {title}", fontsize=9)
            axis.tick_params(labelsize=7)
            drawn = False
            for name, style in zip(names, ("-", "--"), strict=False):
                points = [(entry["step"], entry[name]) for entry in entries if name in entry]
                if points:
                    axis.plot(*zip(*points, strict=True), style, marker="." if len(points) < 20 else None)
                    drawn = True
            if not drawn:
                axis.text(0.5, 0.5, "not logged", ha="center", va="center", transform=axis.transAxes, fontsize=8)
                axis.set_xticks([])
                axis.set_yticks([])
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Title": "Training curves"})
    return text.getvalue()
