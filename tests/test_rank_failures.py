"""What goes wrong on one rank, or differs between ranks: a clear error on all, and nobody waits for ever."""

import numpy as np
import pytest
from rank_cases import Ended, Threads, on_ranks

import fastlstm as fl
from fastlstm.communicator import Communicator
from fastlstm.training.exchange import RankError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 5, 1))
Y = X.cumsum(1)


def model(seed=0, **options):
    return fl.Model([fl.LSTM(1, 4), fl.Dense(4, 1)], dtype="float64", seed=seed, **options)


def fit(ranks, *, x=X, y=Y, net=None, optimizer=None, callbacks=(), trainer=None, **options):
    given = {"epochs": 2, "batch_size": 8, "seed": 0, **options}
    made = fl.Trainer(
        net or model(), "mse", optimizer or fl.Adam(), communicator=ranks, callbacks=callbacks, **(trainer or {})
    )
    return made.fit(x, y, **given)


def errors_of(size, act):
    with pytest.raises((Exception, Ended)):
        on_ranks(size, act)
    return on_ranks.errors


DIFFERENT = {
    "data: expected the same on every rank.*rank 1, at the beginning of the training; each rank must get all": {
        "x": X + 1
    },
    "parameters: expected the same on every rank.*give the model a seed": {"net": model(seed=1)},
    "model: expected the same on every rank, got .Model.*LSTM.*Model.*GRU": {
        "net": fl.Model([fl.GRU(1, 4), fl.Dense(4, 1)], dtype="float64", seed=0)
    },
    "lr: expected the same on every rank, got 0.001 on rank 0 and 0.1 on rank 1": {"optimizer": fl.Adam(0.1)},
    "optimizer: expected the same on every rank, got 'Adam' on rank 0 and 'SGD' on rank 1": {"optimizer": fl.SGD()},
    "epochs: expected the same on every rank, got 2 on rank 0 and 3 on rank 1": {"epochs": 3},
    "seed: expected the same on every rank, got 0 on rank 0 and 1 on rank 1": {"seed": 1},
    "batch_size: expected the same on every rank, got 8 on rank 0 and 12 on rank 1": {"batch_size": 12},
    "data size: expected the same on every rank, got 24 on rank 0 and 20 on rank 1": {"x": X[:20], "y": Y[:20]},
    r"callbacks: expected the same on every rank, got \[\] on rank 0 and \['EarlyStopping'\]": {
        "callbacks": [fl.EarlyStopping()]
    },
    "validation: expected the same on every rank": {"validation": (X, Y)},
}


@pytest.mark.parametrize("message", DIFFERENT)
def test_ranks_that_disagree_are_told_so_at_the_start(message):
    def act(ranks):
        fit(ranks, **(DIFFERENT[message] if ranks.rank == 1 else {}))

    errors = errors_of(3, act)
    for error in errors:
        assert isinstance(error, RankError)
        with pytest.raises(RankError, match=message):
            raise error
    assert on_ranks.aborted is None  # all raise it, and nobody has to be ended
    assert [error.told_elsewhere for error in errors] == [False, True, True]


def test_a_wrong_argument_on_one_rank_is_an_error_on_all():
    first, second = errors_of(2, lambda ranks: fit(ranks, y=Y[:5] if ranks.rank else Y))
    assert isinstance(second, ValueError) and "y: expected shape (24, 5, 1)" in str(second)
    assert isinstance(first, RankError)
    assert str(first).startswith("rank 1 of 2 has failed at the arguments of fit: ValueError: y: expected shape")
    assert not second.told_elsewhere and first.told_elsewhere


def test_a_batch_is_at_least_as_large_as_there_are_ranks():
    for error in errors_of(3, lambda ranks: fit(ranks, batch_size=2)):
        assert isinstance(error, ValueError)
        assert str(error) == "batch_size: expected at least 3, one sequence for each rank, got 2"


def test_a_sequence_has_at_least_as_many_streams_as_there_are_ranks():
    def act(ranks):
        trainer = fl.Trainer(model(), "mse", communicator=ranks)
        trainer.fit_sequence(X[:, 0], Y[:, 0], window=4, batch_size=1)

    for error in errors_of(2, act):
        assert "batch_size: expected at least 2, one sequence for each rank, got 1" in str(error)


class On(fl.Callback):
    """Does something at step 2 on rank 1."""

    def __init__(self, act):
        self.act = act

    def on_batch_end(self, progress):
        if progress.step == 2 and progress.rank == 1:
            self.act(progress)


def raising(progress):
    raise OSError("no more room")


def test_an_error_on_one_rank_ends_all_with_its_message(capfd):
    errors = errors_of(3, lambda ranks: fit(ranks, callbacks=[On(raising)]))
    assert isinstance(errors[1], OSError)
    assert all(isinstance(error, Ended) for error in (errors[0], errors[2]))
    assert on_ranks.aborted == "rank 1 of 3 has failed: OSError: no more room"
    assert "OSError: no more room" in capfd.readouterr().err


