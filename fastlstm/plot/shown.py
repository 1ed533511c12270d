"""A figure that a notebook shows, whether pyplot has been imported there or not."""

from __future__ import annotations

import io
import warnings

import matplotlib.figure


class Figure(matplotlib.figure.Figure):
    """A figure of matplotlib with a picture of its own. Where pyplot says how figures are shown, that comes first."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # letters that the font lacks, in names of the user
            self.savefig(picture, format="png")
        return picture.getvalue()
