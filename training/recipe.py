"""A training recipe: one frozen, typed object, one YAML file a run. Unknown keys are refused.

Example, `training/recipes/demo.yaml`:

    name: demo-dpo
    method: dpo
    base: conscience/smollm2-135m
    learning_rate: 5.0e-5
    warm_start: {learning_rate: 3.0e-4, epochs: 2}
"""

import hashlib
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from conscience.evals.errors import BadInput


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Lora(_Strict):
    """The LoRA adapter (Hu et al. 2021, arXiv 2106.09685)."""

    r: int = Field(default=32, ge=1)
    """Rank. The paper's run takes 32."""
    alpha: int = Field(default=64, ge=1)
    """Scale: the delta is multiplied by alpha / r. The paper's run takes 64."""
    modules: list[str] | Literal["all-linear"] = "all-linear"
    """Linear modules that get an adapter, by the end of their names."""
    last_layers: int | None = Field(default=None, ge=1)
    """Adapt only so many layers, counted from the output: nothing below them is back-propagated. None adapts all."""

    @model_validator(mode="after")
    def _layers_of_named_modules(self) -> Self:
        if self.last_layers is not None and isinstance(self.modules, str):  # PEFT refuses it, later and less plainly
            raise ValueError(f"last_layers needs modules as a list of names, found {self.modules!r}")
        return self


class WarmStart(_Strict):
    """Supervised fine-tuning of the same adapter on the revisions, before the preference method."""

    learning_rate: float = Field(gt=0)
    """3e-4 moves a 135M model in two epochs; 1e-5 to 1e-4 suits billions of parameters."""
    epochs: float = Field(gt=0)
    """Passes over the revisions."""


class Recipe(_Strict):
    """Everything that decides a training run, but for the pairs."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """The checkpoint is registered as `conscience/NAME`."""
    method: str
    """An entry point of the group `conscience.training`."""
    base: str
    """`conscience/smollm2-135m`, a hub id or a local folder."""
    beta: float = Field(default=0.1, gt=0)
    """Strength of the pull towards the reference model. The DPO paper's usual value is 0.1."""
    learning_rate: float = Field(gt=0)
    """Peak rate. With LoRA about ten times the full fine-tuning rate; watch the margin for a run that does nothing."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the pairs."""
    max_pairs: int | None = Field(default=None, ge=1)
    """Pairs in the preference stage, drawn by the seed; a warm start always sees all revisions. None takes all."""
    batch_size: int = Field(default=8, ge=1)
    """Pairs an optimizer step."""
    micro_batch: int = Field(default=2, ge=1)
    """Pairs in memory at once; divides the batch size. Less is padded in small ones, which is what a CPU likes."""
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the rate rises; then it falls along a cosine."""
    max_length: int = Field(default=512, ge=16)
    """Prompt and answer together, in tokens; longer ones lose their end."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the products; weights, residuals and the adapter are float32 in either case."""
    seed: int = 17
    """Of order, initialisation and dropout."""
    save_steps: int = Field(default=10, ge=1)
    """Steps between checkpoints that a killed run continues from."""
    lora: Lora = Lora()
    """The adapter."""
    warm_start: WarmStart | None = None
    """Supervised epochs before the preference method; none by default."""

    @model_validator(mode="after")
    def _micro_batch_divides(self) -> Self:
        if self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch must divide batch_size {self.batch_size}, found {self.micro_batch}")
        return self

    def hash(self) -> str:
        """SHA-256 of the resolved recipe."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a YAML file.

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
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            if not key:
                raise BadInput(f"{file}: {first['msg']}") from None
            if first["type"] == "extra_forbidden":
                raise BadInput(f"{file}: unknown key {key!r}; allowed: {', '.join(_allowed(first['loc']))}") from None
            given = "" if first["type"] == "missing" else f", found {first['input']!r}"
            raise BadInput(f"{file}: key {key!r}: {first['msg']}{given}") from None


def _allowed(location: tuple[int | str, ...]) -> list[str]:
    models: dict[str, type[BaseModel]] = {"lora": Lora, "warm_start": WarmStart}
    model = models.get(str(location[0]), Recipe) if len(location) > 1 else Recipe
    return list(model.model_fields)
