"""The kinds of files: small whole ones of each, and what reads them."""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from damaging import in_order
from safetensors.numpy import save_file
from scipy.io import wavfile

import fastlstm as fl
from fastlstm.callbacks import EMA, Checkpoint, CSVLog, EarlyStopping, GradientNorms
from fastlstm.callbacks.checkpoint import checkpoints
from fastlstm.classification import Classifier, read_texts
from fastlstm.classification import Recipe as Reading
from fastlstm.forecasting import LSTMForecaster, read_series
from fastlstm.schedules import Cosine, ReduceOnPlateau
from fastlstm.speech import LogMel, StringReader, VoiceActivity, WordClassifier, read_wav
from fastlstm.speech.silero import network
from fastlstm.text import LanguageModel, Recipe, Vocabulary
from fuzzing.data_kinds import kinds_of_data
from fuzzing.keras_kinds import kinds_of_keras
from fuzzing.sheets import kinds_of_sheets

MOST = 1000
"""Steps that a file which was read may ask for before it is left alone."""


class Kind:
    """A kind of file: its name, whole files of it, and a reader that also uses what it has read."""

    def __init__(self, name, suffix, whole, read):
        self.name, self.suffix, self.whole, self.read = name, suffix, whole, read


def models(folder):
    embedding = fl.Embedding(5, 3)
    chains = [
        [embedding, fl.LSTM(3, 3), fl.TiedDense(embedding)],
        [fl.LSTM(2, 3, num_layers=2, bidirectional=True), fl.BatchNorm(6), fl.AttentionPool(6, 4), fl.Dense(6, 2)],
        [fl.LSTM(2, 4), fl.Decoder(4, 3, num_tokens=4, max_steps=3, end_token=3, num_layers=2)],
        [
            fl.LSTM(2, 4, proj_size=2, layer_norm=True),
            fl.GRU(2, 3, reset="before"),
            fl.MinLSTM(3, 2),
            fl.SLSTM(2, 4, heads=2),
            fl.Dense(4, 1),
        ],
        [fl.SimpleRNN(2, 3), fl.GRU(3, 3), fl.LayerNorm(3), fl.Dropout(0.2), fl.Last(), fl.Dense(3, 1, bias=False)],
        [
            fl.Residual([fl.LayerNorm(2), fl.Residual([fl.LSTM(2, 2, num_layers=2)])]),
            fl.Concat([], [fl.Dense(2, 3)], []),
            fl.Concat([fl.Last()], [fl.GRU(7, 2), fl.MaxPool()]),
        ],
        [
            fl.LSTM(2, 3, chrono=9, init={"weight_hh": "identity"}, constraints={"weight_ih": "max_norm"}),
            fl.ActivityRegularization(fl.regularizers.L1(0.5)),
            fl.Dense(3, 1, init="torch_uniform", regularizers="l1l2", trainable={"bias": False}),
        ],
        [
            fl.Activation(("leaky_relu", 0.2)),
            fl.LSTM(2, 3, bidirectional=True),
            fl.FinalState(),
            fl.Dense(6, 3),
            fl.Softmax(),
        ],
        [
            fl.Conv1d(2, 3, 2, padding="causal", dilation=2),
            fl.MaxPool1d(2, padding="same"),
            fl.Conv1d(3, 2, 1, bias=False),
        ],
        [fl.EachStep([fl.Conv1d(2, 4, 2), fl.Magnitude(), fl.MaxPool()], 3, channels=2), fl.LSTM(2, 2)],
    ]
    for chain in chains:
        fl.save(fl.Model(chain, seed=0), folder / "whole", metadata={"made by": "hand"})
        yield (folder / "whole").read_bytes()
    for kind in ("bfloat16", "int8"):
        chain: list[fl.layers.base.Layer] = [fl.LSTM(2, 45), fl.Last(), fl.Dense(45, 2)]
        fl.save(fl.Model(chain, seed=0, weights=kind), folder / "whole", narrow=True)
        yield (folder / "whole").read_bytes()
        chain = [fl.Embedding(300, 30), fl.LSTM(30, 8), fl.Decoder(8, 46, num_tokens=20, max_steps=3, end_token=19)]
        fl.save(fl.Model(chain, seed=0, weights=kind), folder / "whole", narrow=True)
        yield (folder / "whole").read_bytes()


