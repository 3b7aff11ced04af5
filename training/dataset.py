"""Rows as a dataset on disk that all processes of a run, and the run after a kill, share.

TRL keeps the reference's log-probabilities beside the dataset. One in memory has a temporary folder of its own in each
process: all but the first would look for them in vain.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conscience.training import processes


def on_disk(columns: Sequence[dict[str, Any]], arguments: dict[str, Any], part: str) -> Any:
    """Write the rows once, in one step, and read them.

    Args:
        columns: the rows.
        arguments: the trainer's; the dataset lies beside its `output_dir`.
        part: `train` or `validation`.

    Returns:
        A `datasets.Dataset`, or None without rows.
    """
    from datasets import Dataset, load_from_disk

    if not columns:
        return None
    output = Path(arguments["output_dir"])
    folder = output.with_name(f"{output.name}.{part}")
    if processes.is_first() and not folder.is_dir():
        temporary = folder.with_name(f".{folder.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        Dataset.from_list(list(columns)).save_to_disk(temporary)
        temporary.rename(folder)
    processes.wait()
    return load_from_disk(folder)
