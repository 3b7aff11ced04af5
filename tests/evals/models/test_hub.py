"""The hub, played by a server on this machine: fetched at one commit, pinned by it, pushed to with a token only."""

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conscience.evals.errors import BadInput
from conscience.evals.models import external, hub

COMMIT = "c" * 40
PUSHED = f"https://huggingface.co/someone/made/commit/{COMMIT}"


class Hub(ThreadingHTTPServer):
    """Answers for the folders of `someone`, each at one commit; keeps what is committed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.fetched: list[str] = []
        self.committed: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    """The few addresses of the hub that a download and a commit of small files ask for."""

    server: Hub

    def do_GET(self) -> None:
        """Answer what the repository holds, or one of its files."""
        path = self.path.partition("?")[0]
        repository = path.removeprefix("/api/models").split("/")[2]
        folder = self.server.folder / repository
        if not folder.is_dir():
            self.answer({"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}, status=404)
        elif "/tree/" in path:
            self.answer(
                [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in folder.iterdir()]
            )
        elif path.startswith("/api/models/"):
            files = [{"rfilename": file.name} for file in folder.iterdir()]
            self.answer({"id": f"someone/{repository}", "sha": COMMIT, "siblings": files})
        else:
            name = path.rsplit("/", 1)[1]
            self.server.fetched.append(name)
            self.answer((folder / name).read_bytes(), {"X-Repo-Commit": COMMIT, "ETag": f'"{repository}-{name}"'})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Create a repository; take a commit."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            place = f"http://127.0.0.1:{self.server.server_port}"
            self.answer({"url": f"{place}/someone/made", "name": "someone/made", "id": "someone/made"})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]
            self.answer({"files": modes})
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            files = [line["value"] for line in lines if line["key"] == "file"]
            self.server.committed |= {f["path"]: base64.b64decode(f["content"]) for f in files}
            self.answer({"commitUrl": PUSHED, "commitOid": COMMIT})
        else:
            self.answer({"valid": True})

    def answer(self, content: Any, headers: dict[str, str] | None = None, status: int = 200) -> None:
        """Send JSON, or bytes as they are."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def served(tiny: Path, tmp_path: Path) -> Iterator[Hub]:
    """The hub with `someone/tiny`, which has a pickle and a script among its files."""
    shutil.copytree(tiny, tmp_path / "served" / "tiny")
    for name in ("pytorch_model.bin", "modeling_mine.py"):
        (tmp_path / "served" / "tiny" / name).write_bytes(b"never fetched")
    server = Hub(tmp_path / "served")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def conscience(server: Hub | None, home: Path, *arguments: str, token: str | None = None) -> tuple[int, str]:
    """Run the command line with this hub, or with none; its exit status and all that it printed.

    In a process of its own: huggingface_hub reads the hub's address when it is imported.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    hub = {"HF_HUB_OFFLINE": "1"} if server is None else {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    token_given = {} if token is None else {"HF_TOKEN": token}
    environment = kept | hub | token_given | {"CONSCIENCE_HOME": str(home), "HF_HOME": str(home / "hf")}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    script = "from conscience.evals.cli import main; main()"
    command = [sys.executable, "-c", script, "models", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_a_hub_id_is_pinned_by_its_commit(served: Hub, home: Path) -> None:
    """Safetensors and settings are fetched, pickles and code are not; offline it is still there, under the same commit."""
    status, said = conscience(served, home, "register", "someone/tiny", "--name", "tiny")
    assert (0, f"registered conscience/tiny at commit {COMMIT}\n") == (status, said)
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(served.fetched)
    assert set() == set(served.fetched) & {"pytorch_model.bin", "modeling_mine.py"}
    status, said = conscience(None, home, "show", "tiny", "--json")
    card = json.loads(said)
    assert ("external", "full", "someone/tiny", COMMIT) == tuple(
        card[field] for field in ("method", "weights", "source", "revision")
    )
    again = conscience(None, home, "register", "someone/tiny", "--revision", COMMIT, "--name", "again")
    assert (0, f"registered conscience/again at commit {COMMIT}\n") == again


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_an_adapter_on_the_hub_is_pinned_with_its_base(served: Hub, tiny: Path, adapter: Any, home: Path) -> None:
    """Both commits are on the card: the adapter's, and that of the base which its configuration names."""
    folder = shutil.copytree(adapter(tiny), served.folder / "lora")
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "someone/tiny"
    (folder / "adapter_config.json").write_text(json.dumps(config))
    status, said = conscience(served, home, "register", "someone/lora", "--name", "lora")
    assert (0, f"registered conscience/lora at commit {COMMIT}\n") == (status, said)
    card = json.loads(conscience(None, home, "show", "lora", "--json")[1])
    assert ("adapter", "someone/lora", COMMIT, "someone/tiny", COMMIT, [external.NOTE]) == tuple(
        card[field] for field in ("weights", "source", "revision", "base", "base_revision", "notes")
    )
    out = folder.parent / "merged"
    conscience(served, home, "register", "someone/tiny", "--name", "tiny")  # its base comes into the cache
    status, said = conscience(None, home, "export", "lora", "--merged", "--out", str(out))
    assert (0, True) == (status, f"wrote {out}\n" in said)
    assert {"model.safetensors", "tokenizer.json", "README.md", "checkpoint.json"} <= {f.name for f in out.iterdir()}


