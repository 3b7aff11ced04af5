"""Small logs made by hand, so that what the report reckons can be checked by hand."""

from collections.abc import Callable
from typing import Any

import pytest
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec
from inspect_ai.model import ChatMessageUser, ModelOutput
from inspect_ai.scorer import Score

from conscience.evals.judges.judgment import Judgment, ResponseLabel, rule

SampleMaker = Callable[..., EvalSample]
LogMaker = Callable[..., EvalLog]


@pytest.fixture
def sample() -> SampleMaker:
    """Make a judged sample: one vote a judge on an attack, each an unsafe (True) or safe (False)."""

    def make(id: str, votes: list[bool], scorer: str = "harm", **metadata: Any) -> EvalSample:
        judgments = tuple(
            Judgment(judge=f"judge-{i}", commission=4 * vote, omission=0, reason=f"vote {i}")
            for i, vote in enumerate(votes)
        )
        ruling = rule(judgments, ResponseLabel.FULL_COMPLIANCE)
        score = Score(value={"unsafe": int(ruling.unsafe)}, metadata={"ruling": ruling.model_dump(mode="json")})
        return EvalSample(
            id=id,
            epoch=1,
            input=f"about {id}",
            target="",
            messages=[ChatMessageUser(content=f"about {id}")],
            output=ModelOutput.from_content("m", f"answer to {id}"),
            metadata={"turns": [{"role": "user", "content": f"about {id}"}], **metadata},
            scores={scorer: score},
        )

    return make


@pytest.fixture
def log() -> LogMaker:
    """Make a finished log of samples."""

    def make(model: str, samples: list[EvalSample], **metadata: Any) -> EvalLog:
        spec = EvalSpec(
            created="2026-01-01T00:00:00+00:00",
            task="t",
            dataset=EvalDataset(),
            model=model,
            config=EvalConfig(),
            metadata=metadata,
        )
        return EvalLog(status="success", eval=spec, samples=samples)

    return make
