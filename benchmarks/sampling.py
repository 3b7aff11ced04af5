"""Generated tokens a second through Inspect: `conscience/smollm2-135m` against Inspect's own `hf` provider.

64 prompts of Asclepius' train split, 96 tokens at temperature 0.7, the same weights; the peer gets its best batch size
here (32) and the hub switched off. Only answer tokens before the end token are counted, in both.
"""

import asyncio
import os
import time

os.environ["HF_HUB_OFFLINE"] = "1"

from inspect_ai.model import GenerateConfig, Model, get_model

from conscience.evals.asclepius import SURFACES, load_scenarios
from conscience.evals.models import embedded

PROMPTS = [s.turns[0].content for s in load_scenarios(SURFACES, "train")][:64]


async def rate(model: Model) -> float:
    """Tokens a second over all prompts, after one warm-up request."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded.materialise())
    config = GenerateConfig(max_tokens=96, temperature=0.7, seed=17)
    await model.generate("Hello", config=GenerateConfig(max_tokens=4))
    start = time.perf_counter()
    outputs = await asyncio.gather(*(model.generate(prompt, config=config) for prompt in PROMPTS))
    took = time.perf_counter() - start
    return sum(len(tokenizer(output.completion)["input_ids"]) for output in outputs) / took


async def main() -> None:
    """Measure one after the other."""
    ours = await rate(get_model("conscience/smollm2-135m"))
    path = str(embedded.materialise())
    config = GenerateConfig(max_connections=64)
    hf = get_model("hf/local", config=config, model_path=path, tokenizer_path=path, batch_size=32)
    peer = await rate(hf)
    print(f"RESULT sampling ours={ours:.1f} peer={peer:.1f} ratio={ours / peer:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
