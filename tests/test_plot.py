"""Pictures: what stands in them, and what they refuse."""

import sys
import types

import numpy as np
import pytest

import fastlstm as fl
from fastlstm import History, plot
from fastlstm.plot import (
    confusion_figure,
    gradient_norms_figure,
    learning_curves_figure,
    save_figure,
    tokens_figure,
)

pytest.importorskip("matplotlib")

HISTORY = {"loss": [3.0, 2, 1], "val_loss": [3.0, 1.5, 1.6], "accuracy": [0.2, 0.4, 0.6], "val_auc": [0.5, 0.6, 0.5]}


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def inside(figure):
    """Whether all that is drawn lies within the picture."""
    figure.canvas.draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


EVERY = {
    "curves": lambda: learning_curves_figure(HISTORY, title="a", units={"loss": "nats"}, log=True, best="min"),
    "norms": lambda: gradient_norms_figure(np.linspace(3, 0.1, 300), clip_norm=1.0, title="b"),
    "confusion": lambda: confusion_figure([0, 1, 2, 3, 4], [0, 1, 2, 2, 4], ["a rather long name"] * 5, title="c"),
    "tokens": lambda: tokens_figure(["word", "longer", "."] * 60, np.arange(180) - 90, title="d", width=6),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_picture_is_written_with_all_its_letters_inside(name, tmp_path):
    figure = EVERY[name]()
    assert inside(figure)
    save_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", EVERY)
def test_without_matplotlib_the_extra_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"drawing needs matplotlib: pip install 'fastlstm\[plot\]'"):
        EVERY[name]()


def test_a_notebook_shows_a_figure_without_pyplot():
    """IPython asks an object for its picture where nobody has told it how to draw the type."""
    figure = learning_curves_figure(HISTORY)
    assert figure._repr_png_().startswith(b"\x89PNG") and repr(figure).startswith("<Figure size 1100x")


def test_learning_curves_have_a_panel_for_each_figure():
    figure = learning_curves_figure(HISTORY, units={"loss": "nats"}, best="min")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss (nats)", "accuracy", "auc"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "epoch"]
    assert legend(figure.axes[0]) == ["training", "validation", "best: 1.5,\nepoch 2"]
    assert legend(figure.axes[1]) == ["training"] and legend(figure.axes[2]) == ["validation"]
    line = figure.axes[0].get_lines()[1]
    assert line.get_xdata().tolist() == [1, 2, 3] and list(line.get_ydata()) == HISTORY["val_loss"]


def test_learning_curves_of_some_figures_of_a_history():
    figure = learning_curves_figure(History.from_dict(HISTORY), ["accuracy"], best="max")
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy"]
    assert legend(figure.axes[0])[-1] == "best: 0.6,\nepoch 3"
    with pytest.raises(ValueError, match=r"names: expected some of \['loss', 'accuracy', 'auc'\], got 'mae'"):
        learning_curves_figure(HISTORY, ["mae"])
    with pytest.raises(ValueError, match="history: expected at least one epoch, got none"):
        learning_curves_figure(History())
    with pytest.raises(ValueError, match="best: expected 'min', 'max' or None, got 'low'"):
        learning_curves_figure(HISTORY, best="low")


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_epochs_are_whole_numbers(epochs):
    figure = learning_curves_figure({"loss": [0.5] * epochs})
    ticks = figure.axes[0].get_xticks()
    assert len(ticks) and (ticks == ticks.round()).all()


def test_gradient_norms_with_their_median():
    norms = np.array([1.0, 2, 3, 4, 5, 0, np.inf, 1])
    figure = gradient_norms_figure(norms, clip_norm=2.5, smooth=3)
    steps, median, _ = figure.axes[0].get_lines()
    assert np.isnan(steps.get_ydata()[5:7]).all()
    assert median.get_ydata().tolist() == [2, 3, 4, 5, 5, 5] and median.get_xdata().tolist() == [2, 3, 4, 5, 6, 7]
    assert legend(figure.axes[0])[-1] == "clipped above 2.5\n(50% of steps)"
    assert figure.axes[0].get_yscale() == "log"
    assert gradient_norms_figure([0.0, 0.0]).axes[0].get_yscale() == "linear"
    with pytest.raises(ValueError, match=r"norms: expected shape \(S,\) with S at least 1, got \(0,\)"):
        gradient_norms_figure(np.zeros(0))


