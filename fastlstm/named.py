"""Objects with a name and a few numbers, which the config of a layer can hold."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Self

import numpy as np


def plain(name: str) -> str:
    """A name without regard to its case and underscores: "he_uniform" is `HeUniform`."""
    return name.replace("_", "").lower()


class Named:
    """Base of families of frozen dataclasses, whose fields are numbers or words.

    A class with a `family` begins one. Its subclasses are known by their names, unless they are `abstract`.
    """

    _family: ClassVar[str] = ""
    _members: ClassVar[dict[str, type[Named]]]

    def __init_subclass__(cls, *, family: str = "", abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if family:
            cls._family, cls._members = family, {}
        if family or abstract:
            return
        known = cls._members.get(plain(cls.__name__))
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls._family} {cls.__name__} is known already, from {known.__module__}")
        cls._members[plain(cls.__name__)] = cls

    @classmethod
    def of(cls, value: Any, name: str) -> Self:
        """The object itself, that of a name, or that of what `config` has returned; errors name the argument."""
        if isinstance(value, cls):
            return value
        pair = isinstance(value, list | tuple) and len(value) == 2
        word, numbers = value if pair else (value, {})
        if not isinstance(word, str) or not isinstance(numbers, dict):
            raise TypeError(f"{name}: expected a name or an object of fastlstm.{cls.__module__[9:]}, got {value!r:.80}")
        found = cls._members.get(plain(word))
        if found is None:
            names = ", ".join(member.__name__ for member in cls._members.values())
            raise ValueError(f"{name}: expected one of {names}, got {word!r:.80}")
        try:
            made = found(**numbers)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {found.__name__}: {error}") from None
        assert isinstance(made, cls)
        return made

    def config(self) -> list[Any]:
        """The name and the fields, as JSON can hold them."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        plain_fields = {key: value.item() if isinstance(value, np.generic) else value for key, value in fields.items()}
        return [type(self).__name__, plain_fields]
