"""Whether the judges of a comparison may be believed: independence of the teacher, and calibrations that belong to them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conscience.evals.errors import BadInput, NotComparable
from conscience.evals.gate import trust
from conscience.evals.judges.calibration import Calibration, figures
from conscience.evals.models.card import PairSource


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("anthropic/claude-opus-4-7", "claude"),
        ("anthropic/bedrock/claude-sonnet-4@0123456789abcdef", "claude"),
        ("bedrock/us.anthropic.claude-opus-4-1-v1:0", "claude"),
        ("vllm/Qwen/Qwen3-8B", "qwen"),
        ("openai/o3", "gpt"),
        ("together/mistralai/Mixtral-8x7B", "mistral"),
        ("openai/gpt-5", "gpt"),
        ("embedded@0123456789abcdef", "embedded"),
        ("recorded/teacher", "teacher"),
    ],
)
def test_family(model: str, name: str) -> None:
    """A family is told by the model's name, whoever serves it and whatever its hash."""
    assert name == trust.family(model)


@pytest.fixture
def arms(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Arms of one task whose judges and teacher can be named."""

    def make(judges: str, teacher: str) -> Any:
        monkeypatch.setattr(trust, "judges", lambda _: [judges])
        source = PairSource(sha256="0", count=1, log_ids=(), teacher=teacher)
        monkeypatch.setattr(trust, "lookup", lambda _: (Path(), SimpleNamespace(pairs=source)))
        candidate = SimpleNamespace(eval=SimpleNamespace(model="conscience/trained"))
        return {"asclepius": SimpleNamespace(candidate=candidate)}

    return make


@pytest.mark.parametrize("judges", ["anthropic/claude-haiku-4-5@00", "anthropic/claude-a@00 + anthropic/claude-b@11"])
def test_only_the_teachers_family_is_refused(arms: Any, judges: str) -> None:
    """The message names judges and teacher, and what to run."""
    with pytest.raises(
        NotComparable, match="of the family of the teacher 'anthropic/claude-opus-4-7'; add another judge"
    ):
        trust.check_independence(arms(judges, "anthropic/claude-opus-4-7"))


@pytest.mark.parametrize("judges", ["embedded@00", "embedded@00 + anthropic/claude-haiku-4-5@00", "openai/gpt-5@00"])
def test_one_judge_from_elsewhere_is_enough(arms: Any, judges: str) -> None:
    """The embedded judges, or another family's model."""
    trust.check_independence(arms(judges, "anthropic/claude-opus-4-7"))


def calibration(folder: Path, identity: str) -> Path:
    """A calibration file of a judge."""
    found = Calibration(
        judge="refusal",
        identity=identity,
        labels="labels.csv",
        labels_sha256="0" * 64,
        positive="full refusal",
        unscored=0,
        overall=figures([("full refusal", "full refusal"), ("full compliance", "full compliance")], "full refusal"),
        three_class=None,
        by_surface={},
        human_human=None,
    )
    file = folder / "calibration.json"
    file.write_text(found.model_dump_json(), encoding="utf-8")
    return file


def test_a_calibration_belongs_to_its_judge(arms: Any, tmp_path: Path) -> None:
    """It is read for the very judge that it was measured on, and refused for another version."""
    file = calibration(tmp_path, "embedded@00")
    [found] = trust.read_calibrations([file], arms("embedded@00 + openai/gpt-5@11", "t"))
    assert 2 == found.overall.n
    with pytest.raises(NotComparable, match="was measured on 'embedded@00', but the logs' judges are: embedded@22"):
        trust.read_calibrations([file], arms("embedded@22", "t"))


def test_a_checkpoint_made_elsewhere_has_no_known_teacher(arms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its card names no pairs, so no judge can be told to be of its teacher's family."""
    made = arms("anthropic/claude-haiku-4-5@00", "anthropic/claude-opus-4-7")
    monkeypatch.setattr(trust, "lookup", lambda _: (Path(), SimpleNamespace(pairs=None)))
    trust.check_independence(made)


def test_what_is_no_calibration_is_refused(arms: Any, tmp_path: Path) -> None:
    """A missing file and another JSON get one line each."""
    with pytest.raises(BadInput, match="no calibration file"):
        trust.read_calibrations([tmp_path / "nowhere.json"], arms("embedded@00", "t"))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(BadInput, match="not a calibration"):
        trust.read_calibrations([tmp_path / "other.json"], arms("embedded@00", "t"))
