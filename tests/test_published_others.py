"""Resemblyzer's voice encoder and g2pM on our layers, beside their own code, with the weights in their packages."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent

if not (ROOT / "bench").exists():
    pytest.skip("the benchmark is not part of the package", allow_module_level=True)

sys.path.append(str(ROOT))  # behind the installed package, which the sources must not hide

from bench.studies.published import g2pm, page, resemblyzer  # noqa: E402


def need(package):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.fixture(scope="module")
def encoder():
    need("resemblyzer")
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return resemblyzer.Encoder(resemblyzer.folder() / "pretrained.pt")


def test_embeddings_of_parts_are_those_of_resemblyzer(encoder, isa):
    import torch

    mels = resemblyzer.mels_of(5)
    with torch.no_grad():
        wanted = resemblyzer.theirs(None)(torch.from_numpy(mels)).numpy()
    assert wanted.std(0).max() > 1e-3, "the parts are all alike"
    np.testing.assert_allclose(encoder(mels), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [9_000, 25_600, 40_000, 70_001, 160_000])
def test_embeddings_of_recordings_are_those_of_resemblyzer(encoder, samples):
    mel = resemblyzer.mels_of(10, seed=1).reshape(-1, 40)
    wanted = resemblyzer.theirs(lambda sound: mel).embed_utterance(np.zeros(samples, np.float32))
    np.testing.assert_allclose(encoder.utterance(mel, samples), wanted, rtol=0, atol=1e-5)


def test_the_pinyin_is_that_of_g2pm(path):
    need("g2pM")
    from g2pM import G2pM

    theirs, ours = G2pM(), g2pm.on_ours(G2pM())
    found = [ours(sentence) for sentence in g2pm.SENTENCES]
    assert found == [theirs(sentence) for sentence in g2pm.SENTENCES]
    assert {"chong2", "zhong4"} <= set(found[5]) and {"pian2", "bian4"} <= set(found[7])  # a character, two sounds


def test_the_scores_are_those_of_g2pm(path):
    need("g2pM")
    from g2pM import G2pM

    theirs, seen = G2pM(), []
    fc_layer, model = theirs.fc_layer, g2pm.model_of(theirs)
    theirs.fc_layer = lambda inputs: seen.append(fc_layer(inputs)) or seen[-1]
    tokens, places = np.random.default_rng(0).integers(1, 5000, (1, 30)), [3, 7, 29]
    theirs.predict(tokens, places)
    np.testing.assert_allclose(model.predict(tokens)[0, places], seen[0], rtol=1e-5, atol=1e-5)


def test_a_table_says_what_was_not_measured():
    """Keras may not be there, and then neither are its time, its size and the differences from it."""
    ours = {"seconds": 1.25, "cpu": 1.0, "differences": {"Keras": None}}
    code = {"lines": [36, 264], "bytes": [2_000_000, None]}
    result = {"models": {"textgenrnn": {"fastlstm": ours, "Keras": None}}, "code": {"textgenrnn": code}}
    assert page.tables(result)["table_textgenrnn"].splitlines() == [
        "| program | time | CPU time | largest difference |",
        "| --- | ---: | ---: | ---: |",
        "| fastlstm | 1.25 s | 1 s | not measured |",
        "| Keras | not measured | not measured | |",
        "",
        "| | here | theirs |",
        "| --- | ---: | ---: |",
        "| lines of code | 36 | 264 |",
        "| what must be installed | 2 MB | not measured |",
    ]


def test_a_table_may_have_several_peers():
    one = {"seconds": 1.0, "cpu": 1.0, "differences": {"ONNX Runtime": 3e-05, "PyTorch": 0.0}}
    result = {"models": {"silero": {"fastlstm": one}}, "code": {"silero": {"lines": [1, 2], "bytes": [3, 4]}}}
    result["rounding"] = {"LSTM": 1e-6}
    found = page.tables(result)
    assert "largest difference from ONNX Runtime | largest difference from PyTorch |" in found["table_silero"]
    assert "| fastlstm | 1 s | 1 s | 3.0e-05 | 0.0e+00 |" in found["table_silero"]
    assert found["table_rounding"].splitlines()[-1] == "| LSTM | 1.0e-06 |"
