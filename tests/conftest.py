"""What several test modules share."""

import pytest

from fastlstm._kernels import cpu


def instruction_sets(names):
    """A fixture that runs a test on each of these, as far as this processor has them."""

    @pytest.fixture(params=names)
    def fixture(request):
        before = cpu.isa()
        try:
            cpu.choose(request.param)
        except ValueError:
            pytest.skip(f"this processor has no {request.param}")
        yield request.param
        cpu.choose(before)

    return fixture


packed_isa = instruction_sets(["avx512", "avx2", "baseline"])
isa = instruction_sets(["avx512", "avx2", "baseline", "plain"])