def test_confusion_of_classes_and_of_scores():
    target = np.array([[0, 1, 2], [2, 2, -1]])
    scores = np.eye(3)[[[0, 2, 2], [2, 1, 0]]]
    for pred in (scores, scores.argmax(-1)):
        axes = confusion_figure(target, pred, title="t").axes[0]
        values = [int(text.get_text()) for text in axes.texts]
        assert values == [100, 0, 0, 0, 0, 100, 0, 33, 67]
        assert axes.get_title(loc="left") == "t: 60.0% right"
    counts = confusion_figure(target, scores, share=False).axes[0]
    assert [text.get_text() for text in counts.texts] == list("100001012")
    assert [tick.get_text() for tick in counts.get_yticklabels()] == ["0 (n = 1)", "1 (n = 1)", "2 (n = 3)"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 3], [0, 1], ["a", "b"]), "names: expected at least 4, one for each class, got 2"),
        (([-1, -1], [0, 1]), "target: expected at least one class, got none"),
        (([0, 1], [0, 1, 1]), r"pred: expected shape \(2,\), got \(3,\)"),
    ],
)
def test_confusion_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        confusion_figure(*arguments)


def test_words_are_wrapped_and_coloured_by_weight():
    words = ["never", "a", "dull", "moment", "!", "\n", "$5", "well", "spent"] * 8
    weights = np.tile([-1.0, 0, 0.5, 1, 0, 0, 0, 0, 0], 8)
    figure = tokens_figure(words, weights, label="change of the score", width=5)
    axes, bar = figure.axes
    assert [text.get_text() for text in axes.texts] == [word.replace("\n", "") for word in words]
    lines = [text.get_position()[1] for text in axes.texts]
    assert lines == sorted(lines) and lines[4] < lines[6]
    assert all(text.get_window_extent().x1 <= 5 * figure.dpi for text in axes.texts)
    colors = [patch.get_facecolor() for patch in axes.patches]
    assert colors[1] == (1, 1, 1, 1) and colors[0][0] > colors[0][2] and colors[3][2] > colors[3][0]
    assert bar.get_xlabel() == "change of the score" and bar.get_xlim() == (-1, 1)
    assert tokens_figure(["a"], [0.25]).axes[1].get_xlim() == (0, 0.25)
    assert tokens_figure(["a"], [0.25], signed=True).axes[1].get_xlim() == (-0.25, 0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "tokens: expected at least one word, got none"),
        ((["a"], [1, 2]), r"weights: expected shape \(1,\), got \(2,\)"),
        ((["a"], [np.nan]), "weights: expected finite numbers, got nan"),
    ],
)
def test_words_say_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        tokens_figure(*arguments)


def test_a_live_plot_is_drawn_again_in_its_place(monkeypatch):
    shown = []

    class Handle:
        def update(self, image):
            shown.append(image)

    display = types.ModuleType("IPython.display")
    display.display = lambda display_id: Handle()
    display.Image = lambda data, format: data
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    x = np.ones((4, 3, 1))
    model = fl.Model([fl.LSTM(1, 2), fl.Dense(2, 1)], seed=0)
    fl.Trainer(model, "mse", callbacks=[plot.LivePlot(every=2)]).fit(x, x, epochs=5)
    assert [png[:4] for png in shown] == [b"\x89PNG"] * 3  # after 2, 4 and 5 epochs
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(ImportError, match="LivePlot needs IPython"):
        fl.Trainer(model, "mse", callbacks=[plot.LivePlot()]).fit(x, x, epochs=1)
