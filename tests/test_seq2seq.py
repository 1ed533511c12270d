"""Encoder and decoder: against the formulas, whole gradients, teachers, decoding against all there is, training."""

import itertools

import numpy as np
import pytest
from gradcheck import relative_error

import fastlstm as fl
from fastlstm.layers.decoder import Decoder

X = np.array([[3, 1, 4, 1], [1, 5, 0, 0], [2, 6, 5, 3]])
LENGTHS = np.array([4, 2, 3])
Y = np.array([[1, 0, 2], [2, 3, 3], [0, 0, 1]])
END = 3


def model_of(dtype="float64", attention=True, num_layers=1, bidirectional=False, seed=0, max_steps=4, scale=3):
    decoder = fl.Decoder(
        *((1 + bidirectional) * 3, 4, 4),
        max_steps=max_steps,
        end_token=END,
        embedding_size=2,
        attention=attention,
        num_layers=num_layers,
    )
    layers = [fl.Embedding(7, 3), fl.LSTM(3, 3, bidirectional=bidirectional), decoder]
    model = fl.Model(layers, dtype=dtype, seed=seed)
    for parameter in model.parameters():  # far from where all tokens are equally likely
        parameter.value = scale * parameter.value
    return model


def taught(model, x, y, lengths=None, tape=None, own=None):
    """Scores of a training pass with teacher forcing."""
    tape = tape or model.tape()
    model.layers[-1]._teach(np.asarray(y), tape.workspaces[-1], own)
    return model.forward(x, tape, training=True, lengths=lengths)


def by_hand(decoder, memory, tokens):
    """Scores (S, V) for one encoded sequence (T, F) and the tokens that are read, by the formulas."""
    value = {name: decoder.parameter(name).value for name in decoder.parameter_shapes()}
    lstm = fl.LSTM(decoder.embedding_size, decoder.hidden_size, num_layers=decoder.num_layers, dtype="float64")
    lstm.load_parameters({name: value["lstm_" + name] for name in lstm.parameter_shapes()}, "float64")
    state = np.tanh(value["bridge_weight"] @ np.concatenate([memory[0], memory[-1]]) + value["bridge_bias"])
    h, c = state.reshape(2, decoder.num_layers, 1, decoder.hidden_size)
    outputs, _ = lstm(value["embedding_weight"][tokens][None], (h, c))
    scores = []
    for out in outputs[0]:
        if decoder.attention:
            weights = fl.softmax(memory @ value["keys_weight"].T @ out)
            both = np.concatenate([weights @ memory, out])
            out = np.tanh(value["combine_weight"] @ both + value["combine_bias"])
        scores.append(value["output_weight"] @ out + value["output_bias"])
    return np.array(scores)


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_scores_are_the_formulas(attention, num_layers):
    model = model_of(attention=attention, num_layers=num_layers)
    memory = fl.Model(model.layers[:2], dtype="float64").predict(X, lengths=LENGTHS)
    for training in (True, False):
        tape = model.tape()
        model.layers[-1]._teach(Y, tape.workspaces[-1])
        found = model.forward(X, tape, training=training, lengths=LENGTHS)
        for row, own, length, y in zip(found, memory, LENGTHS, Y, strict=True):
            expected = by_hand(model.layers[-1], own[:length], [4, *y[:-1]])
            np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_whole_gradient(attention, bidirectional):
    model = model_of(attention=attention, bidirectional=bidirectional, num_layers=1 + bidirectional, scale=2)
    weights = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1.0]])

    def value():
        return fl.softmax_cross_entropy(taught(model, X, Y, LENGTHS), Y, weights)[0]

    tape = model.tape()
    for _ in range(2):  # the second time over what the first has left
        model.zero_grad()
        dy = fl.softmax_cross_entropy(taught(model, X, Y, LENGTHS, tape), Y, weights)[1]
        assert model.backward(dy, tape) is None
    for parameter in model.parameters():
        assert relative_error(value, parameter.writable(), parameter.grad) < 1e-6, parameter.name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_padding_is_not_looked_at(dtype):
    model = model_of(dtype)
    other = X.copy()
    other[np.arange(4) >= LENGTHS[:, None]] = 6
    found = [(fl.generate(model, x, LENGTHS), taught(model, x, Y, LENGTHS)) for x in (X, other)]
    np.testing.assert_array_equal(found[0][0].tokens, found[1][0].tokens)
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_own_choices_are_those_of_a_greedy_decoding():
    model = model_of()
    greedy = fl.generate(model, X, LENGTHS)
    expected = taught(model, X, greedy.tokens, LENGTHS).copy()  # taught what it would have said itself
    nobody = np.zeros((3, 4), bool)
    np.testing.assert_allclose(model.predict(X, lengths=LENGTHS)[0], expected[0], rtol=1e-9)
    wrong = (greedy.tokens + 1) % 4
    free = taught(model, X, wrong, LENGTHS, own=~nobody)
    real = np.arange(4) < greedy.lengths[:, None]
    np.testing.assert_allclose(free[real], expected[real], rtol=1e-9)
    forced = taught(model, X, wrong, LENGTHS).copy()
    np.testing.assert_array_equal(taught(model, X, wrong, LENGTHS, own=nobody), forced)
    assert np.abs(forced - expected).max() > 1e-3
    one = nobody.copy()
    one[:, 1] = True  # its own first token, then the teacher's
    mixed = wrong.copy()
    mixed[:, 0] = greedy.tokens[:, 0]
    np.testing.assert_allclose(taught(model, X, wrong, LENGTHS, own=one), taught(model, X, mixed, LENGTHS), rtol=1e-9)


