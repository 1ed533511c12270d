"""The installed package has the kernels of every instruction set that this processor has: its build left none out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastlstm as fl
from fastlstm._kernels import cpu

CPUINFO = Path("/proc/cpuinfo")

AVX2 = {"avx2", "fma"}
AVX512 = {*AVX2, "avx512f", "avx512dq", "avx512bw", "avx512vl"}
NEEDED = {  # as Linux calls what each of them needs; the best one first
    "avx512_bf16": {*AVX512, "avx512_vnni", "avx512_bf16"},
    "avx512_vnni": {*AVX512, "avx512_vnni"},
    "avx512": AVX512,
    "avx2": AVX2,
    "armv8_6": {"i8mm", "bf16"},
    "baseline": set(),
}

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" and cpu.isa() == "plain", reason="Microsoft's compiler makes no kernels"
)


def had():
    """Those that this processor has; where Linux does not tell, the one that all have."""
    text = CPUINFO.read_text() if CPUINFO.exists() else ""
    features = set(" ".join(re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)).split())
    return [name for name, needed in NEEDED.items() if needed <= features]


@pytest.fixture
def before():
    chosen = cpu.isa()
    yield
    cpu.choose(chosen)


@pytest.mark.parametrize("name", had())
def test_every_instruction_set_of_this_processor_is_in_the_package(name, before, capsys):
    cpu.choose(name)
    fl.show_config()
    assert f"kernels       packed, {name}\n" in capsys.readouterr().out


@pytest.mark.skipif(not CPUINFO.exists(), reason="what the processor has is read from /proc/cpuinfo")
def test_the_best_one_is_in_use_unless_another_is_asked_for():
    code = "import fastlstm as fl; fl.show_config()"
    environment = {name: value for name, value in os.environ.items() if name != "FASTLSTM_ISA"}
    shown = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert f"kernels       packed, {had()[0]}\n" in shown.stdout
