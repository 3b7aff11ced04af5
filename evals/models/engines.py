"""The engines that `conscience/NAME` runs on: transformers in this process, or a vLLM server (`-M engine=vllm`)."""

from typing import Any

from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import GenerateConfig, ModelAPI

ENGINES = ("transformers", "vllm")


def on_engine(
    model_name: str,
    base_url: str | None = None,
    api_key: str | None = None,
    config: GenerateConfig = GenerateConfig(),  # noqa: B008 (Inspect's own signature)
    engine: str = "transformers",
    **model_args: Any,
) -> ModelAPI:
    """Make the model on an engine.

    Args:
        model_name: name after `conscience/`.
        base_url: URL of a running server; vLLM only.
        api_key: its key; vLLM only.
        config: default generation settings.
        engine: `transformers` or `vllm`.
        model_args: the engine's own arguments (`-M`).

    Raises:
        PrerequisiteError: unknown engine, or one whose packages are missing.
    """
    if engine == "transformers":
        from conscience.evals.models.local import ConscienceAPI

        return ConscienceAPI(model_name, base_url, api_key, config, **model_args)
    if engine == "vllm":
        try:
            from conscience.evals.models.vllm import ServedAPI
        except ImportError as error:
            raise PrerequisiteError(f"engine=vllm needs {error.name}: run  pip install 'conscience[vllm]'") from None
        return ServedAPI(model_name, base_url, api_key, config, **model_args)
    raise PrerequisiteError(f"unknown engine {engine!r}; there are: {', '.join(ENGINES)}")
