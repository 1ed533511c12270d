"""What torch.compile is told of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch._C._dynamo import eval_frame

Function = TypeVar("Function", bound=Callable[..., Any])


def leave_to_python(function: Function) -> Function:
    """Let torch.compile leave this function, and all that it calls, as they are.

    `torch.compiler.disable` does that, too, but takes seconds to import, and time at each call.
    """
    if not hasattr(eval_frame, "set_code_exec_strategy"):
        return torch.compiler.disable(function)  # type: ignore[no-any-return, no-untyped-call]
    function._torchdynamo_disable = True  # type: ignore[attr-defined]  # where it is called in code that is traced
    skip = eval_frame._FrameAction.SKIP
    eval_frame.set_code_exec_strategy(function.__code__, eval_frame._FrameExecStrategy(skip, skip))
    return function
