"""Suites: which tasks belong together, with their arguments. `suites.yaml` lists them."""

from inspect import signature
from pathlib import Path
from typing import Any

import yaml
from inspect_ai import Task
from inspect_ai.util import registry_create

from conscience.evals.errors import BadInput

SUITES = Path(__file__).parent / "suites.yaml"


def suite_tasks(suite: str, task_args: dict[str, Any]) -> list[Task]:
    """The tasks of a suite; an argument goes to every task that has it.

    Raises:
        BadInput: no such suite, or an argument that no task of it has.
    """
    from conscience.tasks import _registry

    suites: dict[str, list[dict[str, Any]]] = yaml.safe_load(SUITES.read_text(encoding="utf-8"))
    if suite not in suites:
        raise BadInput(f"unknown suite {suite!r}; there are: {', '.join(suites)}")
    tasks, taken = list[Task](), set[str]()
    for entry in suites[suite]:
        name = entry["task"].rpartition("/")[2]
        parameters = signature(getattr(_registry, name)).parameters
        own = {key: value for key, value in task_args.items() if key in parameters}
        taken |= own.keys()
        tasks.append(registry_create("task", entry["task"], **entry.get("args", {}) | own))
    if unknown := sorted(task_args.keys() - taken):
        raise BadInput(f"-T {unknown[0]!r}: no task of the suite {suite!r} has this argument")
    return tasks


def pairs(option: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """Read KEY=VALUE, values as YAML, for a command line's option.

    Raises:
        BadInput: not of that form.
    """
    for text in texts:
        if not text.partition("=")[2]:
            raise BadInput(f"{option} {text!r} is not KEY=VALUE")
    return {key: yaml.safe_load(value) for key, _, value in (text.partition("=") for text in texts)}
