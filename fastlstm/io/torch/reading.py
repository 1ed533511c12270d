"""From modules of PyTorch, and their weights, to our layers and models. Nothing here imports torch by itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, overload

from fastlstm.files import Damaged
from fastlstm.io.parts import Parts, parts_or_none
from fastlstm.io.torch import named, recurrent
from fastlstm.io.torch.arrays import WrongDtype, array_of, read_state
from fastlstm.layers import GRU, LSTM, GRUCell, Layer, LSTMCell, SimpleRNN
from fastlstm.model import Model

if TYPE_CHECKING:
    import torch

    from fastlstm.io.torch.chain import Chain

EXPECTED = "expected a module of PyTorch, its state_dict, or a file of one"


@overload
def from_torch(
    source: torch.nn.LSTM, *, activation: None = None, two_biases: bool = True, parts: Parts | None = None
) -> LSTM: ...
@overload
def from_torch(
    source: torch.nn.GRU, *, activation: None = None, two_biases: bool = True, parts: Parts | None = None
) -> GRU: ...
@overload
def from_torch(
    source: torch.nn.RNN, *, activation: str | None = None, two_biases: bool = True, parts: Parts | None = None
) -> SimpleRNN: ...
@overload
def from_torch(source: torch.nn.LSTMCell, *, two_biases: bool = True, parts: Parts | None = None) -> LSTMCell: ...
@overload
def from_torch(source: torch.nn.GRUCell, *, two_biases: bool = True, parts: Parts | None = None) -> GRUCell: ...
@overload
def from_torch(
    source: torch.nn.Sequential | Chain, *, two_biases: bool = True, parts: Parts | None = None
) -> Model: ...
@overload
def from_torch(
    source: Any,
    *,
    model: Model,
    names: Mapping[str, int | str],
    ignore: Iterable[str] = (),
    parts: Parts | None = None,
) -> Model: ...
@overload
def from_torch(
    source: Any, *, activation: str | None = None, two_biases: bool = True, parts: Parts | None = None
) -> Any: ...
def from_torch(
    source: Any,
    *,
    model: Model | None = None,
    names: Mapping[str, int | str] | None = None,
    ignore: Iterable[str] = (),
    activation: str | None = None,
    two_biases: bool = True,
    parts: Parts | None = None,
) -> Layer | LSTMCell | GRUCell | Model:
    """The layer or the model of a module of PyTorch, with its weights to the bit.

    A module of torch.nn becomes a layer, a `torch.nn.Sequential`, or what `to_torch` has made of a model, a model. What
    a module with a ``forward`` of its own does with its parts is in its code: for it, for a state_dict and for a file,
    you build the model, and `names` says which part belongs where.

    Parameters
    ----------
    source : torch.nn.Module, state_dict or path
        A state_dict may hold tensors or NumPy arrays, float32 or float64. A file is one of safetensors, or a .pt file
        that holds a state_dict; the latter is read by torch (``weights_only=True``).
    model : Model, optional
        The layers in the order in which they run, those without weights, too. It gets the weights, and is returned. Its
        dtype must be that of the source.
    names : dict of str, optional
        For each part of the source its layer in the model: ``{"embedding": 0, "lstm": 1, "head": 3}``, or "1.0.0" for a
        layer within another one, as `Model.named_parameters` has them. "" is the part whose tensors have no prefix. Or
        for a single tensor its parameter: ``{"score.v": "2.context"}``.
    ignore : list of str, default ()
        Names of tensors or parts of the source that are not used, and of parameters of the model that stay as they are.
    activation : "tanh" or "relu", optional
        The activation of an RNN. It is needed with the state_dict of one alone, which does not hold it.
    two_biases : bool, default True
        Whether recurrent layers keep both biases of each gate, so that `to_torch` gives them back to the bit and a
        training moves them as PyTorch would. If not, they have their sum where PyTorch adds them; outputs are the same.
    parts : Parts, optional
        A list that is filled with what each module, or each prefix of tensors, has become.

    Returns
    -------
    Layer, LSTMCell, GRUCell or Model
        A state_dict with nothing but the weights of one LSTM, GRU or RNN gives that layer; its rate of dropout, which
        is not in there, is then 0. What needs no gradient there is not trainable here.

    Raises
    ------
    TypeError
        If source is none of these, its arrays have another dtype, or model, names or parts are no model, no dict and no
        `Parts`.
    ValueError
        If a module, or an option of it, is not known here; the message names it and its place. If the order of the
        layers is not known: the message shows the parts, and a call that can be copied. If a shape does not fit, or a
        tensor or a parameter is left over. If a file is damaged or holds something else.
    OSError
        If a file cannot be read.
    ImportError
        If it is a .pt file, and torch is not installed.

    Examples
    --------
    >>> import fastlstm as fl, numpy as np
    >>> shapes = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": 16, "bias_hh_l0": 16}
    >>> state = {name: np.zeros(shape, "float32") for name, shape in shapes.items()}
    >>> fl.io.from_torch(state).hidden_size
    4
    >>> state = {f"rnn.{name}": array for name, array in state.items()} | {"head.weight": np.ones((2, 4), "float32")}
    >>> model = fl.Model([fl.LSTM(3, 4), fl.Last(), fl.Dense(4, 2, bias=False)])
    >>> fl.io.from_torch(state, model=model, names={"rnn": 0, "head": 2}).predict(np.ones((5, 7, 3))).shape
    (5, 2)
    """
    told = parts_or_none(parts)
    if not isinstance(source, str | os.PathLike):
        return _converted(source, model, names, ignore, activation, two_biases, told)
    try:
        return _converted(read_state(source), model, names, ignore, activation, two_biases, told)
    except WrongDtype as error:  # of the file, not of what a program has passed
        raise Damaged(f"{source}: {str(error).removeprefix('source: ')}") from None


def _converted(
    source: Any, model: Any, names: Any, ignore: Any, activation: str | None, two_biases: bool, told: Parts
) -> Layer | LSTMCell | GRUCell | Model:
    is_module = _is_module(source)
    if model is not None or names is not None or ignore:
        if model is None or names is None:
            raise TypeError(f"{'model' if model is None else 'names'}: expected both model= and names=, got None")
        kinds = {name: type(part).__name__ for name, part in source.named_modules()} if is_module else {}
        return named.load_named(_state_of(source), model, names, ignore, told, kinds)
    if is_module:
        found = _of_module(source, activation, two_biases)
        if found is not None:
            _tell(source, found, told)
            return found
    state = _state_of(source)
    if any(recurrent.NAME.fullmatch(str(name)) for name in state) or not state:
        arrays = {name: array_of(name, tensor) for name, tensor in state.items()}
        layer = recurrent.layer_of(
            arrays,
            dropout=float(getattr(source, "dropout", 0.0)),
            activation=activation,
            nonlinearity=getattr(source, "nonlinearity", None),
            two_biases=two_biases,
        )
        told.add("weight_ih_l0 and so on", f"{len(arrays)} tensors", [layer])
        return layer
    cell = recurrent.single_cell(state)
    if cell:
        raise (TypeError if is_module else ValueError)(f"source: {recurrent.EXPECTED}, got {cell}")
    if is_module:
        raise ValueError(named.how_to(f"{type(source).__name__} has a forward of its own", state, _known(source)))
    raise ValueError(named.how_to("a state_dict has names and weights alone", state))


def _is_module(source: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def _state_of(source: Any) -> Mapping[str, Any]:
    state: Any = source.state_dict() if hasattr(source, "state_dict") else source
    if not isinstance(state, Mapping):
        raise TypeError(f"source: {EXPECTED}, got {type(source).__name__}")
    return state


def _of_module(module: Any, activation: str | None, two_biases: bool) -> Layer | LSTMCell | GRUCell | Model | None:
    """What a module whose class is known becomes; None if it is not."""
    import torch

    from fastlstm.io.torch import from_modules, known

    if activation is not None and not hasattr(module, "nonlinearity"):
        found = type(module).__name__
        raise ValueError(f"activation: expected none but for an RNN, got {activation!r} for {found}")
    if from_modules.is_chain(module):
        return from_modules.model_of(module, two_biases)
    kind = known.kind_of(module)
    if kind is None and type(module).__module__.startswith("torch.") and type(module) is not torch.nn.RNNCell:
        raise TypeError(from_modules.unknown(module, "the module"))
    if kind is None:
        return None
    if kind in known.CELLS:
        return from_modules.cell_of(module, two_biases)
    if activation not in (None, getattr(module, "nonlinearity", None)):
        raise ValueError(f"activation: expected {module.nonlinearity!r}, that of the module, got {activation!r}")
    return from_modules.layer_of(module, "the module", two_biases)


def _tell(module: Any, found: Layer | LSTMCell | GRUCell | Model, told: Parts) -> None:
    """Say what the modules within one, or the one itself, have become."""
    if isinstance(found, Model):
        from fastlstm.io.torch import from_modules

        from_modules.tell(module, found.layers, told)
    else:
        layer = found if isinstance(found, Layer) else found.layer
        told.add("the module", type(module).__name__, [layer])


def _known(module: Any) -> dict[str, Layer]:
    """The layers of those parts of a module that are known."""
    from fastlstm.io.torch import from_modules, known

    found = {}
    for name, part in module.named_modules():
        if name and known.kind_of(part) in known.TABLE:
            try:
                found[name] = from_modules.layer_of(part, name)
            except (TypeError, ValueError):
                continue
    return found
