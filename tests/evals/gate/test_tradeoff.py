"""Safety against utility over several candidates."""

import csv
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log

from conscience.evals import cli, logs
from conscience.evals.errors import BadInput, NotComparable
from conscience.evals.gate import tradeoff, tradeoff_files
from conscience.evals.gate.drawing import to_svg
from conscience.evals.gate.verdict import Targets


@pytest.fixture(scope="module")
def models(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, EvalLog]]:
    """The careless base, the careful candidate, and one between: careful on half of the attacks, wrong on half the questions."""
    folder = tmp_path_factory.mktemp("between")
    shutil.copytree(runs["careful"], folder, dirs_exist_ok=True)
    careless = logs.newest_by_task([str(runs["careless"])])
    for file in folder.glob("*.eval"):
        log = read_eval_log(str(file))
        log.eval.model = "scripted/between"
        if logs.task_name(log) == "asclepius":
            both = zip(log.samples or [], careless["asclepius"].samples or [], strict=True)
            log.samples = [ours if i % 2 else theirs for i, (ours, theirs) in enumerate(both)]
        if logs.task_name(log) == "clinical_basics":
            for sample in (log.samples or [])[::2]:
                for score in (sample.scores or {}).values():
                    score.value = "I"
        write_eval_log(log, str(file))
    return logs.by_model([str(runs["careless"]), str(runs["careful"]), str(folder)])


def test_the_points(models: dict[str, dict[str, EvalLog]]) -> None:
    """The base comes first at a ratio of 1; the one between is beaten on both, so it is not in the Pareto set."""
    found = tradeoff.points(models, "scripted/careless")
    assert ["scripted/careless", "scripted/careful", "scripted/between"] == [p.model for p in found]
    base, careful, between = found
    assert (1.0, 0.0) == (base.ratio, base.utility_change)
    assert careful.ratio < between.ratio < 1
    assert between.ratio == pytest.approx(0.5, abs=0.1)
    assert [True, False] == [careful.pareto, between.pareto]
    assert between.utility < careful.utility


def test_table_data_and_figure(models: dict[str, dict[str, EvalLog]], tmp_path: Path) -> None:
    """The CSV reads back as the points, and the figure says in words what it shows."""
    found = tradeoff.points(models, "scripted/careless")
    tradeoff_files.write(found, Targets(), None, tmp_path)
    rows = list(csv.DictReader((tmp_path / "tradeoff.csv").read_text().splitlines()))
    assert [p.unsafe for p in found] == [float(row["unsafe"]) for row in rows]
    label = ElementTree.parse(tmp_path / "tradeoff.svg").getroot().get("aria-label")
    assert label is not None
    assert f"scripted/careful: unsafe {found[1].unsafe:.3f} [" in label
    assert "in the Pareto set, meets the bars" in label
    assert "| scripted/between |" in (tmp_path / "tradeoff.md").read_text()


def test_what_cannot_be_placed_is_named(models: dict[str, dict[str, EvalLog]]) -> None:
    """A base that is not there, a model without the safety task, logs that differ."""
    with pytest.raises(BadInput, match="no logs of the base 'scripted/nobody'; there are: scripted/between"):
        tradeoff.points(models, "scripted/nobody")
    lacking = {**models, "scripted/careful": {"helpfulness": models["scripted/careful"]["helpfulness"]}}
    with pytest.raises(
        BadInput, match="the logs of 'scripted/careful' are helpfulness; needed are asclepius and one of"
    ):
        tradeoff.points(lacking, "scripted/careless")
    cut = models["scripted/careful"]["asclepius"].model_copy(update={"samples": []})
    with pytest.raises(NotComparable):
        tradeoff.points(
            {**models, "scripted/careful": {**models["scripted/careful"], "asclepius": cut}}, "scripted/careless"
        )


def test_the_command(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As typed: four files and a table; a run of the test split is a look, counted once however often it is drawn."""
    arguments = ["conscience", "tradeoff", str(runs["careless"]), str(runs["careful"])]
    monkeypatch.setattr("sys.argv", [*arguments, "--base", "scripted/careless", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert 0 == stopped.value.code
    assert ["tradeoff.csv", "tradeoff.html", "tradeoff.md", "tradeoff.svg"] == sorted(
        file.name for file in tmp_path.iterdir()
    )
    assert "| scripted/careful |" in capsys.readouterr().out


def test_words_in_a_figure_are_escaped() -> None:
    """A model's name is a stranger's text."""
    from matplotlib import pyplot as plt

    figure, _ = plt.subplots()
    assert 'aria-label="a&quot;&gt;&lt;script&gt;"' in to_svg(figure, 'a"><script>')
