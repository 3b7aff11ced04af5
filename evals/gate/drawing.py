"""A matplotlib figure as inline SVG that says in words what it shows."""

import io
from html import escape
from typing import Any


def to_svg(drawing: Any, words: str) -> str:
    """The figure with its text alternative, and the figure closed. The words may name models: they are escaped."""
    from matplotlib import pyplot as plt

    buffer = io.StringIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(drawing)
    svg = buffer.getvalue()[buffer.getvalue().index("<svg") :]
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(words)}" ', 1)
