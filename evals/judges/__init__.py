"""Judges: what they say of an answer (labels and two axes of harm), and how several are made into one.

Knows nothing of how an answer was generated, and nothing of verdicts on models.
"""

from conscience.evals.judges.embedded import judge_answer, judge_conversation
from conscience.evals.judges.judgment import Judgment, ResponseLabel, Ruling

__all__ = ["Judgment", "ResponseLabel", "Ruling", "judge_answer", "judge_conversation"]