def read_model(path):
    model = fl.load(path)
    if any(isinstance(layer, fl.Decoder) and layer.max_steps > MOST for layer in model.layers):
        return
    if model.input_shape[-1] == "T":
        model.predict([[0, 1]])
    elif isinstance(model.input_shape[-1], int) and model.input_shape[-1] <= MOST:
        model.predict(np.ones((2, 3, model.input_shape[-1])))


def streamed():
    layers = [
        fl.LSTM(2, 3, num_layers=2),
        fl.Residual([fl.Conv1d(3, 3, 3, padding="causal")]),
        fl.GRU(3, 4),
        fl.Concat([fl.AttentionPool(4)], [fl.MeanPool()]),
        fl.Dense(8, 1),
    ]
    return fl.Model(layers, seed=0).stream(batch=2)


def states(folder):
    stream = streamed()
    for _ in range(2):
        stream.save(folder / "whole")
        yield (folder / "whole").read_bytes()
        stream.run(np.ones((2, 3, 2)))


def read_state(path):
    stream = streamed()
    stream.load(path)
    stream.run(np.ones((2, 2, 2)))


def trainer(sequence, callbacks):
    rate = 0.2 if sequence else 0.0
    middle = [] if sequence else [fl.Last()]
    model = fl.Model([fl.LSTM(1, 3), fl.Dropout(0.3), *middle, fl.Dense(3, 1)], seed=0)
    if sequence:
        own = [ReduceOnPlateau(0.5, 1, "loss")]
        return fl.Trainer(model, "mse", fl.SGD(0.01, momentum=rate), callbacks=[*own, *callbacks])
    own = [Cosine(warmup=2), EMA(0.9), EarlyStopping(3, "loss"), GradientNorms()]
    return fl.Trainer(model, "mse", fl.Adam(0.01), clip_norm=1.0, metrics=["mae"], callbacks=[*own, *callbacks])


def train(sequence, folder, callbacks=(), epochs=3):
    x = np.random.default_rng(0).normal(size=(12, 4, 1)).astype(np.float32)
    run = trainer(sequence, [CSVLog(folder / "log.csv"), *callbacks])
    if sequence:
        x = x.reshape(-1, 1)
        run.fit_sequence(x, x, window=8, batch_size=2, epochs=epochs, seed=0, progress=False, resume=folder)
    else:
        run.fit(x, x.sum(1), epochs=epochs, batch_size=4, seed=0, progress=False, resume=folder)


class Crash(fl.Callback):
    def on_batch_end(self, progress):
        if progress.step == 5:
            raise InterruptedError


def runs(folder):
    for sequence in (False, True):
        there = folder / f"run{sequence}"
        try:
            train(sequence, there, [Crash(), Checkpoint(there, every_steps=1)])
        except InterruptedError:
            pass
        yield checkpoints(there)[-1].read_bytes()


def read_run(path):
    """Go on with it, as both trainings: one of them refuses it. What diverges has been read."""
    folder = path.parent / "going on"
    for sequence in (False, True):
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        (folder / "step-000000005.safetensors").write_bytes(path.read_bytes())
        try:
            train(sequence, folder)
        except FloatingPointError as error:  # finite numbers, but absurd ones
            if "the parameters are those" not in str(error):
                raise
        except ValueError as error:
            if not sequence and "of the interrupted training" in str(error):
                continue
            raise
        return


def forecasters(folder):
    """Files of an earlier version, with one series, and with other columns beside it."""
    earlier = Path(__file__).parents[1] / "earlier"
    yield from ((earlier / f"{name}.safetensors").read_bytes() for name in ("plain", "inputs"))


def read_forecaster(path):
    forecaster = LSTMForecaster.load(path)
    found = forecaster._learned_parts
    context, columns = max(found.window, found.season), found.columns
    if context <= MOST and columns <= MOST:
        t = np.arange(1.0, 1 + context)[:, None]
        others = len(found.input_scale) - columns
        forecaster.update(np.repeat(t, columns, axis=1), np.repeat(t, others, axis=1) if others else None)
        if np.isnan(forecaster.predict()).any():
            raise AssertionError("forecasts NaN")
        forecaster.predict_interval()


