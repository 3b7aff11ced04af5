"""What a card says about the machine."""

import os
import platform

import pytest

from conscience.training.hardware import hardware


def test_without_a_gpu_the_processor_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, the cores open to this process, and the system."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = hardware()
    assert (len(os.sched_getaffinity(0)), True) == (found.count, platform.machine() in found.platform)
    assert found.device.strip()


def test_gpus_are_named_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch sees GPUs they are what was trained on."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H100")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert ("NVIDIA H100", 2) == (hardware().device, hardware().count)
