"""docs/benchmarks.md from runs: python -m bench docs [--keep] run.json [more.json ...]"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import history, low, pictures, report
from bench.steps import COMPARED

DOCS = Path(__file__).parent.parent / "docs"
MACHINE = "## The machine"

HEAD = """# Benchmarks

This page compares the speed of fastlstm with PyTorch, ONNX Runtime, OpenVINO, JAX and Keras, shape by shape. It is made
by `python -m bench docs` from the runs that are described in it. To measure on your own machine:

    pip install '.[bench]'
    python -m bench --suite inference --threads 1 2 --json run.json --pictures pictures
    python -m bench --suite calls --threads 1 2 --json calls.json
    python -m bench --suite low --threads 1 2 --json low.json
    python -m bench --suite low-steps --threads 1 2 --json low-steps.json
    python -m bench --suite training --cell gru --peers torch --threads 1 2 --json gru.json
    python -m bench compare before.json after.json
    python -m bench history run.json

How to read the tables:

- **Case:** T is the number of steps, N the batch, I the features, H the units; "x2" means two layers, "bi" both
  directions. A section that names no cell measures the LSTM.
- **Time** is in microseconds. Every contender runs in several fresh processes of its own, in turn. The best of the
  processes' medians counts; the spread in round brackets is how much longer the worst one took. In square brackets
  stands the CPU time of a call, of all threads of the process, also while they wait. Some older runs have no CPU time.
- **Ratio** is the time of the best peer over that of fastlstm; more than 1 means that fastlstm is faster.
- **Share** is that of the floor: of the machine's multiply-adds ("FMA"), or of its bandwidth for reading the recurrent
  weights once a step from the level of memory that holds them ("L2", "L3", "memory"), whichever takes longer. It is
  above 100 % if a part of the weights stayed in a nearer cache from one step to the next.
- **Load** is the CPU time of fastlstm over threads × time, where calls come back to back; at 1 all threads are busy all
  the time.
- **"fastlstm, prepared"** is `model.forward` over a tape, which writes its output where the last one was; it does not
  count as a peer. **"beyond"** is what `predict` takes beyond that, the two measured in turn in one process.

All contenders have the same weights, inputs and number of processors, and their results are compared before any time is
believed. Each is called as its own users call it: `model.predict(x)` of fastlstm, a module of PyTorch under
`inference_mode`, `session.run` of ONNX Runtime, a compiled model of OpenVINO, a `jit` of JAX, `predict_on_batch` of
Keras.

