"""Where a worker gets a model from: a file, or the bytes that came with the work. A process loads each model once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from fastlstm.files import PathLike
from fastlstm.io import native, pickled
from fastlstm.model import Model

MOST_MODELS = 4
"""Models that a process keeps, those that were used last."""


@dataclass(frozen=True)
class Source:
    """A model as workers get it.

    Attributes
    ----------
    checksum : str
        Of the file's content or of the bytes. By it a process finds what it has loaded already.
    path : str, optional
        Its file.
    parts : tuple, optional
        Its bytes and what belongs to them, see `pickled.parts_of`.
    """

    checksum: str
    path: str | None = None
    parts: pickled.Parts | None = field(default=None, repr=False)

    @classmethod
    def of_path(cls, path: PathLike) -> Source:
        """A file, which is read once now, so that errors come before the work does."""
        absolute = os.path.abspath(os.fspath(path))
        model, checksum = native.load_whole(absolute)
        source = cls(checksum, path=absolute)
        with _loading:
            source._keep(model)
        return source

    @classmethod
    def of_model(cls, model: Model) -> Source:
        """A model as it is now."""
        parts = pickled.parts_of(model)
        return cls(hashlib.sha256(parts[0], usedforsecurity=False).hexdigest(), parts=parts)

    def model(self) -> Model:
        """The model. Any number of threads may ask for it.

        Raises
        ------
        OSError
            If the file cannot be read here.
        ValueError
            If it is damaged, or another one than at first.
        """
        with _loading:
            found = _models.get(self._key)
            if found is None:
                found = pickled.of_parts(*self.parts) if self.parts is not None else self._read()
                self._keep(found)
            _models.move_to_end(self._key)
            return found

    @property
    def _key(self) -> tuple[object, ...]:
        return self.checksum, () if self.parts is None else self.parts[2]

    def _keep(self, model: Model) -> None:
        _models[self._key] = model
        while len(_models) > MOST_MODELS:
            _models.popitem(last=False)

    def _read(self) -> Model:
        assert self.path is not None
        try:
            model, checksum = native.load_whole(self.path)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error}; every worker reads the file: put it where all of them see it, or pass the model itself"
            ) from None
        if checksum != self.checksum:
            raise ValueError(f"{self.path}: holds another model than when the Predictor was made; make a new one")
        return model


_loading = threading.Lock()
_models: OrderedDict[tuple[object, ...], Model] = OrderedDict()
