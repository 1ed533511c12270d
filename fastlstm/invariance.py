"""Whether training on a single row or step keeps the order of additions of larger batches."""

from __future__ import annotations

from fastlstm import _check
from fastlstm._kernels import cpu


def set_batch_invariant(on: bool) -> None:
    """Let training on a single step give the same bits as in a larger batch, which makes that step slower.

    Without it, too, a row has the same bits alone and in any batch, from `predict`, a stream and the forward pass of
    training, and so has the gradient of its inputs. There are two exceptions: training on one step of up to 4 rows, or
    on so many sequences of length 1; and a `Dense` that is trained on one row. They read the weights only once, in
    another order, so their last bits differ. With it, there is no exception. All holds on one instruction set (see
    `show_config`) and for any number of threads. The plain path (`FASTLSTM_ISA=plain`) promises none of it.

    Parameters
    ----------
    on : bool
        Whether there shall be no exception; False at first.

    Raises
    ------
    TypeError
        If it is not a bool.

    Examples
    --------
    >>> import fastlstm as fl
    >>> fl.set_batch_invariant(True)
    >>> fl.get_batch_invariant()
    True
    >>> fl.set_batch_invariant(False)
    """
    cpu.keep_order(_check.flag(on, "on"))


def get_batch_invariant() -> bool:
    """What was chosen with `set_batch_invariant`."""
    return cpu.keeps_order()
