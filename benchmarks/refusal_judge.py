"""Accuracy of the refusal judge against human labels: XSTest completions of two models, full compliance or full refusal.

The lexicon was developed with these two models' completions in view, so this is no held-out figure. The peer always gives
the more frequent label.
"""

import csv
import sys
from collections import Counter
from pathlib import Path

from conscience.evals.judges.judgment import ResponseLabel
from conscience.evals.judges.refusal import classify

DATA = Path(__file__).parents[2] / "shared" / "data" / "xstest"
LABELS = {"1_full_compliance": "complied", "2_full_refusal": "refused"}


def main() -> None:
    """Print the confusion table and the result."""
    if not DATA.is_dir():
        sys.exit(f"needs the XSTest completions in {DATA}")
    table: Counter[tuple[str, str]] = Counter()
    for file in sorted(DATA.glob("xstest_v2_completions_*.csv")):
        with file.open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                if row["final_label"] in LABELS:
                    label, _ = classify(row["completion"])
                    said = "complied" if label is ResponseLabel.FULL_COMPLIANCE else "refused"
                    table[LABELS[row["final_label"]], said] += 1
    for (human, judge), count in sorted(table.items()):
        print(f"human {human:9} judge {judge:9} {count}")
    total = sum(table.values())
    ours = sum(count for (human, judge), count in table.items() if human == judge) / total
    by_label = Counter(human for human, judge in table.elements())
    peer = max(by_label.values()) / total
    print(f"RESULT refusal_judge ours={ours:.3f} peer={peer:.3f} ratio={ours / peer:.2f}")


if __name__ == "__main__":
    main()
