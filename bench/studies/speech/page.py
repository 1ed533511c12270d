"""docs/speech.md and its pictures, from the results of bench.studies.speech."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlstm.plot import confusion_figure, new_figure, save_figure

TEMPLATE = Path(__file__).parent / "page.md"


@dataclass(frozen=True)
class Example:
    """A string of digits to draw.

    Attributes
    ----------
    frames : (bands, frames), and frame_seconds, the length of a frame
    outputs : (classes, steps) probabilities, and step_seconds
    classes : names of the outputs
    said, read : the digits of the string, and what was read
    """

    frames: NDArray[Any]
    frame_seconds: float
    outputs: NDArray[Any]
    step_seconds: float
    classes: list[str]
    said: list[str]
    read: list[str]


def write(result: dict[str, Any], shown: Example, folder: Path) -> None:
    """The page, its pictures, and the figures as JSON."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    draw_confusion(np.array(result["words"]["confusion"]), pictures / "speech-confusion.png")
    draw_string(shown, pictures / "speech-string.png")
    (folder / "speech.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (folder / "speech.md").write_text(page(result), encoding="utf-8")


def page(result: dict[str, Any]) -> str:
    """The text around the figures stands in page.md."""
    words, both = result["words"], result["strings"]["bidirectional"]
    accuracy = np.array(words["accuracy"])
    strings = both["errors"]["strings"]
    return TEMPLATE.read_text(encoding="utf-8").format(
        count=f"{result['recordings']['count']:,}",
        test=result["recordings"]["test"],
        learned=f"{result['recordings']['count'] - result['recordings']['test']:,}",
        shortest="{:.2f}".format(result["recordings"]["seconds"][0]),
        longest="{:.2f}".format(result["recordings"]["seconds"][2]),
        accuracy=f"{accuracy.mean():.1%}",
        lowest=f"{accuracy.min():.1%}",
        highest=f"{accuracy.max():.1%}",
        seeds=len(accuracy),
        words_table=words_table(words),
        words_seconds=f"{np.mean(words['seconds']):.0f}",
        words_parameters=f"{words['network']['parameters']:,}",
        words_hidden=words["network"]["hidden"],
        words_epochs=words["epochs"],
        speakers_table=speakers_table(result["speakers"], result["speakers_centred"]),
        unknown=f"{np.mean(list(result['speakers'].values())):.1%}",
        unknown_centred=f"{np.mean(list(result['speakers_centred'].values())):.1%}",
        strings=strings["strings"],
        digits=f"{strings['digits']:,}",
        greedy=f"{strings['greedy']:.1%}",
        beam=f"{strings['beam']:.1%}",
        strings_table=strings_table(result["strings"]),
        strings_seconds=f"{both['seconds']:.0f}",
        strings_parameters=f"{both['network']['parameters']:,}",
        strings_hidden=both["network"]["hidden"],
        strings_epochs=both["epochs"],
        per_epoch=both["per_epoch"],
        factor=f"{strings['sound'] / strings['read']:,.0f}",
        machine="\n".join(f"- {name}: {text}" for name, text in result["machine"].items()),
        threads=result["threads"],
        minutes=f"{result['seconds'] / 60:.1f}",
    )


def words_table(words: dict[str, Any]) -> str:
    rows = zip(words["accuracy"], words["seconds"], strict=True)
    return table(
        ["seed", "right", "training"],
        [[str(seed), f"{accuracy:.2%}", f"{seconds:.1f} s"] for seed, (accuracy, seconds) in enumerate(rows)],
    )


def speakers_table(plain: dict[str, float], centred: dict[str, float]) -> str:
    rows = [[name, *(f"{one:.1%}" for one in way.values())] for name, way in (("plain", plain), ("centred", centred))]
    return table(["features", *plain], rows)


def strings_table(strings: dict[str, Any]) -> str:
    both, forward = (strings[way]["errors"] for way in ("bidirectional", "unidirectional"))
    rows = [
        [
            name,
            f"{one['digits']:,}",
            *(f"{way[name][how]:.2%}" for way in (both, forward) for how in ("greedy", "beam")),
        ]
        for name, one in both.items()
    ]
    heads = ["test", "digits", "both ways, greedy", "both ways, beam", "forward only, greedy", "forward only, beam"]
    return table(heads, rows)


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw_confusion(confusion: NDArray[Any], path: Path) -> None:
    """How often each digit was taken for each, over all seeds."""
    said, told = np.repeat(np.indices(confusion.shape).reshape(2, -1), confusion.reshape(-1), axis=1)
    title = "Single digits of the test set, all seeds"
    save_figure(confusion_figure(said, told, [str(digit) for digit in range(10)], title=title, share=False), path)


def draw_string(shown: Example, path: Path) -> None:
    """What the network hears, and under it what it says."""
    figure = new_figure()
    figure.set_size_inches(11, 6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    seconds = shown.frames.shape[1] * shown.frame_seconds
    top.imshow(shown.frames, origin="lower", aspect="auto", extent=(0, seconds, 0, len(shown.frames)), cmap="magma")
    top.set_ylabel("mel band", fontsize=12)
    top.set_title(f"Said: {' '.join(shown.said)}    read: {' '.join(shown.read)}", fontsize=14, loc="left", pad=10)
    middle = (np.arange(shown.outputs.shape[1]) + 0.5) * shown.step_seconds
    bottom.plot(middle, shown.outputs[0], color="#b5bac2", lw=1.2, label="blank")
    for name, row in zip(shown.classes[1:], shown.outputs[1:], strict=True):
        if row.max() > 0.3:
            (curve,) = bottom.plot(middle, row, lw=1.8)
            for step in peaks(row):
                place = (middle[step], row[step])
                bottom.annotate(name, place, (0, 3), textcoords="offset points", ha="center", color=curve.get_color())
    bottom.set_xlim(0, seconds)
    bottom.set_ylim(0, 1.2)
    bottom.set_ylabel("probability", fontsize=12)
    bottom.set_xlabel("seconds", fontsize=12)
    bottom.legend(fontsize=11, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for side in ("top", "right"):
        bottom.spines[side].set_visible(False)
    save_figure(figure, path)


def peaks(row: NDArray[Any]) -> list[int]:
    """The highest step of each stretch above 0.3."""
    above = np.flatnonzero(row > 0.3)
    stretches = np.split(above, np.flatnonzero(np.diff(above) > 1) + 1)
    return [int(stretch[row[stretch].argmax()]) for stretch in stretches if len(stretch)]
