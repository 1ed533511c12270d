"""The decoder: from an encoded sequence to another sequence of its own length, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from fastlstm import _check
from fastlstm._check import Shape
from fastlstm._kernels import activations
from fastlstm.layers.base import Array, Index, as_rows, check_features, clear_empty
from fastlstm.layers.dense import Dense
from fastlstm.layers.embedding import Embedding
from fastlstm.layers.matrix import Kinds, MatrixLayer
from fastlstm.layers.packed import Packed
from fastlstm.layers.recurrent.inference import State
from fastlstm.layers.recurrent.lstm import LSTM
from fastlstm.layers.settings import Settings
from fastlstm.workspace import Workspace


@dataclass
class Decoding:
    """The state of a decoding of some sequences.

    Attributes
    ----------
    memory : (N, T, F)
        Outputs of the encoder.
    keys : (N, T, H)
        Their keys in the attention; without attention (N, T, 0).
    beyond : (N, T) bools, or None
        Which steps are padding.
    state : (h, c), each (layers, N, H)
        The running state of the LSTM.
    """

    memory: Array
    keys: Array
    beyond: Array | None
    state: State

    def rows(self, index: Index) -> Decoding:
        """The decoding of some of the sequences, in this order. A sequence may occur several times."""
        h, c = (np.take(part, index, axis=1) for part in self.state)
        beyond = None if self.beyond is None else self.beyond[index]
        return Decoding(self.memory[index], self.keys[index], beyond, (h, c))


MOST_STEPS = 1_000_000
"""The largest number of steps of a decoded sequence. A file that asks for more is damaged."""


class Decoder(MatrixLayer):
    """Encoded sequences (N, T, F) to scores (N, S, V) of the tokens of other sequences: the last layer of a model.

    An LSTM reads the token before at each step. Its first state depends on the outputs of the encoder at the first and
    the last real step, m_1 and m_L (Cho et al. 2014; Sutskever et al. 2014): each direction of a bidirectional encoder
    has read the whole sequence at one of the two. With attention, the decoder looks at all m_t at each of its own steps
    (Luong et al. 2015, "general")::

        h, c = tanh(W_b [m_1; m_L] + b_b)                before the first step
        h = LSTM(E token, h, c)
        a_t = softmax over t of (h · W_a m_t)            context = sum over t of a_t m_t
        h' = tanh(W_c [context; h] + b_c)                scores = W_o h' + b_o

    `fastlstm.Seq2SeqTrainer` trains it on the true tokens before each step (teacher forcing). `fastlstm.generate` finds
    the best sequences. ``Model.predict`` gives the scores of a greedy decoding.

    Parameters
    ----------
    input_size : int
        F, the number of features of the outputs of the encoder.
    hidden_size : int
        H, the units of the LSTM of the decoder.
    num_tokens : int
        V, the size of the vocabulary, including the token that ends a sequence.
    max_steps : int
        S, the number of tokens of the longest sequence; at most 1,000,000.
    end_token : int
        The token that ends a sequence. The token that starts it is added by the decoder, after the vocabulary.
    embedding_size : int, optional
        Size of the vector of a token; by default H.
    num_layers : int, default 1
        Layers of the LSTM.
    attention : bool, default True
        Whether the decoder uses attention.
    dtype : "float32", "float64" or None
        None takes the model's.
    seed : int, optional
        Seed of the starting values; by default from the model.
    weights : "bfloat16", "int8x16", "int8" or None, or a list of these, default None
        How inference holds the weights, of all matrices or of each: the table of vectors, the layers of the LSTM, W_b,
        with attention W_a and W_c, and W_o; see `fastlstm.quantize`.
    **settings
        How parameters start, ``init``, their ``regularizers`` and ``constraints``, and which are ``trainable``; see
        `fastlstm.layers.settings.Settings`.

    Examples
    --------
    >>> import fastlstm as fl
    >>> decoder = fl.Decoder(16, 16, num_tokens=11, max_steps=5, end_token=10)
    >>> model = fl.Model([fl.Embedding(10, 8), fl.LSTM(8, 16), decoder], seed=0)
    >>> model.predict([[3, 1, 4, 1]]).shape
    (1, 5, 11)
    """

    told_more = True  # the tokens to read, and their number; see `_teach`

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_tokens: int,
        *,
        max_steps: int,
        end_token: int,
        embedding_size: int | None = None,
        num_layers: int = 1,
        attention: bool = True,
        dtype: Any = None,
        seed: int | None = None,
        weights: Kinds = None,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(dtype, seed, **settings)
        self.input_size = _check.positive_int(input_size, "input_size")
        self.hidden_size = _check.positive_int(hidden_size, "hidden_size")
        self.num_tokens = _check.positive_int(num_tokens, "num_tokens")
        self.max_steps = _check.positive_int(max_steps, "max_steps", MOST_STEPS)
        self.end_token = int(_check.number(end_token, "end_token", 0, self.num_tokens - 1))
        if self.end_token != end_token:
            raise TypeError(f"end_token: expected a whole number, got {end_token!r}")
        self.embedding_size = (
            self.hidden_size if embedding_size is None else _check.positive_int(embedding_size, "embedding_size")
        )
        self.num_layers = _check.positive_int(num_layers, "num_layers")
        self.attention = _check.flag(attention, "attention")
        self.input_shape = ("N", "T", self.input_size)
        features, hidden = self.input_size, self.hidden_size
        self._embedding = Embedding(self.num_tokens + 1, self.embedding_size)
        self._lstm = LSTM(self.embedding_size, hidden, num_layers=self.num_layers)
        self._bridge = Dense(2 * features, 2 * self.num_layers * hidden)
        self._output = Dense(hidden, self.num_tokens)
        self._keys = Dense(features, hidden, bias=False)
        self._combine = Dense(features + hidden, hidden)
        self._parts: dict[str, MatrixLayer] = {"embedding": self._embedding, "lstm": self._lstm, "bridge": self._bridge}
        if self.attention:
            self._parts |= {"keys": self._keys, "combine": self._combine}
        self._parts["output"] = self._output
        for part, layer in self._parts.items():
            for name, parameter in layer._parameters.items():
                parameter.name = f"{part}_{name}"
                self._parameters[parameter.name] = parameter
        self.weights = weights

    def _matrices(self) -> list[Packed]:
        return [packed for layer in self._parts.values() for packed in layer._matrices()]

    def build(self, dtype: Any = None, rng: np.random.Generator | None = None) -> None:
        super().build(dtype, rng)
        for layer in self._parts.values():
            layer.build(self._dtype)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise ValueError(f"Decoder takes sequences (N, T, {self.input_size}), got {_check.describe(shape)}")
        check_features(shape, self.input_size)
        return (shape[0], self.max_steps, self.num_tokens)

    def output_lengths(self, lengths: Index) -> None:
        """None: all of its steps are real."""

    def _teach(self, targets: Index, tape: Workspace, own: Array | None = None) -> None:
        """Let the next pass over this tape read the true token before each step.

        Parameters
        ----------
        targets : (N, S) ints
            The true sequences. S is the number of steps of the pass.
        tape : Workspace
            The workspace of the decoder in the tape of the model.
        own : (N, S) bools, optional
            Where the decoder reads the token that it would have chosen itself, instead of the true one (scheduled
            sampling, Bengio et al. 2015). The gradient treats these tokens as given.
        """
        tape.notes["lesson"] = (targets, own)

    def forward(self, x: Array, tape: Workspace, *, training: bool, lengths: Index | None) -> Array:
        targets, own = tape.notes.pop("lesson", (None, None))
        decoding = self._begin(x, lengths, tape, training=training)
        tokens = self._tokens(decoding, targets, own, tape)
        vectors = self._embedding.forward(tokens, tape.child("embedding"), training=training, lengths=None)
        h, _ = self._lstm.forward_with_state(
            vectors, decoding.state, tape.child("lstm"), training=training, lengths=None
        )
        return self._scores(h, decoding, tape, training=training)

    def _begin(self, x: Array, lengths: Index | None, tape: Workspace, *, training: bool = False) -> Decoding:
        """The state of a decoding before its first step."""
        self.build()
        x = np.ascontiguousarray(x)
        n, t, _ = x.shape
        tape.notes["steps"], tape.notes["lengths"] = (n, t), lengths
        if lengths is not None and not lengths.all():  # what is empty is decoded as a step of zeros
            x = x.copy()
            clear_empty(x, lengths)
            lengths = np.maximum(lengths, 1)
        at = tape.notes["last"] = (np.arange(n), np.full(n, t - 1) if lengths is None else lengths - 1)
        bridge = self._bridge.forward(
            np.hstack([x[:, 0], x[at]]), tape.child("bridge"), training=training, lengths=None
        )
        activations.activate("tanh", bridge.reshape(-1), bridge.reshape(-1))
        tape.notes["bridge"] = bridge
        h, c = np.ascontiguousarray(bridge.reshape(n, 2, self.num_layers, self.hidden_size).transpose(1, 2, 0, 3))
        keys = np.empty((n, t, 0), x.dtype)
        if self.attention:
            keys = self._keys.forward(x, tape.child("keys"), training=training, lengths=None)
        return Decoding(x, keys, None if lengths is None else np.arange(t) >= lengths[:, None], (h, c))

    def _advance(self, tokens: Index, decoding: Decoding, tape: Workspace) -> Array:
        """Scores (N, V) of the tokens that follow these (N,). The decoding is moved on in place."""
        tokens = np.ascontiguousarray(tokens)[:, None]
        vectors = self._embedding.forward(tokens, tape.child("embedding"), training=False, lengths=None)
        h, state = self._lstm.forward_with_state(
            vectors, decoding.state, tape.child("lstm"), training=False, lengths=None
        )
        decoding.state = (state[0].copy(), state[1].copy())
        return self._scores(h, decoding, tape, training=False)[:, 0]

    @property
    def start_token(self) -> int:
        """The token that is read at the first step."""
        return self.num_tokens

    def _tokens(self, decoding: Decoding, targets: Index | None, own: Array | None, tape: Workspace) -> Index:
        """The tokens that are read at each step, (N, S): the start token, then targets or the decoder's own choices."""
        n = len(decoding.memory)
        steps = self.max_steps if targets is None else targets.shape[1]
        tokens = np.full((n, steps), self.start_token, np.intp)
        if targets is not None:
            tokens[:, 1:] = targets[:, :-1]
            if own is None or not own[:, 1:].any():
                return tokens
        running = Decoding(decoding.memory, decoding.keys, decoding.beyond, decoding.state)
        for s in range(1, steps):
            chosen = self._advance(tokens[:, s - 1], running, tape.child("steps")).argmax(1)
            tokens[:, s] = chosen if own is None else np.where(own[:, s], chosen, tokens[:, s])
        return tokens

    def _scores(self, h: Array, decoding: Decoding, tape: Workspace, *, training: bool) -> Array:
        """The scores of all tokens, (N, S, V), from the outputs of the LSTM."""
        if self.attention:
            scores = np.matmul(h, decoding.keys.transpose(0, 2, 1))
            if decoding.beyond is not None:
                np.copyto(scores, -np.inf, where=decoding.beyond[:, None])
            activations.softmax(as_rows(scores), as_rows(scores))
            both = np.concatenate([np.matmul(scores, decoding.memory), h], axis=2)
            tape.notes["attention"] = (h, scores, decoding)
            h = self._combine.forward(both, tape.child("combine"), training=training, lengths=None)
            activations.activate("tanh", h.reshape(-1), h.reshape(-1))
            tape.notes["combined"] = h
        return self._output.forward(h, tape.child("output"), training=training, lengths=None)

    def backward(self, dy: Array, tape: Workspace, *, input_gradient: bool = True) -> Array | None:
        dh = self._output.backward(dy, tape.child("output"))
        assert dh is not None
        n, t = tape.notes["steps"]
        dx = np.zeros((n, t, self.input_size), dy.dtype)
        if self.attention:
            dh = self._attention_backward(dh, dx, tape)
        dvectors, dstate = self._lstm.backward_with_state(dh, None, tape.child("lstm"))
        assert dvectors is not None
        self._embedding.backward(dvectors, tape.child("embedding"))
        bridge = tape.notes["bridge"]
        dbridge = np.stack(dstate).transpose(2, 0, 1, 3).reshape(bridge.shape) * (1 - bridge * bridge)
        dends = self._bridge.backward(dbridge, tape.child("bridge"))
        assert dends is not None
        dx[:, 0] += dends[:, : self.input_size]
        dx[tape.notes["last"]] += dends[:, self.input_size :]
        clear_empty(dx, tape.notes["lengths"])
        return dx if input_gradient else None

    def _attention_backward(self, dcombined: Array, dmemory: Array, tape: Workspace) -> Array:
        """The gradient of the outputs of the LSTM. That of the outputs of the encoder is written to `dmemory`."""
        h, weights, decoding = tape.notes["attention"]
        combined = tape.notes["combined"]
        dboth = self._combine.backward(dcombined * (1 - combined * combined), tape.child("combine"))
        assert dboth is not None
        dcontext, dh = dboth[:, :, : self.input_size], dboth[:, :, self.input_size :]
        dscores = np.matmul(dcontext, decoding.memory.transpose(0, 2, 1))
        dscores -= np.einsum("nst,nst->ns", dscores, weights)[:, :, None]
        dscores *= weights
        np.matmul(weights.transpose(0, 2, 1), dcontext, out=dmemory)
        dmemory += self._keys.backward(np.matmul(dscores.transpose(0, 2, 1), h), tape.child("keys"))
        return np.asarray(dh + np.matmul(dscores, decoding.keys))

    def start(self, batch: int, tape: Workspace) -> None:
        raise ValueError("a Decoder cannot stream: it begins when the sequence has ended")

    def carry(self, index: Index, tape: Workspace) -> None:
        raise ValueError("a Decoder cannot carry a state: it begins when the sequence has ended")

    def config(self) -> dict[str, Any]:
        names = ("input_size", "hidden_size", "num_tokens", "max_steps", "end_token")
        own = {name: getattr(self, name) for name in (*names, "embedding_size", "num_layers", "attention")}
        return {**own, **self.settings()}
