"""Numbers as people write them: with separators of thousands, a decimal comma, a currency or a per cent sign."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastlstm.forecasting.table import DRESSED, is_missing

Floats = NDArray[np.float64]

POINT = re.compile(
    r"[+-]?([1-9]\d{0,2}(?P<group>[,'’\s])\d{3}((?P=group)\d{3})*(\.\d*)?|\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
)
COMMA = re.compile(
    r"[+-]?([1-9]\d{0,2}(?P<group>[.'’\s])\d{3}((?P=group)\d{3})*(,\d*)?|\d+(,\d*)?|,\d+)([eE][+-]?\d+)?"
)
THREE = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
LONG = re.compile(r"[+-]?\d{4,}")
LONGEST = 100
"""Characters that a cell with a number may have."""

BOTH_WAYS = (
    "numbers that can be read in one way only (--decimal . takes commas as separators of thousands, --decimal , as "
    "decimal ones)"
)

CONVENTIONS = {".": POINT, ",": COMMA}


@dataclass(frozen=True)
class Refused:
    """Why a column is not read as numbers: a row, and what was expected there."""

    row: int
    expected: str = "a number"


def parse_numbers(
    cells: Sequence[str], decimal: str | None, separator: str, notes: list[str], name: str
) -> Floats | Refused:
    """The numbers that a column of text means; NaN for a missing one.

    Parameters
    ----------
    cells : list of str
    decimal : "." or ",", optional
        The decimal mark. By default it is found from all cells of the column.
    separator : str
        What separates the columns of the file: where this is a comma, commas in cells are rather those of thousands.
    notes : list of str
        Gets a sentence on what was decided.
    name : str
        The column's name, for the notes.
    """
    plain = None if decimal == "," else _plain(cells)
    if plain is not None:
        return plain
    bare = _undressed(cells)
    if isinstance(bare, Refused):
        return bare
    found = decimal or _decimal(bare.texts, separator)
    if found is None:
        return Refused(bare.rows[0], BOTH_WAYS)
    wrong = next((k for k, text in enumerate(bare.texts) if not CONVENTIONS[found].fullmatch(text)), None)
    if wrong is not None:
        return Refused(bare.rows[wrong])
    values = np.full(len(cells), np.nan)
    values[bare.rows] = bare.signs * [_float(text, found) for text in bare.texts]
    commas = [text for text in bare.texts if "," in text]
    if decimal is None and commas and all(map(THREE.fullmatch, commas)):
        what = "separators of thousands" if found == "." else "decimal ones"
        notes.append(f"The commas in the column {name!r} are taken as {what}: --decimal says otherwise.")
    if bare.brackets:
        notes.append(f"Numbers in brackets in the column {name!r} are taken as negative.")
    return values


@dataclass(frozen=True)
class Bare:
    """Numbers of a column without what stands around them: their rows, texts and signs, and whether brackets did."""

    rows: list[int]
    texts: list[str]
    signs: Floats
    brackets: bool


def _undressed(cells: Sequence[str]) -> Bare | Refused:
    """The numbers without signs, currencies, per cent signs and the brackets of accountants."""
    rows = [i for i, cell in enumerate(cells) if not is_missing(cell)]
    texts, signs = [], np.ones(len(rows))
    currencies: list[str] = []
    percents, brackets = [], False
    for k, row in enumerate(rows):
        match = DRESSED.fullmatch(cells[row]) if len(cells[row]) <= LONGEST else None
        if match is None or (match["open"] is None) != (match["close"] is None):
            return Refused(row)
        text, negative = match["inner"].strip(), match["open"] or match["sign"]
        if negative and text[0] in "+-" or match["open"] and match["sign"]:
            return Refused(row)
        texts.append(text)
        signs[k] = -1 if match["open"] or match["sign"] in ("-", "\N{MINUS SIGN}") else 1
        brackets = brackets or bool(match["open"])
        percents.append(match["percent"] is not None)
        currencies += [mark for mark in (match["before"], match["behind"]) if mark and mark not in currencies]
        if len(currencies) > 1:
            return Refused(row, f"the same currency in the whole column, {currencies[0]}")
    if any(percents) and not all(percents):
        return Refused(rows[percents.index(not percents[0])], "a % in every cell of the column or in none")
    return Bare(rows, texts, signs, brackets)


def _plain(cells: Sequence[str]) -> Floats | None:
    """The cells as Python reads numbers; None if it cannot."""
    try:
        return np.array([np.nan if is_missing(cell) else float(cell) for cell in cells])
    except ValueError:
        return None


def _decimal(bare: Sequence[str], separator: str) -> str | None:
    """The decimal mark of a column: the one with which more cells are numbers; None if both are as likely."""
    point, comma = (sum(map(bool, map(form.fullmatch, bare))) for form in (POINT, COMMA))
    if point != comma:
        return "." if point > comma else ","
    with_comma = [text for text in bare if "," in text]
    if not with_comma or not all(map(THREE.fullmatch, with_comma)):
        return "."
    if any(map(LONG.fullmatch, bare)):  # thousands are written without a separator
        return ","
    return "." if separator == "," or len(with_comma) < len(bare) else None


def _float(text: str, decimal: str) -> float:
    return float(re.sub(r"['’\s,]" if decimal == "." else r"['’\s.]", "", text).replace(",", "."))
