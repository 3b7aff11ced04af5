"""What Inspect loads by entry point: the tasks and the model providers."""

from typing import cast

from inspect_ai.model import ModelAPI, modelapi

from conscience.tasks.asclepius import asclepius
from conscience.tasks.clinical_basics import clinical_basics
from conscience.tasks.crescendo import crescendo
from conscience.tasks.critique_revise import critique_revise
from conscience.tasks.helpfulness import helpfulness
from conscience.tasks.medqa import medqa
from conscience.tasks.principles import principles

__all__ = [
    "asclepius",
    "clinical_basics",
    "conscience",
    "crescendo",
    "critique_revise",
    "helpfulness",
    "medqa",
    "principles",
    "recorded",
    "scripted_attacker",
]


@modelapi(name="conscience")
def conscience() -> type[ModelAPI]:
    """The embedded base and registered checkpoints."""
    from conscience.evals.models.engines import on_engine

    return cast(type[ModelAPI], on_engine)  # Inspect calls what it gets, whether a class or a function


@modelapi(name="recorded")
def recorded() -> type[ModelAPI]:
    """The recorded teacher."""
    from conscience.evals.models.recorded import RecordedTeacherAPI

    return RecordedTeacherAPI


@modelapi(name="scripted_attacker")
def scripted_attacker() -> type[ModelAPI]:
    """The scripted attacker."""
    from conscience.evals.models.attacker import ScriptedAttackerAPI

    return ScriptedAttackerAPI
