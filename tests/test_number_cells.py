"""Numbers as people write them: the whole column decides what a comma means, and what it cannot decide is refused."""

import re

import numpy as np
import pytest

from fastlstm.forecasting.read_series import read_series


@pytest.fixture
def read(tmp_path):
    def read(cells, separator=";", **options):
        path = tmp_path / "a.csv"
        path.write_text("k;x\n".replace(";", separator) + "".join(f'a{separator}"{cell}"\n' for cell in cells))
        return read_series(path, "x", **options)

    return read


@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["10,069.12", "1,200", "7"], [10069.12, 1200, 7]),
        (["10.069,12", "1.200", "7"], [10069.12, 1200, 7]),
        (["1 234,5", "12\u00a0345,25", "3"], [1234.5, 12345.25, 3]),
        (["1'234.5", "12\u2019345.25", "3"], [1234.5, 12345.25, 3]),
        (["$1,200", "$ 3.50", "-$2", "$-1"], [1200, 3.5, -2, -1]),
        (["1.200,50 €", "3 €", "-2,5 €"], [1200.5, 3, -2.5]),
        (["12 %", "3.5%", "-1 %"], [12, 3.5, -1]),
        (["(1,234.5)", "2", "(3)"], [-1234.5, 2, -3]),
        (["\u22125,5", "6"], [-5.5, 6]),
        (["0,123", "1,234"], [0.123, 1.234]),
        (["1,234,567", "1,234"], [1234567, 1234]),
        (["1.5", "2e3", "-.5"], [1.5, 2000, -0.5]),
    ],
)
def test_numbers_are_read_as_the_whole_column_says(cells, values, separator, read):
    assert read(cells, separator).values.tolist() == values


@pytest.mark.parametrize(
    ("cells", "separator", "values", "what"),
    [
        (["1,234", "5,678"], ",", [1234, 5678], "separators of thousands"),
        (["1,234", "999"], ";", [1234, 999], "separators of thousands"),
        (["1,234", "5678"], ";", [1.234, 5678], "decimal ones"),
    ],
)
def test_what_a_comma_was_taken_for_is_said(cells, separator, values, what, read):
    series = read(cells, separator)
    assert series.values.tolist() == values
    assert f"The commas in the column 'x' are taken as {what}: --decimal says otherwise." in series.notes


def test_brackets_are_said_to_be_negative(read):
    assert "Numbers in brackets in the column 'x' are taken as negative." in read(["(5)", "6"]).notes


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1,234", "5,678"], "line 2, column 'x': expected numbers that can be read in one way only (--decimal . takes "
         "commas as separators of thousands, --decimal , as decimal ones), got '1,234'"),
        (["5", "6 %"], "line 3, column 'x': expected a % in every cell of the column or in none, got '6 %'"),
        (["$5", "6 €"], "line 3, column 'x': expected the same currency in the whole column, $, got '6 €'"),
        (["1.234,5", "2.3,1"], "line 3, column 'x': expected a number, got '2.3,1'"),
        (["(5", "6"], "line 2, column 'x': expected a number, got '(5'"),
        (["(-5)", "6"], "line 2, column 'x': expected a number, got '(-5)'"),
        (["--5", "6"], "line 2, column 'x': expected a number, got '--5'"),
        (["1,2 ," + " " * 200, "$" + "1 " * 99], "line 3, column 'x': expected a number, got '$1 1 1"),
        (["1,5", "9" * 90 + "e999"], "line 3, column 'x': expected a finite number"),
    ],
)  # fmt: skip
def test_numbers_that_may_mean_something_else_are_refused(cells, message, read):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(cells)


def test_the_decimal_mark_can_be_given(read):
    assert read(["1,234", "5,678"], decimal=".").values.tolist() == [1234, 5678]
    assert read(["1,234", "5,678"], decimal=",").values.tolist() == [1.234, 5.678]
    assert read(["1.234", "5.678"], decimal=",").values.tolist() == [1234, 5678]
    with pytest.raises(ValueError, match=r"decimal: expected '.' or ',', got ';'"):
        read(["1"], decimal=";")


def test_a_file_of_amounts_without_a_header_keeps_its_first_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("$1,200\n$1,300\n".replace(",", ""))
    assert np.array_equal(read_series(path, "1").values, [1200, 1300])
