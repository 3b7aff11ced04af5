"""Files: written so that a reader, or a killed run, never sees half of one; tables read with the place of every row."""

import csv
import gzip
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from conscience.evals.errors import BadInput

Row = tuple[int, Mapping[str, Any]]
"""Line number in the file, and the row."""


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


def read_rows(file: Path) -> Iterator[Row]:
    """Read a table, CSV with a header, JSONL or JSONL.gz. A CSV's first line may be a comment; a JSONL canary line is left out.

    Raises:
        BadInput: no such file, another ending, not UTF-8, or a line that is not valid (names it).
    """
    readers: dict[str, Callable[[Path, str], Iterator[Row]]] = {".csv": _csv, ".jsonl": _jsonl, ".jsonl.gz": _jsonl}
    reader = next((reader for ending, reader in readers.items() if file.name.endswith(ending)), None)
    if reader is None:
        raise BadInput(f"cannot read {str(file)!r}: it must end in {', '.join(readers)}")
    zipped = file.suffix == ".gz"
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if zipped else data).decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise BadInput(f"no file {str(file)!r}") from None
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: not {'gzipped ' * zipped}UTF-8: {error}") from None
    yield from reader(file, text)


def _csv(file: Path, text: str) -> Iterator[Row]:
    csv.field_size_limit(2**24)  # an answer of 50,000 characters is one field
    lines = text.splitlines(keepends=True)
    skipped = int(bool(lines) and lines[0].startswith("#"))
    reader = csv.DictReader(lines[skipped:])
    try:
        for row in reader:
            yield reader.line_num + skipped, row
    except csv.Error as error:
        raise BadInput(f"{file}:{reader.line_num + skipped}: {error}") from None


def _jsonl(file: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(
        text.split("\n"), start=1
    ):  # splitlines() would also cut at U+2028, which JSON allows
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadInput(f"{file}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise BadInput(f"{file}:{number}: a row must be an object, found {type(row).__name__}")
        if set(row) != {"canary"}:
            yield number, row
