"""Gate and report over two models with 10,000 samples each, full messages: seconds and memory of the command as typed.

    .venv/bin/python benchmarks/gate.py

The logs are made first (not timed): the shipped scenarios, controls, probes and questions over and over, each sample with its
conversation and the ruling of two judges. No peer: nothing else compares two models on the same items. The bar is 20 s and 2 GB.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, write_eval_log
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput
from inspect_ai.scorer import Score

from conscience.constitution import load
from conscience.evals.asclepius import SURFACES, load_scenarios
from conscience.evals.judges.judgment import Judgment, ResponseLabel, rule

SIZES = {"asclepius": 7_000, "helpfulness": 2_000, "principles": 760, "clinical_basics": 240}
BAR_SECONDS, BAR_GB = 20, 2
ANSWER = "Please do not do this. It can be dangerous, and a pharmacist can tell you what is safe for you today. " * 8


def items(task: str) -> Iterator[dict[str, Any]]:
    """Metadata of the items of a task, over and over, each copy a cluster of its own."""
    constitution = load()
    sources: dict[str, list[dict[str, Any]]] = {
        "asclepius": [s.model_dump(mode="json") for s in load_scenarios(SURFACES, "test")],
        "helpfulness": [s.model_dump(mode="json") for s in load_scenarios(["helpfulness"], "test")],
        "principles": [
            {**q.model_dump(mode="json"), "principle": p.id} for p in constitution.principles for q in p.probes
        ],
        "clinical_basics": [
            {"id": f"q{i}", "stratum": "all", "turns": [{"role": "user", "content": "?"}]} for i in range(60)
        ],
    }
    for number, item in enumerate(islice(cycle(sources[task]), SIZES[task])):
        yield {**item, "id": f"{item['id']}-{number}", "cluster": f"c{number}", "twin_of": None, "twin": None}


def sample(task: str, item: dict[str, Any], bad: bool) -> EvalSample:
    """One judged sample."""
    judgments = tuple(
        Judgment(judge=name, commission=4 * bad, omission=0, failed=(), reason="Because.") for name in ("a", "b")
    )
    ruling = rule(judgments, ResponseLabel.FULL_COMPLIANCE)
    metadata = {"judge": "embedded@0000", "ruling": ruling.model_dump(mode="json")}
    value: Any = {
        "asclepius": (
            "harm",
            {"unsafe": int(bad), "commission": 4 * bad, "omission": 0, "worst": int(bad), "disagree": 0},
        ),
        "helpfulness": ("refusal_of_safe_control", {"refused": int(bad), "partly_refused": 0, "useful": int(not bad)}),
        "principles": ("probe_passed", int(not bad)),
        "clinical_basics": ("likeliest_option", "I" if bad else "C"),
    }[task]
    messages = []
    for turn in item["turns"]:
        messages += [ChatMessageUser(content=turn["content"]), ChatMessageAssistant(content=ANSWER)]
    return EvalSample(
        id=item["id"],
        epoch=1,
        input=item["turns"][0]["content"],
        target="",
        messages=messages,
        output=ModelOutput.from_content("m", f"{ANSWER}{item['id']}"),
        metadata=item,
        scores={value[0]: Score(value=value[1], explanation=ruling.explanation, metadata=metadata)},
    )


def make(folder: Path, model: str, rates: dict[str, float]) -> None:
    """Write one model's logs."""
    for task, rate in rates.items():
        random = np.random.default_rng(len(task))
        samples = [sample(task, item, bool(random.random() < rate)) for item in items(task)]
        spec = EvalSpec(
            created="2026-01-01T00:00:00+00:00",
            task=f"conscience/{task}",
            dataset=EvalDataset(samples=len(samples)),
            model=model,
            config=EvalConfig(),
            metadata={"constitution": load().name, "constitution_hash": load().hash},
        )
        write_eval_log(EvalLog(status="success", eval=spec, samples=samples), str(folder / f"2026_{task}_{model}.eval"))


def main() -> None:
    """Make the logs, run the gate, print seconds and memory."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for model, shift in (("base", 0.0), ("candidate", 0.2)):
            folders[model] = Path(scratch, model)
            folders[model].mkdir()
            rates = {"asclepius": 0.3 - shift, "helpfulness": 0.02, "principles": 0.05, "clinical_basics": 0.4}
            make(folders[model], model, rates)
        command = [
            "gate",
            "--base",
            folders["base"],
            "--candidate",
            folders["candidate"],
            "--out",
            Path(scratch, "out"),
        ]
        started = time.perf_counter()
        done = subprocess.run(
            [Path(sys.executable).parent / "conscience", *command], capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - started
        assert done.returncode in (0, 1, 2), done.stderr
        size = Path(scratch, "out", "report.html").stat().st_size / 1e6
    print(done.stdout.split("note:")[0])
    gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(
        f"{sum(SIZES.values()):,} samples a model: {seconds:.1f} s (bar {BAR_SECONDS}), {gigabytes:.2f} GB (bar {BAR_GB}), "
        f"report.html {size:.1f} MB"
    )
    print(f"RESULT gate ours={seconds:.1f} peer={BAR_SECONDS} ratio={BAR_SECONDS / seconds:.2f}")


if __name__ == "__main__":
    main()
