"""The training plugin: preference pairs from logs, recipes, trainers. Nothing that evaluates a model needs it.

May import `constitution`, `evals.logs`, `evals.models`, `evals.errors`, and `evals.asclepius` for one thing: the texts of
the held-out splits, which no pair may contain.
"""
