"""Solvers: how a scenario is played against a model, how an answer is critiqued and revised, how options are scored."""

from conscience.evals.solvers.crescendo import crescendo
from conscience.evals.solvers.critique import critique_revise
from conscience.evals.solvers.options import option_likelihood
from conscience.evals.solvers.replay import replay

__all__ = ["crescendo", "critique_revise", "option_likelihood", "replay"]
