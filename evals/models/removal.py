"""Taking a name back, and with it, if asked, the files of a checkpoint that was trained here."""

import shutil
from pathlib import Path

from conscience.evals.errors import BadInput
from conscience.evals.models import embedded
from conscience.evals.models.card import registered, registry_folder


def remove(name: str, files: bool = False) -> Path:
    """Remove a registered name.

    Args:
        name: the name.
        files: whether to delete the checkpoint's folder too; only one in the folder of checkpoints trained here.

    Returns:
        The folder that the name pointed to.

    Raises:
        BadInput: not registered; or its files are not ours to delete, or another name needs them: then nothing happens.
    """
    names = registered()
    if name not in names:
        raise BadInput(f"no registered name {name!r} to remove; there are: {', '.join(names) or 'none'}")
    folder = names[name]
    if files:
        ours = (embedded.cache_folder() / "checkpoints").resolve()
        if folder.resolve().parent != ours:
            raise BadInput(
                f"{str(folder)!r} was not trained here ({str(ours)!r}): leave --files out, and only the name goes"
            )
        if others := [other for other, place in names.items() if other != name and place.resolve() == folder.resolve()]:
            raise BadInput(
                f"{str(folder)!r} is also conscience/{others[0]}: leave --files out, or remove that name first"
            )
    (registry_folder() / f"{name}.json").unlink()
    if files and folder.is_dir():
        doomed = folder.rename(folder.with_name(f".removed-{folder.name}"))  # a half-deleted folder has no valid name
        shutil.rmtree(doomed)
    return folder