def test_a_lesson_is_for_one_pass():
    model, tape = model_of(), None
    tape = model.tape()
    taught(model, X, Y, tape=tape)
    np.testing.assert_array_equal(model.forward(X, tape), model.predict(X))


def all_sequences(steps):
    """Every sequence of at most so many steps: each ends with the first end token, or has all steps."""
    for tokens in itertools.product(range(4), repeat=steps):
        first = tokens.index(END) if END in tokens else steps
        if set(tokens[first:]) <= {END}:
            yield np.array(tokens), min(first + 1, steps)


def log_probability(model, x, tokens, length):
    scores = taught(model, x, tokens[None])[0]
    return np.log(fl.softmax(scores))[np.arange(length), tokens[:length]].sum()


@pytest.mark.parametrize("attention", [True, False])
def test_a_wide_beam_finds_the_best_of_all(attention):
    model = model_of(attention=attention, max_steps=3)
    for x in X[:, None]:
        known = [(log_probability(model, x, tokens, length), tuple(tokens)) for tokens, length in all_sequences(3)]
        np.testing.assert_allclose(np.exp([p for p, _ in known]).sum(), 1, rtol=1e-9)
        found = fl.generate(model, x, beam=64)
        assert tuple(found.tokens[0]) == max(known)[1]
        np.testing.assert_allclose(found.log_probabilities[0], max(known)[0], rtol=1e-9)


@pytest.mark.parametrize(("beam", "layers"), [(1, 1), (2, 1), (3, 1), (1, 2), (3, 2)])
def test_what_is_generated_has_its_probability(beam, layers):
    model = model_of(num_layers=layers)
    found = fl.generate(model, X, LENGTHS, beam=beam)
    assert found.tokens.shape == (3, 4)
    for x, n, tokens, length, probability in zip(X, LENGTHS, *found, strict=True):
        assert (tokens[length - 1 :] == END).all() or length == 4
        assert END not in tokens[: length - 1]
        np.testing.assert_allclose(probability, log_probability(model, x[None, :n], tokens, length), rtol=1e-9)
    for size in (1, 2):
        again = fl.generate(model, X, LENGTHS, beam=beam, batch_size=size)
        np.testing.assert_array_equal(again.tokens, found.tokens)
    assert fl.generate(model, X, max_steps=2).tokens.shape == (3, 2)
    assert fl.generate(model, X, max_steps=9).tokens.shape == (3, 9)


def test_greedy_takes_the_best_token_at_each_step():
    model = model_of()
    scores = model.predict(X)
    found = fl.generate(model, X)
    real = np.arange(4) < found.lengths[:, None]
    np.testing.assert_array_equal(scores.argmax(2)[real], found.tokens[real])


def digits(n, rng):
    """Strings of one to four digits of three, and these backwards with an end."""
    lengths = rng.integers(1, 5, n)
    x, y = rng.integers(0, 3, (n, 4)), np.full((n, 5), END)
    for row, backwards, length in zip(x, y, lengths, strict=True):
        backwards[:length] = row[:length][::-1]
    return x, y, lengths


@pytest.mark.parametrize(("attention", "encoder"), [(True, fl.LSTM), (False, fl.LSTM), (True, fl.GRU)])
def test_it_learns_to_say_strings_backwards(attention, encoder):
    rng = np.random.default_rng(0)
    x, y, lengths = digits(512, rng)
    decoder = fl.Decoder(24, 24, 4, max_steps=5, end_token=END, attention=attention)
    model = fl.Model([fl.Embedding(3, 8), encoder(8, 24), decoder], seed=0)
    trainer = fl.Seq2SeqTrainer(model, optimizer=fl.Adam(lr=0.02), clip_norm=1.0, metrics=["accuracy"])
    history = trainer.fit(x, y, lengths=lengths, epochs=12, validation=(x, y, lengths), seed=0, progress=False)
    assert history["val_accuracy"][-1] > 0.99
    x, y, lengths = digits(100, rng)
    found = fl.generate(model, x, lengths, beam=2)
    assert (found.tokens == y).all(1).mean() > 0.95
    np.testing.assert_allclose(trainer.evaluate(x, y, lengths=lengths)["accuracy"], 1, atol=0.05)


def fit(model, epochs=2, teacher_forcing=0.5, **options):
    x, y, lengths = digits(20, np.random.default_rng(0))
    trainer = fl.Seq2SeqTrainer(model, optimizer=fl.Adam(0.01), teacher_forcing=teacher_forcing)
    trainer.fit(x, y, lengths=lengths, epochs=epochs, batch_size=8, seed=3, progress=False, **options)
    return [parameter.value.copy() for parameter in model.parameters()]