def test_parameters_that_are_changed_on_one_rank_are_noticed_at_the_end_of_the_epoch():
    def act(ranks):
        net = model()

        def change(progress):
            net.parameters()[0].value = net.parameters()[0].value + 1

        fit(ranks, net=net, callbacks=[On(change)])

    for error in errors_of(2, act):
        assert isinstance(error, RankError)
        assert "parameters now: expected the same on every rank" in str(error)
        assert "at the end of epoch 1; they were the same before: something, such as a callback" in str(error)


def test_a_loss_that_is_not_finite_on_one_rank_is_an_error_on_all_that_says_where():
    def loss(pred, y, weight):
        value, dpred = fl.mse(pred, y, weight)
        return (np.nan if (y == 7.5).any() else value), dpred

    y = Y.copy()
    y[23] = 7.5  # in the last batch, of the last rank

    def act(ranks):
        trainer = fl.Trainer(model(), loss, communicator=ranks)
        trainer.fit(X, y, epochs=2, batch_size=8, shuffle=False)

    for error in errors_of(3, act):
        assert isinstance(error, FloatingPointError)
        assert str(error).startswith("the loss is nan in epoch 1, batch 3 (step 3): all outputs are finite")
    assert on_ranks.aborted is None


@pytest.mark.parametrize("options", [{}, {"average_every": 2}, {"reproducible": True}], ids=str)
def test_a_gradient_that_is_not_finite_is_an_error_on_all(options):
    def loss(pred, y, weight):
        value, dpred = fl.mse(pred, y, weight)
        return value, dpred * 1e200 if (y == 7.5).any() else dpred

    y = Y.copy()
    y[20] = 7.5

    def act(ranks):
        trainer = fl.Trainer(model(), loss, communicator=ranks, **options)
        trainer.fit(X, y, epochs=2, batch_size=8, shuffle=False)

    errors = errors_of(2, act)
    for error in errors:
        assert isinstance(error, FloatingPointError), error
        assert "the norm of the gradient is inf in epoch 1, batch 3 (step 3)" in str(error)
    assert str(errors[0]) == str(errors[1])


def test_a_rank_that_does_not_come_is_named_by_the_time_limit():
    def act(ranks):
        if ranks.rank == 0:
            fit(ranks)
        else:
            Waiting.event.wait(20)

    class Waiting:
        import threading

        event = threading.Event()

    class Limited(Threads):
        def abort(self, message):
            super().abort(message)
            Waiting.event.set()

    import rank_cases

    rank_cases.Threads, before = Limited, Threads
    try:
        with pytest.raises(Ended):
            on_ranks(2, act, timeout=0.5)
    finally:
        rank_cases.Threads = before
    assert on_ranks.aborted.startswith(
        "rank 0 of 2 has waited 0.5 s for the other ranks: the arguments of fit. Every rank must make the same calls"
    )


class Few:
    """Has some of what a communicator needs, as mpi4py's own has."""

    rank, size = 0, 1

    def gather(self, array):
        return array


@pytest.mark.parametrize("wrong", [Few(), 4, "mpi", fl.distributed.mpi], ids=lambda wrong: type(wrong).__name__)
def test_a_communicator_of_the_wrong_kind(wrong):
    expected = (
        r"communicator: expected one such as fastlstm.distributed.mpi\(\) or fastlstm.distributed.torch\(\), got "
    )
    with pytest.raises(TypeError, match=expected + type(wrong).__name__):
        fl.Trainer(model(), "mse", communicator=wrong)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"reproducible": 2}, "reproducible: expected at least 3, a piece of each batch for each rank, got 2"),
        ({"reproducible": True, "wire": "bfloat16"}, "wire: expected None with reproducible"),
        ({"wire": "int8"}, "wire: expected one of .'bfloat16', 'float16'. or None, got 'int8'"),
        ({"average_every": 0}, "average_every: expected at least 1"),
        ({"average_every": 2, "wire": "float16"}, "average_every: expected None with reproducible or wire"),
    ],
    ids=str,
)
def test_options_that_do_not_fit(options, message):
    for error in errors_of(3, lambda ranks: fl.Trainer(model(), "mse", communicator=ranks, **options)):
        with pytest.raises(ValueError, match=message):
            raise error


def test_batch_norm_is_not_reproducible_on_any_number_of_ranks():
    net = fl.Model([fl.LSTM(1, 4), fl.BatchNorm(4)], seed=0)
    message = "reproducible: expected layers that compute each sequence by itself, got BatchNorm at 1"
    with pytest.raises(ValueError, match=message):
        fl.Trainer(net, "mse", reproducible=True)


def test_one_rank_is_no_other_training_than_none():
    expected = fit(None)
    (found,) = on_ranks(1, fit)
    assert found["loss"] == expected["loss"]
    assert isinstance(Threads.__new__(Threads), object) and issubclass(type(expected), fl.History)


def test_threads_are_a_communicator():
    assert on_ranks(1, lambda ranks: isinstance(ranks, Communicator)) == [True]
