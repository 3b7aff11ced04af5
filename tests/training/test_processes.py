"""How many processes train, and who of them speaks."""

import pytest

from conscience.evals.errors import BadInput
from conscience.training import processes


@pytest.mark.parametrize(("rank", "said"), [("0", "hello\n"), ("1", "")])
def test_the_first_one_speaks(
    rank: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others would say the same."""
    monkeypatch.setenv("RANK", rank)
    processes.say("hello")
    assert said == capsys.readouterr().out


def test_a_launcher_that_started_too_few_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both numbers are named; without an expectation any will do."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes.check(None)
    processes.check(1)
    with pytest.raises(BadInput, match="expected 2 processes, found 1"):
        processes.check(2)
