"""Writing files so that a reader, or a killed run, never sees half of one."""

import os
from contextlib import suppress
from pathlib import Path

from conscience.evals.errors import BadInput


def write_atomically(file: Path, text: str) -> None:
    """Write to a temporary name in the same folder and rename: a reader sees the old file or the new one.

    Raises:
        BadInput: the folder cannot be written to.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise BadInput(f"cannot write {str(file)!r}: {error}") from None