`--cell gru`, `tanh` or `relu` measures the `GRU`, or the `SimpleRNN` with that activation, in the suites quick,
inference, training, streaming and ragged, by every contender. All compute the same function, which for a GRU has the
reset gate after the product. The gradient of relu jumps at 0, so that rounding alone may change a few of its numbers:
there gradients are compared by their mean difference, everywhere else by the largest.
"""

WHAT = {
    "quick": "Three shapes of inference, for a first look.",
    "papers": "As in inference, shapes of papers and of other libraries' benchmarks, at which little is to be gained.",
    "papers-training": "The same shapes, as in training.",
    "inference": "A pass from zero states, without whatever training needs.",
    "calls": "Small shapes, where a call is more than its kernels. Calls come back to back, or after a pause: then the "
    "time is that of the call alone, the CPU time that of the pause as well, in which threads may sleep or spin. "
    "fastlstm by itself is measured with a head, which is `Last` and `Dense`, and with lengths, drawn evenly from 1 to "
    "T, that change from call to call: five arrays in turn, the same lengths of other sequences, so that all have as "
    "many steps; its prepared pass has the first of them in every call. The small model is a training step: "
    '"fastlstm" puts it together from its parts, "fastlstm, Trainer" is `Trainer.fit` over an epoch of some hundred, '
    "and beyond is what that takes beyond its kernels, which tell how long they take.",
    "streaming": "One step from the states of the one before: fastlstm is a step from Python, "
    '"fastlstm, block" a step of `Stream.run` on a block of 1,000.',
    "training": "A pass forward, and one backward of the sum of the outputs, to the weights and to x.",
    "ragged": "As in training, over sequences of different lengths, drawn evenly from 1 to T, the longest T. PyTorch "
    'packs and pads them; "torch, masked" computes the padding too and masks it, which will do in one direction. '
    '"fastlstm, full" is fastlstm where all have T steps. GFLOP/s count the real steps.',
    "steps": "Whole training steps of models: gradients set to zero, forward, loss, backward, the norm of the "
    "gradient clipped to 1, Adam. GFLOP/s count the matrix products of the LSTM and the dense layer; what the loss and "
    "Adam read and write is in the time only.",
    "low": "Inference in low precision, from zero states. fastlstm is `predict` in float32, and with "
    '`weights="bfloat16"`, `"int8x16"` and `"int8"`. PyTorch is a module converted to bfloat16, as is its input; one '
    "in float32 under `torch.autocast`; and one quantized by `quantize_dynamic`. OpenVINO has the hint bf16, and ONNX "
    "Runtime a model quantized by its own `quantize_dynamic`, each with the defaults. Ours stands beside the peers of "
    "the same precision, and `int8x16`, whose weights have 8 bits and whose inputs 16, beside those in int8. The error "
    "is the largest difference of any output from that of a computation in float64 on the same weights and input, as a "
    "share of the range of the latter, its largest number less its smallest. As to times the best peer is the fastest "
    "one, as to errors the one whose error is the smallest.",
    "torch": "Models in PyTorch, as people write them: fastlstm is the model after `accelerate`, torch the same as it "
    "is. Training steps of whole models; the same over packed sequences; and single steps of a stream in "
    "inference, the state of the one before going in. Losses and gradients, or outputs and states, are compared.",
    "low-steps": "Whole training steps in low precision: those of suite steps, of an LSTM on numbers and a dense layer "
    "of ten classes on every step. Parameters, their gradients and Adam are in float32 everywhere. fastlstm is in "
    'float32, and over a tape with `precision="bfloat16"`, as a `Trainer` has with that. PyTorch is in float32; and '
    "under `torch.autocast`, in which the pass forward and the loss are computed, and which makes the pass backward "
    f"one in bfloat16 too. The errors are those of the first {COMPARED} steps, from the same steps in float64 with the "
    "same parameters and batches: of the losses; and of Adam's running means of the gradients, whose error is the norm "
    "of the difference over that of the float64 mean, shown of the parameter where it is largest. A run in which one "
    f"in float32 is {report.LARGEST_DIFFERENCE['float32']:g} or more is not shown; where one in bfloat16 is "
    f"{report.LARGEST_DIFFERENCE['bfloat16']:g} or more, that is said below the tables.",
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench docs", description=__doc__)
    parser.add_argument("runs", type=report.load, nargs="+")
    parser.add_argument("--folder", type=Path, default=DOCS, help="where to write (default: docs)")
    parser.add_argument(
        "--keep", action="store_true", help="keep the sections of the page that these runs do not renew"
    )
    options = parser.parse_args(argv)
    page = options.folder / "benchmarks.md"
    parts = [HEAD]
    described = None
    for result in options.runs:
        if result["machine"] != described:
            described = result["machine"]
            parts.append(f"{MACHINE}\n\n" + "\n".join(f"- {name}: {text}" for name, text in described.items()) + "\n")
        parts.append(section(result, options.folder))
    if options.keep:
        parts += kept(
            page.read_text(encoding="utf-8"), {*map(title_of, options.runs), history.HEAD.removeprefix("## ")}
        )
    if history.load(options.folder):
        parts.append(history.section(options.folder))
    page.write_text("\n".join(parts), encoding="utf-8")
    return 0


def title_of(result: report.Result) -> str:
    title = report.title(result)
    return title[0].upper() + title[1:]


def kept(page: str, renewed: set[str]) -> list[str]:
    """The sections of a page without those that are renewed, and without machines that nothing is left of."""
    sections = ["## " + text.rstrip("\n") + "\n" for text in page.split("\n## ")[1:]]
    sections = [text for text in sections if text[3:].partition("\n")[0] not in renewed]
    of_machine = [text.startswith(MACHINE) for text in sections]
    return [text for k, text in enumerate(sections) if not all(of_machine[k : k + 2])]


def section(result: report.Result, folder: Path) -> str:
    lines = [f"## {title_of(result)}", "", WHAT[result["suite"]], ""]
    in_low = result["suite"] in low.LOW_SUITES
    for path in pictures.draw(result, folder / "pictures") if not in_low else ():
        lines += [f"![{path.stem}](pictures/{path.name})", ""]
    for threads in result["threads"]:
        lines += [f"### Threads: {threads}", "", *(line + "  " for line in report.header(result, threads)), ""]
        if in_low:
            for title, cells in low.tables(result, threads):
                lines += [f"{title}:", "", *markdown(cells), ""]
            lines += [line + "  " for line in low.notes(result, threads)]
            continue
        found = report.rows(result, threads)
        lines += markdown(report.columns(result, threads, found))
        lines += ["", *(line + "  " for line in report.footer(result, threads, found)), ""]
    return "\n".join(lines)


def markdown(cells: list[list[str]]) -> list[str]:
    """A table, its heads first."""
    heads, *others = cells
    return [
        f"| {' | '.join(heads)} |",
        "|---|" + "---:|" * (len(heads) - 1),
        *(f"| {' | '.join(row)} |" for row in others),
    ]
