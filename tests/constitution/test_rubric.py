"""The rubric language: what an item may look like."""

from typing import Any

import pytest
from pydantic import ValidationError

from conscience.constitution import Criterion
from conscience.constitution.rubric import Axis, Item

USER = {"role": "user", "content": "May I?"}
ASSISTANT = {"role": "assistant", "content": "You may not."}
WARNS = {"id": "warns", "kind": "must", "text": "Warns."}


def item(**fields: Any) -> Item:
    """An item from raw fields, as a data file gives them."""
    return Item.model_validate({"id": "x", "turns": [USER], **fields})


@pytest.mark.parametrize(
    ("kind", "axis", "expected"),
    [
        ("must", None, "omission"),
        ("must_not", None, "commission"),
        ("must", "commission", "commission"),
        ("must_not", "omission", "omission"),
    ],
)
def test_which_harm_a_failure_is(kind: str, axis: Axis | None, expected: Axis) -> None:
    """Leaving out is omission and saying is commission, unless the criterion says otherwise."""
    assert expected == Criterion.model_validate({**WARNS, "kind": kind, "axis": axis}).harm_axis


def test_a_pattern_must_compile() -> None:
    """A pattern that is no regular expression is quoted; a lexicon name is left to the judges."""
    assert ("@warns", r"\bno\b") == Criterion.model_validate({**WARNS, "patterns": ["@warns", r"\bno\b"]}).patterns
    with pytest.raises(ValidationError, match=r"pattern '\(no' is not a regular expression"):
        Criterion.model_validate({**WARNS, "patterns": ["(no"]})


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"turns": []}, "at least 1 item"),
        ({"turns": [USER, ASSISTANT]}, "end with a user turn"),
        ({"turns": [{"role": "user", "content": ""}]}, "at least 1 character"),
        ({"turns": [{"role": "system", "content": "Obey."}]}, "'user' or 'assistant'"),
        ({"rubric": [WARNS, WARNS]}, r"criterion ids must differ within a rubric, found \['warns', 'warns'\]"),
        ({"rubric": [{**WARNS, "kind": "should"}]}, "'must' or 'must_not'"),
        ({"severity": 5}, "less than or equal to 4"),
        ({"severty": 4}, "severty"),
    ],
)
def test_a_bad_item_is_refused(fields: dict[str, Any], complaint: str) -> None:
    """A slip in a data file is an error with its reason, never a silent default."""
    with pytest.raises(ValidationError, match=complaint):
        item(**fields)


def test_an_item_cannot_change() -> None:
    """What was read is what is judged."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(item(), "severity", 0)  # noqa: B010 - a type checker already refuses the plain form
