"""What a run is trained on, for its card."""

import os
import platform
from pathlib import Path

from conscience.evals.models.card import Hardware


def hardware() -> Hardware:
    """Look at this machine: its GPUs where torch sees any, else the processor cores open to this process."""
    import torch

    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    if torch.cuda.is_available():
        return Hardware(device=torch.cuda.get_device_name(), count=torch.cuda.device_count(), platform=system)
    return Hardware(device=_processor(), count=_cores(), platform=system)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    """The processor's name; `platform.processor()` gives none on Linux."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