def panels(folder):
    t = np.arange(60.0)
    series = np.stack([np.sin(t), np.cos(t) + 0.1 * t], axis=1)
    options = {"season": 6, "hidden_size": 3, "epochs": 1, "window": 12}
    for y, X in ((series[:, 0], None), (series, series[:, :1])):
        LSTMForecaster(past_covariates=[] if X is None else [0], **options).fit(y, X, fh=3, progress=False).save(
            folder / "whole"
        )
        yield (folder / "whole").read_bytes()


def read_panel(path):
    forecaster = LSTMForecaster.load(path)
    forecaster.predict_interval()
    forecaster.sample_paths(2)


def classifiers(folder):
    classifier = Classifier(Reading(embedding_size=3, hidden_size=3, batch_size=4, epochs=1))
    classifier.fit(["a fine film", "a dull film"] * 4, ["good", "bad"] * 4, progress=False)
    classifier.save(folder / "whole")
    yield (folder / "whole").read_bytes()


def read_classifier(path):
    classifier = Classifier.load(path)
    classifier.best(["a fine film", ""])
    classifier.gates("a fine day")


def writers(folder):
    text = "tell me, tell me, "
    for words in (False, True):
        vocabulary = Vocabulary.of(text, words=words)
        writer = LanguageModel(vocabulary, Recipe(hidden_size=4, num_layers=1, embedding_size=3))
        writer.save(folder / "whole", source="hand")
        yield (folder / "whole").read_bytes()


def read_writer(path):
    writer = LanguageModel.load(path)
    "".join(writer.generate("", 3, seed=0))


def recognisers(folder):
    for kind in (WordClassifier, StringReader):
        recogniser = kind(hidden_size=3, features=LogMel(bands=5, stack=2))
        recogniser.words = ["no", "yes"]
        recogniser._model = fl.Model(recogniser.layers(), seed=0)
        recogniser.save(folder / "whole")
        yield (folder / "whole").read_bytes()


def read_recogniser(path):
    try:
        WordClassifier.load(path)
    except ValueError as error:
        if "no WordClassifier" not in str(error):
            raise
        StringReader.load(path)


def activities(folder):
    VoiceActivity(fl.Model(network(), seed=0)).save(folder / "whole")
    yield (folder / "whole").read_bytes()


def weights(folder):
    """Silero's weights as its package has them, all of them zeros, in a graph of an LSTM alone."""
    from onnx import helper, numpy_helper

    shapes = {"stft.forward_basis_buffer": (258, 1, 256), "output.weight": (1, 128, 1), "output.bias": (1,)}
    for k, (inputs, outputs) in enumerate([(129, 128), (128, 64), (64, 64), (64, 128)]):
        shapes |= {f"encoder.{k}.weight": (outputs, inputs, 3), f"encoder.{k}.bias": (outputs,)}
    shapes |= {"W": (1, 512, 128), "R": (1, 512, 128), "B": (1, 1024)}
    arrays = [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in shapes.items()]
    node = helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=128)
    yield helper.make_model(helper.make_graph([node], "vad", [], [], arrays)).SerializeToString()


def read_activity(path):
    VoiceActivity.load(path).probabilities(np.ones(700))


def sounds(folder):
    signal = np.sin(np.arange(800) / 3)
    for kind in (np.uint8, np.int16, np.int32, np.float32, np.float64):
        samples = signal.astype(kind) if np.dtype(kind).kind == "f" else (100 + 20 * signal).astype(kind)
        file = io.BytesIO()
        wavfile.write(file, 16_000, np.stack([samples, samples], axis=1) if kind is np.int16 else samples)
        yield file.getvalue()


def tables(folder):
    days = np.datetime64("2024-01-01") + np.arange(60)
    rows = [f"{day},{k % 7 + 0.5},{k},{'' if k == 9 else 3}" for k, day in enumerate(days)]
    yield "\n".join(["date,sales,visitors,staff", *rows, ""]).encode()
    yield "\n".join(["text,label", *[f'"a {w}, fine film",{w}' for w in ("good", "bad")] * 9, ""]).encode()


def read_csv(path):
    try:
        read_texts(path)
    except ValueError:
        pass
    read_series(path, "sales", inputs=["visitors"])


NAMES = {"embedding": 0, "lstm": 1, "norm": 3, "head": 4}


