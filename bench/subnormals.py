"""Whether a state that decays into subnormal numbers slows inference down: python -m bench.subnormals"""

from __future__ import annotations

import numpy as np

import fastlstm as fl
from bench.timing import measure

LIMIT = 1.5


def main() -> int:
    layer = fl.LSTM(64, 128, bias=False, seed=0)
    layer.parameter("weight_hh_l0").value = np.zeros((512, 128))
    tape = fl.Workspace(0)
    rng = np.random.default_rng(0)
    usual = rng.standard_normal((32, 200, 64)).astype(np.float32)
    times = {}
    for name, x, start in (("usual", usual, 1.0), ("decaying", np.zeros_like(usual), 1e-30)):
        state = (np.full((1, 32, 128), start, np.float32), np.full((1, 32, 128), start, np.float32))
        call = lambda x=x, state=state: layer.forward_with_state(x, state, tape, training=False, lengths=None)  # noqa: E731
        times[name] = measure(call, 1)
    ratio = times["decaying"].median / times["usual"].median
    usual, decaying = (f"{found.median:.0f} us [CPU time {found.cpu:.0f}]" for found in times.values())
    print(f"usual numbers {usual}, a decaying state {decaying}: {ratio:.2f} times")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
