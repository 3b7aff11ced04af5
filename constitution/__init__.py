"""The Clinical Constitution: principles, probes and the rubric language that both probes and scenarios are written in.

Knows nothing of Inspect, models or scores.
"""

from conscience.constitution.document import Constitution, Precedence, Principle, Probe, load
from conscience.constitution.rubric import CANARY, Criterion, Turn

__all__ = ["CANARY", "Constitution", "Criterion", "Precedence", "Principle", "Probe", "Turn", "load"]
