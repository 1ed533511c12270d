"""Docstrings of what a user constructs or calls: every argument, its default, and the errors."""

import inspect
import re

import pytest

import fastlstm as fl
from fastlstm import callbacks, constraints, init, losses, metrics, optim, regularizers, schedules
from fastlstm.layers.settings import Settings


def own(module, kind=object):
    """Public classes, functions and callable objects of a module, by name."""
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": thing
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and callable(thing)
        and getattr(thing, "__module__", "").startswith("fastlstm")
        and (kind is object or (isinstance(thing, type) and issubclass(thing, kind)))
    }


CLASSES = {
    **own(optim, optim.Optimizer),
    **own(schedules, schedules.Schedule),
    **{
        name: thing
        for module, base in (
            (init, init.Initializer),
            (regularizers, regularizers.Regularizer),
            (constraints, constraints.Constraint),
        )
        for name, thing in own(module, base).items()
        if thing is not base and not thing.__name__.startswith("_")
    },
    **{name: thing for name, thing in own(callbacks, fl.Callback).items() if thing is not fl.Callback},
}
CALLED = {
    name: thing
    for module in (optim, losses, metrics)
    for name, thing in own(module).items()
    if not isinstance(thing, type) and not name.endswith((".Array", ".Function", ".Metric"))
}


def sections(thing):
    """The parts of a docstring by their headings: "Parameters" and so on."""
    parts = re.split(r"^(\w[\w ]*)\n-+$", inspect.cleandoc(thing.__doc__), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented(thing):
    """What is said of each argument, by name."""
    found = {}
    for line in sections(thing).get("Parameters", "").splitlines():
        if line and not line[0].isspace():
            names, _, kind = line.partition(" : ")
            found.update(dict.fromkeys((name.strip("* ") for name in names.split(",")), kind))
    return found


def arguments(thing):
    call = thing if isinstance(thing, type) or inspect.isfunction(thing) else type(thing).__call__
    return {name: p for name, p in inspect.signature(call).parameters.items() if name != "self"}


@pytest.mark.parametrize("name", [*CLASSES, *CALLED])
def test_every_argument_is_documented_with_its_default(name):
    thing = {**CLASSES, **CALLED}[name]
    said = documented(thing)
    assert list(said) == list(arguments(thing))
    for argument, parameter in arguments(thing).items():
        if parameter.default is None:
            assert "optional" in said[argument], argument
        elif parameter.default is not parameter.empty:
            default = parameter.default if isinstance(parameter.default, tuple) else str(parameter.default)
            told = re.search(r"default (.*)", said[argument])[1].strip('"')
            number = isinstance(parameter.default, float | int) and not isinstance(parameter.default, bool)
            assert float(told) == parameter.default if number else told == str(default), argument


RECURRENT = [fl.LSTM, fl.GRU, fl.SimpleRNN, fl.MinLSTM, fl.SLSTM]


@pytest.mark.parametrize("kind", RECURRENT)
def test_every_argument_of_a_recurrent_layer_is_shown_and_documented(kind):
    said, shown = documented(kind), arguments(kind)
    assert list(said) == list(shown)
    own, shared = {*arguments(kind.__init__)} - {"shared"}, {*kind._takes.__annotations__} - {*Settings.__annotations__}
    assert {*shown} == own | shared | {"settings"}
    assert kind.__init__.__annotations__["shared"] == f"Unpack[{kind._takes.__name__}]"


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_shared_argument_has_the_default_that_is_shown_and_documented(kind):
    said, shown, layer = documented(kind), arguments(kind), kind(3, 4)
    for name in {*kind._takes.__annotations__} - {*Settings.__annotations__}:
        default = shown[name].default
        assert getattr(layer, "_seed" if name == "seed" else name) == default
        told = re.search(r"default (.*)", said[name])[1].strip('"')
        assert float(told) == default if isinstance(default, float) else told == str(default), name


def test_the_signature_of_a_layer_is_that_of_its_constructor():
    class Square(fl.LSTM):
        """Its own words on **shared."""

        def __init__(self, size, **options):
            super().__init__(size, size, **options)

    assert list(inspect.signature(fl.Dropout).parameters) == ["rate", "dtype", "seed"]

    class Small(fl.LSTM):
        def __init__(self):
            super().__init__(1, 1)

    assert str(inspect.signature(Small)) == "()"
    assert str(inspect.signature(Square)) == "(size, **options)"
    assert Square.__doc__ == "Its own words on **shared."


@pytest.mark.parametrize("name", CLASSES)
def test_what_a_constructor_refuses_is_documented(name):
    """Each argument is given a value of no sensible type, and a negative number."""
    thing, said = CLASSES[name], sections(CLASSES[name]).get("Raises", "")
    right = {"folder": "folder", "path": "file.csv", "function": len}
    needed = {a: right.get(a, 1) for a, parameter in arguments(thing).items() if parameter.default is parameter.empty}
    thing(**needed)
    for argument in arguments(thing):
        for value in (object(), -1):
            try:
                thing(**{**needed, argument: value})
            except (TypeError, ValueError) as error:
                raised = type(error).__name__
                assert raised in said, (argument, value)


@pytest.mark.parametrize("name", CALLED)
def test_what_is_called_documents_its_errors(name):
    if name != "optim.grad_norm":
        assert "Error" in sections(CALLED[name])["Raises"]
