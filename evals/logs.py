"""The only reader of logs: finds them, refuses what cannot be relied on, and hands over Inspect's own objects.

`inspect eval` exits 0 on an errored log: what is read here is `log.status`.
"""

import gc
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

from inspect_ai.log import EvalLog, EvalSample, list_eval_logs, read_eval_log, write_eval_log
from pydantic_core import from_json

from conscience.evals.errors import BadInput


def task_name(log: EvalLog) -> str:
    """The task's name without its package: a task logs as `conscience/foo` by package and as `foo` by path."""
    return log.eval.task.rsplit("/", 1)[-1]


def find_logs(places: Iterable[str]) -> list[str]:
    """Log files named, or lying in folders named; the newest last.

    Raises:
        BadInput: a place does not exist, or holds no log.
    """
    found: list[str] = []
    for place in places:
        path = Path(place)
        if path.is_dir():
            infos = list_eval_logs(str(path), descending=False)
            if not infos:
                raise BadInput(f"no log in {place!r}")
            found += [info.name for info in infos]
        elif path.is_file():
            found.append(str(path))
        else:
            raise BadInput(f"no log file or folder {place!r}")
    return found


def read(file: str, *, header_only: bool = False) -> EvalLog:
    """Read one log that has finished.

    Raises:
        BadInput: the file is missing, truncated or not a log, or the evaluation did not finish (names the status).
    """
    with _naming(file):
        log = read_eval_log(file, header_only=header_only)
    if log.status != "success":
        reason = f": {log.error.message}" if log.error else ""
        raise BadInput(f"log {file!r} has status {log.status!r}, not 'success'{reason}")
    return log


def read_answers(file: str) -> EvalLog:
    """Read one log that has finished, its samples without what only a viewer shows: events, attachments and store.

    They are two thirds of a log. Inspect's own `exclude_fields` leaves them out too, but parses piece by piece, which takes
    longer than to read everything. A log in Inspect's JSON format is read whole. Only `rewrite_header` may write such a log back.

    Raises:
        BadInput: see `read`.
    """
    if not file.endswith(".eval"):
        return read(file)
    log = read(file, header_only=True)
    with _naming(file), collector_paused(), ZipFile(path_of(log)) as members:  # Inspect taught zipfile Zstandard
        # A sample that was logged again lies there twice under one name, which stands for the last.
        names = [n for n in dict.fromkeys(members.namelist()) if n.startswith("samples/") and n.endswith(".json")]
        samples = [EvalSample.model_validate(_answer(from_json(members.read(name)))) for name in names]
    log.samples = sorted(samples, key=lambda s: (s.epoch, s.id if isinstance(s.id, str) else f"{s.id:020}"))
    return log


_ONLY_SHOWN = frozenset({"events", "events_data", "timelines", "attachments", "store"})


def _answer(sample: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in sample.items() if name not in _ONLY_SHOWN}


@contextmanager
def _naming(file: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a truncated zip, broken JSON and a wrong schema each raise their own type
        raise BadInput(f"cannot read log {file!r}: {type(error).__name__}: {' '.join(str(error).split())}") from None


@contextmanager
def collector_paused() -> Iterator[None]:
    """Millions of objects are made that all stay: looking for cycles among them takes as long as making them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def newest_by_task(places: Iterable[str]) -> dict[str, EvalLog]:
    """Read the newest finished log of each task in some places, as `read_answers` does.

    Raises:
        BadInput: see `find_logs` and `read`; or the places hold logs of several models.
    """
    found = by_model(places)
    if len(found) > 1:
        raise BadInput(f"logs of several models in {list(places)!r}: {', '.join(sorted(found))}; name one model's logs")
    return next(iter(found.values()))


def by_model(places: Iterable[str]) -> dict[str, dict[str, EvalLog]]:
    """The same for several models: by model, the newest finished log of each task.

    Raises:
        BadInput: see `find_logs` and `read`.
    """
    newest: dict[str, dict[str, tuple[str, str]]] = {}
    for file in find_logs(places):
        header = read(file, header_only=True)
        of_model = newest.setdefault(header.eval.model, {})
        created, _ = of_model.get(task_name(header), ("", ""))
        if header.eval.created >= created:
            of_model[task_name(header)] = (header.eval.created, file)
    return {
        model: {task: read_answers(file) for task, (_, file) in sorted(tasks.items())}
        for model, tasks in sorted(newest.items())
    }


def path_of(log: EvalLog) -> Path:
    """Where a log lies."""
    return Path(log.location.removeprefix("file://"))


def rewrite_header(log: EvalLog) -> None:
    """Write the header of a log that was edited back to its place, in one step; samples on disk stay as they are.

    Raises:
        BadInput: its folder cannot be written to.
    """
    file = path_of(log)
    temporary = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        shutil.copy(file, temporary)
        write_eval_log(log, str(temporary), header_only=True)
        temporary.replace(file)
    except OSError as error:
        raise BadInput(f"cannot write {str(file)!r}: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
