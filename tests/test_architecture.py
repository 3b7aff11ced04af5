"""The shape of the repository: who may import whom, what stays light, and what the wheel holds."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("constitution", "evals", "tasks", "training")
MAY_IMPORT = {
    "constitution": ("constitution",),
    "evals": ("constitution", "evals"),
    "tasks": ("constitution", "evals", "tasks"),
    "training": (
        "constitution",
        "training",
        "evals.logs",
        "evals.models",
        "evals.errors",
        "evals.files",
        "evals.asclepius",
    ),
}
SHIPPED = {".py", ".md", ".yaml", ".json", ".jsonl", ".html", ".typed"}


def own_imports(source: str) -> set[str]:
    """Dotted names below `conscience` that a module imports, at any depth; `from a import b` counts as `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("conscience.") for name in names if name.startswith("conscience")}


def allowed(room: str, name: str) -> bool:
    """Whether a module of the room may import that name."""
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in MAY_IMPORT[room])


def modules(room: str) -> list[Path]:
    """The Python files of a room."""
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_a_higher_floor(room: str) -> None:
    """A lower floor never imports a higher one, inside functions neither; only tasks import tasks."""
    found = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in modules(room)
        for name in sorted(own_imports(file.read_text(encoding="utf-8")))
        if not allowed(room, name)
    ]
    assert [] == found


def test_own_imports_sees_every_form() -> None:
    """The reader of imports misses no form, so that the test above can fail."""
    source = (
        "import conscience.tasks\n"
        "from conscience import training\n"
        "def f():\n    from conscience.evals.gate import report\n"
        "import json\n"
    )
    assert {"tasks", "training", "evals.gate.report"} == own_imports(source)
    assert [False, False, True] == [allowed("training", n) for n in ("tasks", "evals.gate.report", "evals.models.card")]


def test_the_ground_floor_knows_no_inspect() -> None:
    """The constitution can be read where Inspect is not installed."""
    found = [file.name for file in modules("constitution") if "inspect_ai" in file.read_text(encoding="utf-8")]
    assert [] == found


def test_evaluation_imports_no_training_stack() -> None:
    """Every module of evals and tasks imports without torch, trl, peft, transformers or our training room.

    But for the local model itself, which is imported when one is asked for.
    """
    names = [
        "conscience." + ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in ("evals", "tasks")
        for file in modules(room)
        if file.parent != ROOT / "evals" / "models" or file.name not in ("adapters.py", "engine.py", "keyvalues.py")
    ]
    assert "conscience.evals.models.local" in names
    script = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "heavy = {'torch', 'trl', 'peft', 'transformers', 'conscience.training'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "[]" == done.stdout.strip(), done.stderr


@pytest.mark.parametrize("file", modules("tasks"), ids=lambda file: file.name)
def test_task_files_stay_thin(file: Path) -> None:
    """A task file assembles: no more than 100 lines."""
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= 100, f"{lines} lines: move logic below"


def test_wheel_holds_the_rooms_and_nothing_else(tmp_path: Path) -> None:
    """The wheel holds every file of the four rooms under `conscience/`, its own metadata, and nothing else."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    shipped = {
        f"conscience/{file.relative_to(ROOT).as_posix()}"
        for room in ROOMS
        for file in (ROOT / room).rglob("*")
        if file.suffix in SHIPPED
    }
    assert len(shipped) > 100
    assert set() == shipped - packed
    assert [] == [name for name in packed if not name.startswith(tuple(f"conscience/{room}/" for room in ROOMS))]
