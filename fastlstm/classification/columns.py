"""Which columns of a CSV file hold the texts and their labels: those that are named, or that look like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastlstm.separated import rows_of

SEPARATORS = (",", ";", "\t", "|")

TEXTS = (
    *("text", "texts", "review", "sentence", "message", "comment", "tweet", "content", "body", "sms", "headline"),
    *("document", "utterance", "question", "description", "title"),
)
LABELS = (
    *("label", "labels", "class", "category", "sentiment", "target", "stars", "rating", "topic", "intent", "emotion"),
    *("tag", "polarity", "y"),
)
"""Names that people give such columns, in any case."""

SAMPLE = 1000
"""How many rows are looked at to tell columns apart."""

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Columns:
    """Where the texts and their labels are.

    Attributes
    ----------
    text, label : int
    header : bool
        Whether the first row has names.
    note : str
        A sentence on what was chosen, unless it was asked for.
    """

    text: int
    label: int
    header: bool = True
    note: str = ""


def separator_of(first: Sequence[str], wanted: set[str], path: str) -> str:
    """The separator of these first lines: one that shows all wanted names, else one that stands in every line."""
    for separator in SEPARATORS:
        _, row = next(rows_of(first[:1], separator, path), (1, []))
        if wanted <= {name.strip().lower() for name in row}:
            return separator
    counts = {separator: [line.count(separator) for line in first if line.strip()] for separator in SEPARATORS}
    there = [separator for separator in SEPARATORS if counts[separator] and all(counts[separator])]
    even = [separator for separator in there if len({*counts[separator]}) == 1]
    return next(iter([*even, *there]), ",")


def columns_of(rows: Rows, text: str | None, label: str | None, path: str) -> Columns:
    """The columns of these first rows: those of the given names, or else those that have a usual name or content."""
    names = [name.strip() for name in rows[0]] if rows else []
    lower = [name.lower() for name in names]
    asked = [None if name is None else name.strip().lower() for name in (text, label)]
    if None in asked and {"text", "label"} <= {*lower}:
        asked = [name or usual for name, usual in zip(asked, ("text", "label"), strict=True)]
    for name in asked:
        if name is not None and lower.count(name) != 1:
            raise ValueError(f"{path}: expected one column {name!r} in its first line, got {_said(names)}")
    at_text, at_label = (None if name is None else lower.index(name) for name in asked)
    if at_text is not None and at_label is not None:
        return Columns(at_text, at_label)
    usual_text = at_text if at_text is not None else _usual(lower, TEXTS, at_label)
    usual_label = at_label if at_label is not None else _usual(lower, LABELS, at_text)
    if usual_text is not None and usual_label is not None and usual_text != usual_label:
        return Columns(usual_text, usual_label, note=_note(names, usual_text, usual_label))
    return _by_content(rows, names, at_text, at_label, path)


def _usual(names: Sequence[str], known: Sequence[str], but: int | None) -> int | None:
    """The column that alone has one of the known names."""
    found = [k for k, name in enumerate(names) if name in known and k != but]
    return found[0] if len(found) == 1 else None


def _by_content(rows: Rows, names: list[str], at_text: int | None, at_label: int | None, path: str) -> Columns:
    """The column of the longest texts, and the only other one whose cells come again and again."""
    body = [row for row in rows[1:] if len(row) >= len(names)]
    words = [sum(len(row[k].split()) for row in body) / max(1, len(body)) for k in range(len(names))]
    values = [{row[k].strip() for row in body} for k in range(len(names))]
    if at_text is None:
        at_text = max((k for k in range(len(names)) if k != at_label), key=words.__getitem__, default=None)
    most = max(2, len(body) // 2)
    labels = [k for k in range(len(names)) if k != at_text and 2 <= len(values[k]) <= most] if at_label is None else []
    at_label = labels[0] if len(labels) == 1 else at_label
    if at_text is None or at_label is None or (words[at_text] < 2 and len(values[at_text]) <= most):
        could = f"; labels could be any of {_said([names[k] for k in labels])}" if len(labels) > 1 else ""
        raise ValueError(
            f"{path}: expected the columns text and label in its first line, got {_said(names)}{could}; say which they "
            "are, by text= and label=, or --text and --label"
        )
    header = names[at_label] not in values[at_label]
    return Columns(at_text, at_label, header, _note(names if header else [], at_text, at_label))


def _note(names: Sequence[str], text: int, label: int) -> str:
    said = [repr(names[k]) if names else f"{k + 1} (there is no line of names)" for k in (text, label)]
    return f"Texts are those of column {said[0]}, labels those of column {said[1]}."


def _said(names: Sequence[str]) -> str:
    return repr(",".join(names)[:80])
