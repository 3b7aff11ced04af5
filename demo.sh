#!/usr/bin/env bash
# The whole loop, as a user would type it: each step is a command of its own, and each continues where it was killed.
# Logs and the report go to logs/demo, models to $CONSCIENCE_HOME (default ~/.cache/conscience).
set -euo pipefail
cd "$(dirname "$0")"
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error INSPECT_DISPLAY=${INSPECT_DISPLAY:-plain} PYTHONWARNINGS=ignore::FutureWarning
logs=logs/demo
base=conscience/smollm2-135m
# A quick subset and short answers: the demo has minutes. Without the two flags it is the whole test split.
suite="conscience/asclepius conscience/helpfulness conscience/principles conscience/clinical_basics -T quick=true --max-tokens 80"
started=$SECONDS
step() { printf '\n[%3d s] %s\n' $((SECONDS - started)) "$1"; }

step "1/5 generation: the base answers the training prompts, the recorded teacher critiques and revises"
inspect eval-set conscience/critique_revise -T quick=true --model $base --max-tokens 64 --log-dir $logs/generation

step "2/5 pairs: revision over sample"
conscience pairs build $logs/generation --out $logs/pairs

step "3/5 training: LoRA, warm start on the revisions, then DPO"
conscience train training/recipes/demo-dpo.yaml --pairs $logs/pairs

step "4/5 evaluation: base, then candidate, on the same samples"
inspect eval-set $suite --model $base --log-dir $logs/base
candidate=$logs/$(basename "$(conscience models path demo-dpo)") # another training run gets logs of its own
inspect eval-set $suite --model conscience/demo-dpo --log-dir "$candidate"

step "5/5 gate"
status=0
conscience gate --base $logs/base --candidate "$candidate" --out $logs/report || status=$?
step "done; read single answers with: inspect view --log-dir $logs"
# A small model may honestly fail: the demo only fails when the gate could not judge.
test $status -le 2
