"""``fastlstm convert``: a model from one file format to another."""

from __future__ import annotations

import argparse
import io as streams
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlstm import io, tensors
from fastlstm.cli.options import Commands, UsageError, path, source
from fastlstm.files import open_file, require_replaceable, write_atomically
from fastlstm.layers import Embedding
from fastlstm.layers.base import Layer
from fastlstm.model import Model

Array = NDArray[Any]
Run = Callable[[Array], Array]

CONVERT = """Read a model from a file of one format, and write it to a file of another. Names end in

  .safetensors   of fastlstm; to read, the state_dict of a recurrent module of PyTorch, too
  .pt, .pth      a state_dict of PyTorch
  .keras, .h5    a model of Keras (.h5 to read)
  .onnx          a graph of ONNX

No framework is needed to read .safetensors, .keras, .h5 and .onnx, or to write .safetensors and .onnx. A table shows
which part of IN has become which layer. Where the framework of a file is installed, the model is compared with it on
random input."""

CONVERT_EXAMPLES = """examples:
  fastlstm convert sentiment.keras sentiment.safetensors
  fastlstm convert lstm.pt lstm.onnx
"""

SEQUENCES, STEPS = 3, 32
"""Of the random input."""


class Format(NamedTuple):
    """How a model gets out of a file and into one, unless files of a format are only read."""

    framework: str
    read: Callable[..., Any]
    put: Callable[[Model, Path], None] | None
    runner: Callable[[Path, Model], Run]


def add(commands: Commands) -> None:
    """Add the command ``convert``."""
    parser = commands.add_parser(
        "convert",
        help="a model of PyTorch, Keras or ONNX to a file of another format",
        description=CONVERT,
        epilog=CONVERT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=convert)
    parser.add_argument("input", type=source, metavar="IN", help="the file to read")
    parser.add_argument("output", type=path, metavar="OUT", help="the file to write")
    parser.add_argument("--activation", choices=["tanh", "relu"], help="of an RNN whose state_dict is read")
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there already")


def convert(options: argparse.Namespace) -> int:
    """Read, compare, write, and compare again."""
    origin = format_of(options.input, "IN", FORMATS)
    target = format_of(options.output, "OUT", {end: own for end, own in FORMATS.items() if own.put is not None})
    check_output(options.input, options.output, options.force)
    parts = io.Parts()
    model, origin = read(options.input, origin, options.activation, parts)
    print(f"{options.input} has become\n\n{parts.table(model) if parts else model}\n")
    if origin.framework != "fastlstm":
        print(compared(model, origin, options.input))
    assert target.put is not None
    try:
        target.put(model, options.output)
    except TypeError as error:  # of a layer that there is none of
        raise ValueError(str(error)) from error
    print(f"written to {options.output}")
    if target.framework != "fastlstm":
        print(compared(model, target, options.output))
    return 0


def format_of(file: Path, name: str, formats: dict[str, Format]) -> Format:
    """The format that an ending says."""
    found = formats.get(file.suffix.lower())
    if found is None:
        raise UsageError(f"{name}: expected a name that ends in {', '.join(formats)}, got {str(file)!r:.200}")
    return found


def check_output(source: Path, output: Path, force: bool) -> None:
    """Require a file that may be written, and is not the one that is read."""
    if not output.parent.is_dir():
        raise FileNotFoundError(f"{output.parent}: no such folder")
    if require_replaceable(output) is None:
        return
    if source.exists() and os.path.samefile(source, output):
        raise UsageError(f"OUT: expected another file than IN, got {output}")
    if not force:
        raise UsageError(f"OUT: {output} is there already; --force replaces it")


def read(file: Path, origin: Format, activation: str | None, parts: io.Parts) -> tuple[Model, Format]:
    """The model of a file, and what its parts have become. A .safetensors file may be fastlstm's, or of PyTorch."""
    told: dict[str, Any] = {}
    if origin.framework == "fastlstm" and tensors.read(file)[0].get("format") != "fastlstm":
        origin = PYTORCH
    if activation is not None:
        if origin is not PYTORCH:
            raise UsageError(f"activation: expected none but for a state_dict of PyTorch, got {activation}")
        told["activation"] = activation
    try:
        found = origin.read(file, **told) if origin is OWN else origin.read(file, **told, parts=parts)
    except TypeError as error:  # of arrays or options of the wrong kind
        raise ValueError(f"{file}: {error}") from error
    if isinstance(found, Layer):
        found = Model([found], dtype=found.dtype)
    if not isinstance(found, Model):
        raise ValueError(f"{file}: expected a model of whole sequences, got a {type(found).__name__}")
    return found, origin