def test_offline_an_unknown_hub_id_is_one_line(home: Path) -> None:
    """Without network and without a copy in the hub's cache there is nothing to pin, and the message says so."""
    status, said = conscience(None, home, "register", "someone/tiny", "--name", "tiny")
    assert (3, True, 1) == (
        status,
        said.startswith("conscience: cannot get 'someone/tiny' from the hub"),
        said.count("\n"),
    )


def test_what_the_hub_does_not_have_is_one_line(served: Hub, home: Path) -> None:
    """A wrong id is told from a lost network."""
    status, said = conscience(served, home, "register", "someone/other", "--name", "tiny")
    assert (3, True) == (status, "404" in said), said


def test_a_push_commits_every_file(served: Hub, tiny: Path, home: Path, tmp_path: Path) -> None:
    """With a token: the repository is created private, and holds exactly what was exported."""
    conscience(None, home, "register", str(tiny), "--name", "tiny")
    out = tmp_path / "out"
    arguments = ("export", "tiny", "--out", str(out), "--push-to", "someone/made")
    status, said = conscience(served, home, *arguments, token="hf_none")
    assert (0, f"wrote {out}\npushed to {PUSHED}\n") == (status, said)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == served.committed
    assert ["private"] == [made["visibility"] for made in served.created]


def test_without_a_token_nothing_is_written(tiny: Path, home: Path, tmp_path: Path) -> None:
    """The missing token is noticed before minutes are spent on merging."""
    conscience(None, home, "register", str(tiny), "--name", "tiny")
    out = tmp_path / "out"
    said = conscience(None, home, "export", "tiny", "--out", str(out), "--push-to", "someone/made")
    assert (3, "conscience: no Hugging Face token: set HF_TOKEN, or run  hf auth login\n") == said
    assert not out.exists()


def test_a_commit_needs_no_hub() -> None:
    """A whole commit pins itself; an id with a path in it is none."""
    assert COMMIT == hub.commit_of("someone/tiny", COMMIT)
    assert [True, True, False, False, False] == [
        hub.is_id(text) for text in ("gpt2", "Qwen/Qwen3-8B", "a/b/c", "../gpt2", "conscience/x@1")
    ]


def test_neither_folder_nor_hub_id_is_one_line(tmp_path: Path) -> None:
    """A mistyped path is not looked for on the hub."""
    with pytest.raises(BadInput, match="no checkpoint folder"):
        external.register(str(tmp_path / "nowhere"), "tried")
