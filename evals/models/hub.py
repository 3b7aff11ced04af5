"""The Hugging Face hub: a checkpoint's files at one commit, the commit behind a name, and a folder sent there."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conscience.evals.errors import BadInput
from conscience.evals.models.integrity import READ
from conscience.evals.models.loading import needed

_ID = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_id(text: str) -> bool:
    """Whether a text can be the id of a hub repository: `NAME` or `OWNER/NAME`."""
    return _ID.fullmatch(text) is not None


def is_commit(text: str) -> bool:
    """Whether a text is a whole commit: 40 hex digits."""
    return _COMMIT.fullmatch(text) is not None


def download(repo: str, revision: str | None) -> Path:
    """Fetch what is read of a checkpoint (see `READ`) into the hub's own cache; offline, look there.

    Returns:
        The snapshot's folder; its name is the commit.

    Raises:
        BadInput: no such repository or revision, or no answer from the hub and nothing in its cache.
    """
    with needed():
        from huggingface_hub import snapshot_download

    with _asking(f"get {repo!r}{f' at {revision!r}' if revision else ''} from the hub"):
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=list(READ), ignore_patterns="*/*"))
    if not is_commit(folder.name):
        raise BadInput(f"the hub gave no commit of 40 digits for {repo!r}, but {folder.name!r}: give --revision")
    return folder


def commit_of(repo: str, revision: str | None) -> str | None:
    """The commit behind a revision; asks the hub, and offline the hub's cache; None: not known here.

    Raises:
        BadInput: the hub says that there is no such repository or revision.
    """
    if revision is not None and is_commit(revision):
        return revision
    with needed():
        import httpx
        from huggingface_hub import HfApi, try_to_load_from_cache
        from huggingface_hub.errors import HfHubHTTPError

    try:
        return HfApi().model_info(repo, revision=revision).sha
    except HfHubHTTPError as error:
        raise BadInput(f"the hub has no {repo!r} at {revision or 'main'!r}: {_first_line(error)}") from None
    except (OSError, httpx.HTTPError):  # offline
        cached = try_to_load_from_cache(repo, "config.json", revision=revision)
        return Path(cached).parent.name if isinstance(cached, str) else None


def check_push(repo: str) -> None:
    """Check what can be checked before a push.

    Raises:
        BadInput: no token, or not the name of a repository.
    """
    with needed():
        from huggingface_hub import get_token

    if not is_id(repo):
        raise BadInput(f"{repo!r} cannot be a hub repository: give OWNER/NAME")
    if get_token() is None:
        raise BadInput("no Hugging Face token: set HF_TOKEN, or run  hf auth login")


def push(folder: Path, repo: str) -> str:
    """Upload a folder to a model repository, which is created (private) where it does not exist.

    Returns:
        The commit's address.

    Raises:
        BadInput: no token, or the hub refuses.
    """
    check_push(repo)
    with needed():
        from huggingface_hub import HfApi

    api = HfApi()
    with _asking(f"push to {repo!r}"):
        made = api.create_repo(repo, private=True, exist_ok=True)
        done = api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message="Upload checkpoint")
        return done.commit_url


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Say in one line why the hub did not do it."""
    import httpx

    try:
        yield
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise BadInput(f"cannot {what}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split()) or type(error).__name__
