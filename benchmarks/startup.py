"""Seconds until `conscience --help` has answered; the peer is `inspect --help`. Median of five runs each."""

import statistics
import subprocess
import sys
import time
from pathlib import Path


def seconds(command: str) -> float:
    """Median wall time of one command's `--help`."""
    binary = Path(sys.executable).with_name(command)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([binary, "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    ours, peer = seconds("conscience"), seconds("inspect")
    print(f"RESULT startup ours={ours:.3f} peer={peer:.3f} ratio={peer / ours:.2f}")