def test_scheduled_sampling_has_the_same_bits_for_the_same_seed(tmp_path):
    def new():
        return model_of("float32", max_steps=5)

    first, second = fit(new()), fit(new())
    forced, falling = fit(new(), teacher_forcing=1.0), fit(new(), teacher_forcing=lambda epoch: 1 - 0.5 * (epoch > 0))
    interrupted = new()
    fit(interrupted, epochs=1, resume=tmp_path)
    resumed = fit(new(), resume=tmp_path)
    for a, b, c, d in zip(first, second, falling, resumed, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(a, d)
    assert any((a != b).any() for a, b in zip(first, forced, strict=True))


def test_steps_beyond_all_measure_are_refused():
    with pytest.raises(ValueError, match="max_steps: expected at most 1000000, got 2147483647"):
        fl.Decoder(8, 8, num_tokens=3, max_steps=2**31 - 1, end_token=2)


def test_what_stands_behind_the_end_does_not_count():
    model = model_of(max_steps=5)
    trainer = fl.Seq2SeqTrainer(model)
    short = np.array([[0, 1, END], [2, END, END], [END, END, END]])
    noise = np.array([[0, 1, END, 2, 2], [2, END, 1, 0, 3], [END, 0, 0, 0, 0]])
    whole = trainer.evaluate(X, noise)["loss"]
    assert whole == trainer.evaluate(X, short)["loss"]
    assert whole == trainer.evaluate(X, [[0, 1], [2, END], [END, END]])["loss"]  # an end is put where there is none
    each = [trainer.evaluate(X[[k]], short[[k]])["loss"] for k in range(3)]
    np.testing.assert_allclose(whole, np.average(each, weights=[3, 2, 1]), rtol=1e-12)
    weighted = trainer.evaluate(X, short, sample_weight=[1, 0, 2])["loss"]
    np.testing.assert_allclose(weighted, np.average(each, weights=[3, 0, 2]), rtol=1e-12)


@pytest.mark.parametrize("attention", [True, False])
def test_saved_and_loaded(attention, tmp_path):
    model = model_of("float32", attention)
    fl.save(model, tmp_path / "m")
    again = fl.load(tmp_path / "m")
    assert isinstance(again.layers[-1], Decoder)
    for ours, loaded in zip(fl.generate(model, X, beam=3), fl.generate(again, X, beam=3), strict=True):
        np.testing.assert_array_equal(ours, loaded)


def test_what_cannot_be_is_named():
    plain = fl.Model([fl.LSTM(3, 4), fl.Dense(4, 4)], seed=0)
    model = model_of()
    for call in (fl.Seq2SeqTrainer, lambda model: fl.generate(model, X)):
        with pytest.raises(ValueError, match="model: expected one whose last layer is a Decoder, got Dense"):
            call(plain)
        with pytest.raises(TypeError, match="model: expected a Model, got int"):
            call(3)
    for wrong, error, message in (
        (lambda: model.stream(), ValueError, "a Decoder cannot stream"),
        (lambda: model.tape(carry=True), ValueError, "a Decoder cannot carry a state"),
        (
            lambda: fl.Decoder(2, 2, 4, max_steps=3, end_token=4),
            ValueError,
            "end_token: expected at least 0 and at mos",
        ),
        (lambda: fl.Decoder(2, 2, 4, max_steps=3, end_token=0.5), TypeError, "end_token: expected a whole number"),
        (lambda: fl.Seq2SeqTrainer(model, teacher_forcing=2), ValueError, "teacher_forcing: expected at least 0 and"),
        (lambda: fl.Seq2SeqTrainer(model).fit(X, Y + 2, epochs=1), ValueError, r"y: expected 0 to 3, got 4"),
        (
            lambda: fl.Seq2SeqTrainer(model).fit(X, np.full((3, 1), 2**64 - 1, np.uint64), epochs=1),
            ValueError,
            rf"y: expected 0 to 3, got {2**64 - 1}",
        ),
        (lambda: fl.Seq2SeqTrainer(model).fit(X, np.zeros((3, 5), int), epochs=1), ValueError, "y: expected at most 4"),
        (lambda: fl.Seq2SeqTrainer(model).fit(X, Y / 2, epochs=1), TypeError, "y: expected whole numbers"),
        (lambda: fl.Seq2SeqTrainer(model).fit(X, Y[:2], epochs=1), ValueError, r"y: expected shape"),
        (lambda: fl.Seq2SeqTrainer(model).fit_batches([(X, Y)], epochs=1), NotImplementedError, "whole data; use fit"),
        (
            lambda: fl.Seq2SeqTrainer(model).fit(X, Y, epochs=1, sample_weight=np.full(3, 1e-309)),
            ValueError,
            "sample_weight: expected at least one above 0, got none",
        ),
        (lambda: fl.generate(model, X, beam=0), ValueError, "beam: expected at least 1, got 0"),
        (lambda: fl.Model([fl.Last(), fl.Decoder(2, 2, 4, max_steps=3, end_token=0)]), ValueError, "Decoder takes"),
    ):
        with pytest.raises(error, match=message):
            wrong()
