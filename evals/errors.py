"""What goes wrong, as types. Every one prints as one clean line and carries the command's exit status.

    ConscienceError
    ├── BadInput (ValueError)      a file, name, key or value given by the user; exit status 3
    ├── NotComparable (ValueError) logs that the gate must not compare; exit status 3
    └── MissingDependency (ImportError)  an optional package is not installed; exit status 3

Adding one: subclass `ConscienceError` and the standard error it resembles; say what happened, the offending value with
`!r`, and what is allowed or what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class ConscienceError(Exception):
    """Base of all errors that are the user's to mend; shown without a traceback."""

    exit_code = 3


class BadInput(ConscienceError, ValueError):
    """A file, name, key or value from the user cannot be used."""


class NotComparable(ConscienceError, ValueError):
    """Logs differ in something that must be equal for a comparison to mean anything."""


class MissingDependency(ConscienceError, ImportError):
    """An optional package is missing; the message holds the command that installs it."""


@contextmanager
def one_line() -> Iterator[None]:
    """Turn our errors into the one kind that Inspect's command line prints without a traceback.

    Also a decorator: every `@task` wears it.
    """
    try:
        yield
    except ConscienceError as error:
        from inspect_ai._util.error import PrerequisiteError

        raise PrerequisiteError(str(error)) from None


@contextmanager
def bad_input() -> Iterator[None]:
    """Turn the ValueError of the ground floor, which knows no errors of ours, into `BadInput`."""
    try:
        yield
    except ValueError as error:
        raise BadInput(str(error)) from None
