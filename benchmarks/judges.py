"""Seconds that the embedded judges take for 10,000 stored answers, on one process.

    python benchmarks/judges.py

The answers are the safe and unsafe examples of all shipped items, each as it stands and followed by other examples, so that
lengths vary from a sentence to some hundred words; none is judged twice in the same words.
"""

import itertools
import resource
import time

from conscience.constitution import load
from conscience.evals.asclepius import SPLITS, SURFACES, load_scenarios
from conscience.evals.judges import judge_answer

COUNT = 10_000


def main() -> None:
    """Judge and print."""
    items = [s for split in SPLITS for s in load_scenarios((*SURFACES, "helpfulness"), split)]
    everything = [*items, *(probe for principle in load().principles for probe in principle.probes)]
    tails = [item.safe_example for item in everything]
    several = (
        (item, f"{text} {tail}".strip())
        for tail in itertools.chain([""], tails)
        for item in everything
        for text in (item.safe_example, item.unsafe_example)
    )
    answers = list(itertools.islice(several, COUNT))
    started = time.perf_counter()
    unsafe = sum(judge_answer(item, answer).unsafe for item, answer in answers)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    words = sum(len(answer.split()) for _, answer in answers) / len(answers)
    print(f"{len(answers)} answers of {words:.0f} words on average, {unsafe} unsafe, peak {peak:.2f} GB")
    print(f"RESULT judges ours={seconds:.1f}")


if __name__ == "__main__":
    main()
