"""The ledger of looks: every candidate held against a base's run of the test split is written down beside that run.

Who tries twelve checkpoints on the test split and reports the best lets a true ratio of .55 pass nine times in ten on the point
estimate, and 9 to 18% of the time on the bound. The report says how many looks there were; choosing belongs on `dev`.
"""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from conscience.evals.errors import BadInput
from conscience.evals.files import read_rows, write_atomically
from conscience.evals.gate.comparison import Arms
from conscience.evals.logs import path_of

LEDGER = "looks.jsonl"


class Look(BaseModel):
    """One candidate's run held against one base's run."""

    base: str
    """Eval id of the base's run."""
    candidate: str
    """Eval id of the candidate's run."""
    model: str
    """The candidate."""
    first: str
    """When it was first looked at, UTC."""


def record(arms: Arms) -> int | None:
    """Write a look down, once however often its report is made again.

    Returns:
        How many runs were held against this base's run of the test split so far; None for another split, which is for choosing.

    Raises:
        BadInput: the ledger cannot be read or written.
    """
    if arms.base.eval.task_args.get("split", "test") != "test":
        return None
    file = path_of(arms.base).parent / LEDGER
    looks = _read(file) if file.is_file() else []
    base, candidate = arms.base.eval.eval_id, arms.candidate.eval.eval_id
    if not any((look.base, look.candidate) == (base, candidate) for look in looks):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        looks.append(Look(base=base, candidate=candidate, model=arms.candidate.eval.model, first=now))
        write_atomically(file, "".join(look.model_dump_json() + "\n" for look in looks))
    return len({look.candidate for look in looks if look.base == base})


def _read(file: Path) -> list[Look]:
    try:
        return [Look.model_validate(row) for _, row in read_rows(file)]
    except ValidationError as error:
        raise BadInput(f"{file}: not a ledger of looks: {error.errors()[0]['msg']}") from None
