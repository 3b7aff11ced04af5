"""The embedded model in lm-eval."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TASK = """
task: capitals
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{options}}}}"
doc_to_target: 0
target_delimiter: ""
"""


@pytest.mark.model
def test_lm_eval_runs_a_local_task(materialised: Path, tmp_path: Path) -> None:
    """`conscience lm-eval --model conscience` scores a task of one question, and the likelier answer is the right one."""
    pytest.importorskip("lm_eval", reason="needs the extra `lm-eval`")
    options = ["The capital of France is Paris.", "The capital of France is Lyon."]
    row = {"question": "What is the capital of France?", "options": options}
    (tmp_path / "capitals.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "capitals.yaml").write_text(TASK.format(file=tmp_path / "capitals.jsonl"))
    model = ["--model", "conscience", "--model_args", "name=smollm2-135m,dtype=float32", "--device", "cpu"]
    task = ["--tasks", "capitals", "--include_path", str(tmp_path), "--output_path", str(tmp_path / "out")]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "conscience"), "lm-eval", "run", *model, *task, "--apply_chat_template"],
        env=os.environ | {"CONSCIENCE_HOME": str(materialised), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr[-2000:]
    [results] = (tmp_path / "out").rglob("results*.json")
    assert 1.0 == json.loads(results.read_text())["results"]["capitals"]["acc,none"]
