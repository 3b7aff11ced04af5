"""Our checkpoints in EleutherAI's lm-eval, as its model `conscience`.

    conscience lm-eval run --model conscience --model_args name=demo-dpo --tasks medqa_4options --apply_chat_template

lm-eval 0.4.13 has a registry of models but no discovery of other packages' ones, so this command registers ours and then
is lm-eval's own command line, arguments and all.
"""

from typing import Any

import click

from conscience.evals.errors import MissingDependency


@click.command("lm-eval", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lm_eval(arguments: tuple[str, ...]) -> None:
    """Run lm-eval with `--model conscience --model_args name=NAME`; the other arguments are its own."""
    try:
        from lm_eval._cli import HarnessCLI
        from lm_eval.utils import setup_logging
    except ImportError as error:
        raise MissingDependency(f"lm-eval needs {error.name}: run  pip install 'conscience[lm-eval]'") from None
    import sys

    register()
    setup_logging()
    sys.argv = ["lm_eval", *arguments]
    harness = HarnessCLI()
    harness.execute(harness.parse_args())


def register() -> None:
    """Add the model `conscience` to lm-eval's registry; a second time does nothing."""
    from lm_eval.api.registry import model_registry, register_model
    from lm_eval.models.huggingface import HFLM

    if "conscience" in model_registry:
        return

    @register_model("conscience")
    class ConscienceLM(HFLM):  # type: ignore[misc]
        """A checkpoint on transformers, its adapter merged, thinking off."""

        def __init__(self, name: str, dtype: str = "auto", **settings: Any) -> None:
            from conscience.evals.models.base import load

            base, adapter = load(name, dtype)
            model = base.merged(adapter)
            super().__init__(
                pretrained=model, tokenizer=base.tokenizer, backend="causal", enable_thinking=False, **settings
            )
