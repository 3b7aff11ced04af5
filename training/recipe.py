"""A training recipe: one frozen, typed object, one YAML file a run. Unknown keys are refused.

Example, `training/recipes/demo-dpo.yaml`, shortened:

    name: demo-dpo
    method: dpo
    base: conscience/smollm2-135m
    learning_rate: 2.0e-5
    warm_start: {learning_rate: 5.0e-4, epochs: 2}

    conscience train training/recipes/demo-dpo.yaml --pairs PAIRS learning_rate=5e-5 lora.r=16
"""

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from conscience.evals.errors import BadInput

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """Settings that cannot change, and refuse what they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Lora(Strict):
    """The LoRA adapter (Hu et al. 2021, arXiv 2106.09685)."""

    r: int = Field(default=32, ge=1)
    """Rank. The paper's run takes 32."""
    alpha: int = Field(default=64, ge=1)
    """Scale: the delta is multiplied by alpha / r. The paper's run takes 64."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On the adapter's input."""
    modules: list[str] | Literal["all-linear"] = "all-linear"
    """Linear modules that get an adapter, by the end of their names."""
    last_layers: int | None = Field(default=None, ge=1)
    """Adapt only so many layers, counted from the output: nothing below them is back-propagated. None adapts all."""

    @model_validator(mode="after")
    def _layers_of_named_modules(self) -> Self:
        if self.last_layers is not None and isinstance(self.modules, str):  # PEFT refuses it, later and less plainly
            raise ValueError(f"last_layers needs modules as a list of names, found {self.modules!r}")
        return self


class WarmStart(Strict):
    """Supervised fine-tuning of the same adapter on the revisions, before the preference method."""

    learning_rate: float = Field(gt=0)
    """3e-4 moves a 135M model in two epochs; 1e-5 to 1e-4 suits billions of parameters."""
    epochs: float = Field(gt=0)
    """Passes over the revisions."""


class Validation(Strict):
    """Pairs held back from training to watch it, and to stop it when it no longer helps."""

    pairs: int = Field(ge=1)
    """How many, drawn by the seed. The paper's run takes 500."""
    every: int = Field(default=50, ge=1)
    """Optimizer steps between two evaluations."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations without a lower validation loss, and keep the best; None never stops early."""


class Recipe(Strict):
    """Everything that decides a training run, but for the pairs."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """The checkpoint is registered as `conscience/NAME`."""
    method: str
    """An entry point of the group `conscience.training`."""
    parameters: dict[str, float] = {}
    """What the method knows beyond the fields here; each method says which and refuses others."""
    base: str
    """`conscience/smollm2-135m`, a hub id or a local folder."""
    revision: str | None = None
    """Commit of a base on the hub. None takes its newest."""
    chat_template_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Expected hash of the tokenizer's chat template; another is refused. None takes what there is and records it."""
    thinking: Literal[False] = False
    """Off in sampling, training and evaluation alike: a model trained on one and asked with the other is a third."""
    beta: float = Field(default=0.1, gt=0)
    """Strength of the pull towards the reference model; for SimPO, which has none, scale of the reward."""
    sft_weight: float = Field(default=0.0, ge=0)
    """Weight of a supervised term on the revisions beside the preference loss (not for KTO)."""
    learning_rate: float = Field(gt=0)
    """Peak rate. With LoRA about ten times the full fine-tuning rate; watch the margin for a run that does nothing."""
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adafactor"] = "adamw_torch_fused"
    """As transformers names it."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """Of the rate, after the warm-up."""
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the rate rises."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the pairs."""
    max_pairs: int | None = Field(default=None, ge=1)
    """Pairs in the preference stage, drawn by the seed; a warm start always sees all revisions. None takes all."""
    batch_size: int = Field(default=8, ge=1)
    """Pairs an optimizer step, over all processes."""
    micro_batch: int = Field(default=2, ge=1)
    """Pairs in memory of one process at once; divides the batch size."""
    max_length: int = Field(default=512, ge=16)
    """Prompt and answer together, in tokens; longer ones lose their end."""
    max_truncated: float = Field(default=0.01, ge=0, le=1)
    """Share of pairs that may lose their end; more are refused, since a cut answer teaches nothing about its end."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the products; residuals and the adapter are float32 in either case."""
    activation_checkpointing: bool = False
    """Trade a second forward pass for memory; needed where activations do not fit."""
    seed: int = 17
    """Of order, initialisation and dropout."""
    save_steps: int = Field(default=10, ge=1)
    """Steps between checkpoints that a killed run continues from."""
    report_to: list[str] = []
    """Trackers that transformers knows, for example trackio or tensorboard."""
    lora: Lora = Lora()
    """The adapter."""
    warm_start: WarmStart | None = None
    """Supervised epochs before the preference method; none by default."""
    validation: Validation | None = None
    """Pairs held back; none by default."""

    @model_validator(mode="after")
    def _micro_batch_divides(self) -> Self:
        if self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch must divide batch_size {self.batch_size}, found {self.micro_batch}")
        return self

    def hash(self) -> str:
        """SHA-256 of the resolved recipe."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @classmethod
    def read(cls, file: Path, overrides: Iterable[str] = ()) -> Self:
        """Read a YAML file.

        Args:
            file: the recipe.
            overrides: `key=value` or `key.key=value`, the value in YAML; they win over the file.

        Raises:
            BadInput: no such file, not YAML, or a key that is unknown or ill-typed (names the key and the allowed ones).
        """
        try:
            data = yaml.safe_load(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BadInput(f"no recipe file {str(file)!r}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise BadInput(f"{file}: not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(data, dict):
            raise BadInput(f"{file}: a recipe is a mapping of keys to values, found {type(data).__name__}")
        for override in overrides:
            _override(data, override)
        return validated(cls, data, str(file))


def validated(model: type[Model], data: Any, where: str) -> Model:
    """Check data against a model.

    Raises:
        BadInput: a key that is unknown or ill-typed; one line that names the place, the key, the value and what is allowed.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if not key:
            raise BadInput(f"{where}: {first['msg']}") from None
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(_allowed(model, first["loc"])) or "none"
            raise BadInput(f"{where}: unknown key {key!r}; allowed: {allowed}") from None
        given = "" if first["type"] == "missing" else f", found {first['input']!r}"
        raise BadInput(f"{where}: key {key!r}: {first['msg']}{given}") from None


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not key or not equals:
        raise BadInput(f"an override is key=value, found {override!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise BadInput(f"override {override!r}: the value is not YAML") from None
    if isinstance(value, str):  # YAML 1.1 reads 5e-6 as a word
        with contextlib.suppress(ValueError):
            value = float(value)
    *parents, last = key.split(".")
    for parent in parents:
        data[parent] = dict(data.get(parent) or {})
        data = data[parent]
    data[last] = value


def _allowed(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    nested: dict[str, type[BaseModel]] = {"lora": Lora, "warm_start": WarmStart, "validation": Validation}
    return list((nested.get(str(location[0]), model) if len(location) > 1 else model).model_fields)
