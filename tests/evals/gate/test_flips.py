"""Samples that changed, and the way to each in Inspect's viewer."""

from conscience.evals.gate.flips import viewers


def test_one_viewer_for_a_models_folder() -> None:
    """Logs of one folder share a viewer, and a sample's address is the viewer's own form, its id escaped."""
    first, second = viewers(["../base/1_asclepius.eval", "../base/2_helpfulness.eval"], "base")
    assert "inspect view --log-dir ../base --port 7575" == first.command == second.command
    assert "inspect log dump ../base/1_asclepius.eval" == first.dump
    assert "http://127.0.0.1:7575/#/logs/1_asclepius.eval/samples/sample/a%2Fb%20c/1" == first.sample("a/b c")


def test_logs_of_several_folders_and_of_the_reports_own() -> None:
    """The viewer starts on the folder above them; a name with a space is quoted for the shell and the address."""
    first, _ = viewers(["../my runs/a/1.eval", "../my runs/b/2.eval"], "candidate")
    assert "inspect view --log-dir '../my runs' --port 7576" == first.command
    assert "http://127.0.0.1:7576/#/logs/a/1.eval" == first.address
    [here] = viewers(["1.eval"], "base")
    assert "inspect view --log-dir . --port 7575" == here.command