def compared(model: Model, own: Format, file: Path) -> str:
    """A line on the largest difference between the outputs of a model and those of its file in its framework."""
    x = random_input(model)
    try:
        theirs = np.asarray(own.runner(file, model)(x))
    except ImportError:
        return f"not compared with {own.framework}, which is not installed"
    except Exception as error:  # of whatever framework: the model is read all the same
        reason = " ".join(str(error).split()) or type(error).__name__
        return f"not compared with {own.framework}: {reason:.300}"
    ours = model.predict(x)
    if theirs.shape != ours.shape:
        return f"not compared with {own.framework}: its outputs have shape {theirs.shape}, ours {ours.shape}"
    return f"largest difference from {own.framework} on random input: {np.abs(ours - theirs).max(initial=0):.1e}"


def random_input(model: Model) -> Array:
    """Tokens or numbers that a model takes, the same ones each time."""
    rng, features = np.random.default_rng(0), model.input_shape[-1]
    if features == "T":
        most = next((layer.num_tokens for layer in model.layers if isinstance(layer, Embedding)), 2)
        return rng.integers(most, size=(SEQUENCES, STEPS))
    size = (SEQUENCES, STEPS, features if isinstance(features, int) else 1)
    return rng.normal(size=size).astype(model.dtype)


def state_of(file: Path) -> Mapping[str, Any]:
    """The state_dict of a file: tensors, or of a .safetensors file arrays."""
    if file.suffix.lower() == ".safetensors":
        return tensors.read(file)[1]
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{file}: needs PyTorch to be read: pip install torch") from error
    with open_file(file) as content:
        try:
            state = torch.load(content, map_location="cpu", weights_only=True)
        except Exception as error:  # of the unpickler, of the archive
            raise ValueError(f"{file}: expected a state_dict of PyTorch, got something that is none") from error
    if not isinstance(state, Mapping):
        raise ValueError(f"{file}: expected a state_dict of PyTorch, got a {type(state).__name__}")
    return state


def module_of(model: Model) -> Any:
    """The module of PyTorch: of a single layer the layer's own."""
    return io.to_torch(model.layers[0] if len(model.layers) == 1 else model)  # type: ignore[call-overload,unused-ignore]


def put_torch(model: Model, file: Path) -> None:
    import torch

    content = streams.BytesIO()
    torch.save(module_of(model).state_dict(), content)
    write_atomically(file, content.getvalue())


def put_keras(model: Model, file: Path) -> None:
    made = io.to_keras(model)
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder) / "model.keras"
        made.save(beside)
        write_atomically(file, beside.read_bytes())


def run_torch(file: Path, model: Model) -> Run:
    import torch

    module = module_of(model).eval()
    state = state_of(file)
    module.load_state_dict({name: torch.as_tensor(array) for name, array in state.items()})

    def run(x: Array) -> Array:
        with torch.inference_mode():
            y = module(torch.from_numpy(x))
        found: Array = (y[0] if isinstance(y, tuple) else y).numpy()
        return found

    return run


def run_keras(file: Path, model: Model) -> Run:
    import keras  # type: ignore[import-not-found,unused-ignore]

    loaded = keras.saving.load_model(str(file), compile=False)
    return lambda x: np.asarray(loaded.predict_on_batch(x))


def run_onnx(file: Path, model: Model) -> Run:
    import onnxruntime  # type: ignore[import-untyped,import-not-found,unused-ignore]

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ValueError(f"expected a graph of one input, got {', '.join(value.name for value in inputs)}")

    def run(x: Array) -> Array:
        found: Array = session.run(None, {inputs[0].name: x})[0]
        return found

    return run


def run_own(file: Path, model: Model) -> Run:
    return io.load(file).predict


OWN = Format("fastlstm", io.load, io.save, run_own)
PYTORCH = Format("PyTorch", io.from_torch, put_torch, run_torch)
KERAS = Format("Keras", io.from_keras, put_keras, run_keras)
ONNX = Format("ONNX Runtime", io.from_onnx, io.to_onnx, run_onnx)
FORMATS = {
    ".safetensors": OWN,
    ".pt": PYTORCH,
    ".pth": PYTORCH,
    ".keras": KERAS,
    ".h5": KERAS._replace(put=None),
    ".onnx": ONNX,
}
"""The formats by the endings of files."""