def torch_model():
    layers = [fl.LSTM(3, 4, bidirectional=True, two_biases=True), fl.FinalState(), fl.BatchNorm(8), fl.Dense(8, 2)]
    return fl.Model([fl.Embedding(5, 3), *layers], seed=0)


def torch_states():
    """State_dicts as PyTorch has them, the first with names for `torch_model`."""
    model = torch_model()
    kept = {**model.named_parameters(), **model.named_buffers()}
    parts = {str(place): name for name, place in NAMES.items()}
    yield {f"{parts[name[0]]}{name[1:]}": one.value.copy() for name, one in kept.items()}
    yield {name[2:]: one.value.copy() for name, one in kept.items() if name[0] == "1"}


def torch_weights(folder):
    if find_spec("torch"):
        import torch  # noqa: F401  # a damaged file may begin like one of torch, whose import takes seconds

    for state in torch_states():
        save_file(state, folder / "whole", metadata={"format": "pt"})
        yield (folder / "whole").read_bytes()


def torch_archives(folder):
    import torch

    for state in torch_states():
        torch.save({name: torch.from_numpy(array) for name, array in state.items()}, folder / "whole")
        yield (folder / "whole").read_bytes()


def read_torch(path):
    try:
        model = fl.io.from_torch(path)
    except ValueError as error:
        if "fl.io.from_torch(source, model=" not in str(error):
            raise
        model = fl.io.from_torch(path, model=torch_model(), names=NAMES)
        model.predict([[0, 1]])
    else:
        model(np.ones((2, 3, model.input_size)))


def onnx_files(folder):
    """Some with the layers that they were written from, some with a graph alone."""
    from fastlstm.io.onnx.writing import model_of

    embedding = fl.Embedding(5, 3)
    chains = [
        [embedding, fl.LSTM(3, 3, num_layers=2, bidirectional=True), fl.Dense(6, 2), fl.Softmax()],
        [fl.Conv1d(2, 3, 2, padding="causal"), fl.GRU(3, 3, learn_initial_state=True), fl.Last(), fl.LayerNorm(3)],
        [fl.BatchNorm(2), fl.Residual([fl.SimpleRNN(2, 2), fl.Activation("gelu")]), fl.MeanPool()],
    ]
    for k, chain in enumerate(chains):
        model = fl.Model(chain, seed=0)
        for remember in (True, False):
            yield model_of(model, stateful=False, lengths=k == 0, remember=remember).SerializeToString()


def read_onnx(path):
    model = fl.io.from_onnx(path)
    if model.num_parameters < MOST**2:
        model.predict(np.zeros((1, 3), int) if model.layers[0].takes_tokens else np.zeros((1, 3, 2)))


KINDS = [
    Kind("model", ".safetensors", models, read_model),
    Kind("stream", ".safetensors", states, read_state),
    Kind("checkpoint", ".safetensors", runs, read_run),
    Kind("panel", ".safetensors", panels, read_panel),
    Kind("forecaster", ".safetensors", forecasters, read_forecaster),
    Kind("classifier", ".safetensors", classifiers, read_classifier),
    Kind("text", ".safetensors", writers, read_writer),
    Kind("speech", ".safetensors", recognisers, read_recogniser),
    Kind("activity", ".safetensors", activities, read_activity),
    *([Kind("silero", ".onnx", weights, VoiceActivity.from_silero)] if find_spec("onnx") else []),
    *([Kind("onnx", ".onnx", onnx_files, read_onnx)] if find_spec("onnx") else []),
    Kind("wav", ".wav", sounds, lambda path: read_wav(path)),
    Kind("csv", ".csv", tables, read_csv),
    *kinds_of_data(Kind),
    *kinds_of_sheets(Kind),
    *kinds_of_keras(Kind),
    Kind("torch", ".weights", torch_weights, read_torch),
    *([Kind("pt", ".pt", torch_archives, read_torch)] if find_spec("torch") else []),
]
if find_spec("onnx"):
    from fuzzing.graphs import graphs, read_graph

    KINDS.append(Kind("onnx-session", ".onnx", graphs, read_graph))


def whole_files(kind, folder):
    """Whole files of a kind, the same ones each time."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [in_order(content) if kind.suffix == ".safetensors" else content for content in kind.whole(folder)]
