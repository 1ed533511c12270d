"""What the machine can do: a loop of bare fused multiply-adds, and reading from each level of its memory."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

INSTRUCTIONS = (
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_vp2intersect",
    "avx512_fp16",
)
INSTRUCTIONS += ("amx_tile", "asimd", "sve", "sve2", "bf16")
"""Flags of Linux that tell processors apart which have the same name, on virtual machines above all."""
PACKAGES = ["numpy", "torch", "onnxruntime", "openvino", "jax", "keras", "tensorflow-cpu"]


def speed(threads: int, dtype: str) -> dict[str, Any]:
    """GFLOP/s of multiply-adds, and GB/s of reading for each level, with the sizes (bytes) of the caches."""
    from fastlstm._kernels import cpu
    from fastlstm.workspace import aligned_empty

    found: dict[str, Any] = {"flops": 0.0, "read": {}, "sizes": caches()}
    rounds = 1_000_000
    operations = cpu.multiply_add(dtype, rounds, threads)
    found["flops"] = operations / best(lambda: cpu.multiply_add(dtype, rounds, threads)) / 1e9
    for level, size in [*found["sizes"].items(), ("memory", 1 << 28)]:
        shared = level in ("L3", "memory")
        total = size if level == "memory" else size // 2 * (1 if shared else threads)
        array = aligned_empty((total // 4,), np.float32)
        array.fill(1)
        times = max(1, (1 << 27) // total)
        found["read"][level] = total * times / best(lambda a=array, n=times: cpu.read(a, n, threads)) / 1e9  # type: ignore[misc]
    return found


def best(call: Callable[[], Any]) -> float:
    """Seconds of the median of some calls."""
    times = []
    for _ in range(9):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def caches() -> dict[str, int]:
    """Bytes of the data caches of the first core by level, as Linux tells them; else usual ones."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size.rstrip("KM")) * (1 << 20 if size.endswith("M") else 1 << 10)
    return found or {"L1": 32 << 10, "L2": 512 << 10, "L3": 16 << 20}


def processor(path: str = "/proc/cpuinfo") -> tuple[str, str]:
    """Its name with family and model, and which of the instructions it has, as far as the system tells."""
    name, has = platform.processor() or platform.machine(), ""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return name, has
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if {"model name", "cpu family", "model"} <= fields.keys():
        name = f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"
    flags = fields.get("flags", fields.get("Features", "")).split()
    return name, " ".join(flag for flag in INSTRUCTIONS if flag in flags)


def describe() -> dict[str, str]:
    """Processor, system and versions, in words."""
    from fastlstm.config import config

    name, instructions = processor()
    sizes = ", ".join(f"{level} {size >> 10} KiB" for level, size in caches().items())
    found = {
        "processor": f"{name}, {os.cpu_count()} cores; {sizes}" + (f"; {instructions}" if instructions else ""),
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "fastlstm": f"{config()['fastlstm']}, kernels {config()['kernels']}",
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine_list(described: dict[str, str]) -> str:
    """What mattered to a run without peers."""
    shown = ("processor", "system", "fastlstm", "numpy")
    return "\n".join(f"- {name}: {described[name]}" for name in shown if name in described)


def fastest(speeds: list[dict[str, Any]]) -> dict[str, Any]:
    """The best that several processes have seen."""
    return {
        "flops": max(one["flops"] for one in speeds),
        "read": {level: max(one["read"][level] for one in speeds) for level in speeds[0]["read"]},
        "sizes": speeds[0]["sizes"],
    }
