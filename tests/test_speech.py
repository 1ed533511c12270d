"""Speech: sound from files, features, strings, and networks that learn tones as if they were words."""

import importlib
import io
import json
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

import fastlstm as fl
from fastlstm import cli
from fastlstm.metrics import error_rate
from fastlstm.speech import (
    Augment,
    LogMel,
    Recording,
    StringReader,
    Strings,
    WordClassifier,
    features,
    read_recordings,
    read_wav,
)

pytest.importorskip("kaldi_native_fbank")

ROOT = Path(__file__).parent.parent
RATE = 8000
WORDS = {"do": 400, "mi": 900, "so": 2000}


def tone(hertz, rng, seconds=0.15):
    """A chirp near a pitch, loud in its middle, as long as a short word."""
    t = np.arange(int(RATE * seconds * rng.uniform(0.8, 1.2))) / RATE
    pitch = hertz * rng.uniform(0.95, 1.05)
    return (0.3 * np.sin(2 * np.pi * pitch * t) * np.hanning(len(t))).astype(np.float32)


def tones(count, seed):
    """`count` recordings of each word."""
    rng = np.random.default_rng(seed)
    return [Recording(tone(WORDS[word], rng), word, "piano", k) for word in WORDS for k in range(count)]


def small(**options):
    """Features of a network that learns tones in a second or two."""
    quick = {"hidden_size": 16, "batch_size": 4, "learning_rate": 0.01, "variants": 2, "features": LogMel(bands=20)}
    return {**quick, **options}


@pytest.fixture(scope="module")
def reader():
    reader = StringReader(strings=Strings(1, 4, 0.03, 0.2), per_epoch=60, **small(epochs=12))
    reader.fit(tones(8, seed=0))
    return reader


@pytest.fixture
def folder(tmp_path):
    """Recordings of tones as files."""
    path = tmp_path / "words"
    path.mkdir()
    for one in tones(10, seed=1):
        wavfile.write(path / f"{one.name}.wav", RATE, one.signal)
    return path


def test_words_are_told_apart():
    classifier = WordClassifier(**small(epochs=8))
    history = classifier.fit(tones(8, seed=0))
    assert history.epochs == 8 and history["loss"][-1] < 0.5 * history["loss"][0]
    fresh = tones(5, seed=2)
    assert classifier.classify([one.signal for one in fresh]) == [one.label for one in fresh]


@pytest.mark.parametrize("beam", [1, 4])
def test_strings_are_read_by_a_network_that_has_heard_single_words_only(reader, beam):
    rng, fresh = np.random.default_rng(3), tones(5, seed=2)
    signals, truths = joined(fresh, Strings(2, 5, 0.03, 0.2), rng, 20)
    assert error_rate(zip(reader.read(signals, beam=beam), truths, strict=True)) < 0.1


def joined(recordings, strings, rng, count):
    chosen = [[recordings[k] for k in strings.choose(recordings, rng)] for _ in range(count)]
    return [strings.join([one.signal for one in some], rng) for some in chosen], [[o.label for o in s] for s in chosen]


def test_what_is_read_does_not_depend_on_loudness_or_company(reader):
    rng, fresh = np.random.default_rng(4), tones(5, seed=2)
    signals, _ = joined(fresh, Strings(1, 5, 0.03, 0.2), rng, 5)
    together = reader.read(signals)
    assert together == [reader.read([signal])[0] for signal in signals]
    assert together == reader.read([signal / 100 for signal in signals])


def test_silence_and_a_single_sample_are_read_as_they_are(reader):
    silence, click = np.zeros(4 * RATE, np.float32), np.ones(1, np.float32)
    assert reader.read([silence])[0] == []
    assert len(reader.read([click])[0]) <= 1
    assert reader.read([]) == []


def test_a_reader_is_the_same_after_saving_and_loading(reader, tmp_path):
    reader.save(tmp_path / "r.safetensors")
    again = StringReader.load(tmp_path / "r.safetensors")
    signals, _ = joined(tones(5, seed=2), Strings(), np.random.default_rng(5), 3)
    assert again.words == ["do", "mi", "so"] and again.features == reader.features
    for signal in signals:
        assert np.array_equal(again.scores(signal), reader.scores(signal))
    with pytest.raises(ValueError, match="holds a model, but no WordClassifier"):
        WordClassifier.load(tmp_path / "r.safetensors")


@pytest.mark.parametrize(
    "state",
    ["", "[]", '{"kind": "strings"}', '{"kind": "strings", "words": ["a"], "features": {"bands": 0}}',
     '{"kind": "strings", "words": ["a"], "features": {}}', '{"kind": "strings", "words": 3, "features": {}}'],
)  # fmt: skip
def test_a_file_whose_words_are_damaged_is_refused(reader, tmp_path, state):
    fl.save(reader.model, tmp_path / "r.safetensors", metadata={"speech": state})
    with pytest.raises(ValueError):
        StringReader.load(tmp_path / "r.safetensors")


def test_before_learning_there_is_no_model():
    with pytest.raises(RuntimeError, match="call fit first"):
        StringReader().read([np.ones(100, np.float32)])


def test_the_bar_moves_while_strings_are_made(capsys):
    options = {"hidden_size": 4, "epochs": 3, "variants": 2, "per_epoch": 120}
    StringReader(strings=Strings(1, 2, 0.0, 0.1), **options).fit(tones(4, seed=0), progress=True)
    shown = capsys.readouterr().err
    assert "epoch 1/3, 50 of 120 made" in shown and "epoch 2/3, 100 of 120 made" in shown
    assert "epoch 3/3, 50 of" not in shown and "/24.0 " in shown and "100%" in shown


def test_the_same_seed_learns_the_same():
    def learned(seed):
        reader = StringReader(per_epoch=4, **small(epochs=2, seed=seed))
        reader.fit(tones(2, seed=0))
        return reader.model.parameters()[0].value.tobytes()

    assert learned(1) == learned(1) != learned(2)


@pytest.mark.parametrize(
    ("recordings", "message"),
    [
        ([], "at least two words, got \\[\\]"),
        ([Recording(np.ones(800, np.float32), "a")] * 3, "at least two words"),
        ([Recording(np.ones(n, np.float32), w, "me") for n, w in ((800, "a"), (10, "b"))], "0.00 s of b_me_0"),
        ([Recording(np.ones(n, np.float32), w, "me") for n, w in ((800, "a"), (90000, "b"))], "11.25 s of b_me_0"),
        ([Recording(np.full(800, v, np.float32), w, "me") for v, w in ((1, "a"), (0, "b"))], "silence for b_me_0"),
    ],
)
def test_recordings_that_teach_nothing_are_refused(recordings, message):
    with pytest.raises(ValueError, match=message):
        WordClassifier().fit(recordings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogMel(bands=0), "bands: expected at least 1, got 0"),
        (lambda: LogMel(depth=0.0), "depth: expected"),
        (lambda: Augment(speed=20), "speed: expected"),
        (lambda: Augment(noise=-1.0), "noise: expected"),
        (lambda: Strings(3, 2), "longest: expected at least shortest = 3, got 2"),
        (lambda: Strings(least=1.0, most=0.5), "most: expected at least least = 1.0, got 0.5"),
        (lambda: StringReader(per_epoch=0), "per_epoch: expected at least 1, got 0"),
        (lambda: WordClassifier(dropout=1.0), "dropout: expected"),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_features_are_a_step_each_thirty_milliseconds_and_see_pitch():
    hear = LogMel(bands=20)
    low, high = (np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype("f4") for hertz in (300, 3000))
    assert hear(low).shape == (34, 60) and hear.size == 60 and hear.seconds == 0.03
    assert hear.frames(low).mean(0).argmax() < hear.frames(high).mean(0).argmax()
    assert np.array_equal(hear(low), hear(low))
    np.testing.assert_allclose(hear(low), hear(low / 64), atol=1e-3)


def test_centred_features_do_not_know_the_colour_of_a_microphone():
    signal = np.random.default_rng(0).standard_normal(RATE, np.float32)
    coloured = np.convolve(signal, [1, 0.9], "same").astype("f4")  # a microphone that is deaf to high pitches
    plain, centred = LogMel(), LogMel(centred=True)
    assert np.abs(plain(coloured) - plain(signal)).mean() > 4 * np.abs(centred(coloured) - centred(signal)).mean()


def test_long_signals_are_heard_in_parts_that_do_not_show(monkeypatch):
    signal = np.random.default_rng(0).standard_normal(3 * RATE, np.float32)
    whole = LogMel()(signal)
    monkeypatch.setattr(features, "PART", 1111)
    assert np.array_equal(LogMel()(signal), whole)


@pytest.mark.parametrize("length", [1, 39, 40, 200, 241])
def test_features_of_any_signal_are_finite(length):
    for signal in (np.zeros(length, "f4"), np.full(length, 1e-30, "f4"), np.full(length, -1, "f4")):
        frames = LogMel()(signal)
        assert len(frames) >= 1 and np.isfinite(frames).all()


def test_changes_stay_within_their_bounds_and_leave_the_recording_alone():
    rng, augment = np.random.default_rng(0), Augment(speed=4, shift=0.1, noise=0.0)
    signal = np.ones(1000, np.float32)
    lengths = {len(augment.alone(signal, rng)) for _ in range(50)}
    assert min(lengths) >= 1000 * 20 / 24 and max(lengths) <= 1000 * 20 / 16 + 1600 and len(lengths) > 10
    assert (signal == 1).all()
    frames = rng.standard_normal((40, 20), np.float32)
    before = frames.copy()
    changed = [(augment.masked(frames, rng) != before).mean() for _ in range(50)]
    assert np.array_equal(frames, before) and 0 == min(changed) < max(changed) < 0.7


def test_a_string_has_words_silence_and_one_speaker_or_several():
    rng = np.random.default_rng(0)
    words = [Recording(np.full(100, 1 + k, np.float32), str(k), str(k % 2)) for k in range(6)]
    for several in (0.0, 1.0):
        strings = Strings(3, 5, 0.01, 0.02, several)
        chosen = [strings.choose(words, rng) for _ in range(40)]
        assert {len(some) for some in chosen} == {3, 4, 5}
        assert any(len({words[k].speaker for k in some}) > 1 for some in chosen) == (several == 1)
    joined = Strings(1, 1, 0.01, 0.02).join([words[0].signal, words[1].signal], rng)
    assert (joined == 1).sum() == (joined == 2).sum() == 100
    assert 3 * 80 <= (joined == 0).sum() <= 3 * 160


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
def test_any_format_gives_the_same_sound(dtype, channels, rate, tmp_path):
    sound = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate)
    samples = sound
    if dtype == "uint8":
        samples = np.round(sound * 127 + 128)
    elif dtype.startswith("int"):
        samples = np.round(sound * np.iinfo(dtype).max)
    samples = np.repeat(samples[:, None], channels, axis=1) if channels > 1 else samples
    wavfile.write(tmp_path / "a.wav", rate, samples.astype(dtype))
    signal = read_wav(tmp_path / "a.wav")
    assert signal.dtype == np.float32 and abs(len(signal) - RATE // 2) <= 1
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(signal)) / RATE)
    assert np.abs(signal - wanted)[200:-200].max() < 0.02


def test_24_bits_are_read(tmp_path):
    samples = (np.sin(np.arange(800)) * 0.5 * (1 << 23)).astype("<i4")
    data = samples.view("u1").reshape(-1, 4)[:, :3].tobytes()
    form = struct.pack("<HHIIHH", 1, 1, RATE, 3 * RATE, 3, 24)
    (tmp_path / "a.wav").write_bytes(riff(form, data))
    np.testing.assert_allclose(read_wav(tmp_path / "a.wav"), np.sin(np.arange(800)) * 0.5, atol=1e-6)


def riff(form, data):
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"junk\2\0\0\0ab" + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(data)) + b"WAVE" + chunks + data


PLAIN = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello", "not a WAV file"),
        (b"\0" * 1000, "not a WAV file"),
        (b"ID3" + b"\1" * 500, "not a WAV file"),
        (riff(PLAIN, b""), "no sound"),
        (riff(PLAIN, b"ab" * 40)[:30], "not a WAV file"),
        (riff(struct.pack("<HHIIHH", 85, 1, RATE, RATE, 1, 8), b"ab" * 40), "not a WAV file"),
        (riff(struct.pack("<HHIIHH", 1, 1, 10, 20, 2, 16), b"ab" * 40), "samples a second, got 10"),
        (riff(struct.pack("<HHIIHH", 1, 0, RATE, 0, 0, 16), b"ab" * 40), "WAV|sound"),
        (riff(struct.pack("<HHIIHH", 3, 1, RATE, 4 * RATE, 4, 32), struct.pack("<2f", 0.5, np.nan)), "got NaN"),
    ],
)
def test_a_file_that_is_no_sound_is_named(content, message, tmp_path):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_wav(tmp_path / "a.wav")
    assert "a.wav: " in str(error.value)


def test_a_damaged_file_gives_sound_or_a_value_error(tmp_path):
    rng = np.random.default_rng(0)
    whole = riff(PLAIN, rng.integers(0, 256, 400, np.uint8).tobytes())
    for trial in range(300):
        content = bytearray(whole[: rng.integers(len(whole))] if trial % 2 else whole)
        for place in rng.integers(0, min(len(content), 60) or 1, 3):
            content[place : place + 1] = bytes([rng.integers(256)])
        (tmp_path / "a.wav").write_bytes(content)
        try:
            signal = read_wav(tmp_path / "a.wav")
        except ValueError:
            continue
        assert signal.ndim == 1 and np.isfinite(signal).all()


def test_a_path_that_is_no_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_wav(tmp_path / "a.wav")
    with pytest.raises(IsADirectoryError, match="got a folder"):
        read_wav(tmp_path)


def test_recordings_come_from_folders_and_archives_alike(folder, tmp_path):
    (folder / "readme.txt").write_text("not a recording")
    (folder / "nolabel.wav").write_bytes(b"ignored")
    with tarfile.open(tmp_path / "words.tar.gz", "w:gz") as archive:
        archive.add(folder, "some/words")
    found = read_recordings(folder)
    packed = read_recordings(tmp_path / "words.tar.gz")
    assert len(found) == len(packed) == 30
    for one, other in zip(found, packed, strict=True):
        assert (one.label, one.speaker, one.index) == (other.label, other.speaker, other.index)
        assert np.array_equal(one.signal, other.signal)


def test_names_say_the_word_and_perhaps_the_speaker(tmp_path):
    for name in ("yes_ann_3.wav", "no_12.WAV", "no_ann_b.wav"):
        wavfile.write(tmp_path / name, RATE, np.ones(100, np.float32))
    assert [(one.label, one.speaker, one.index) for one in read_recordings(tmp_path)] == [
        ("no", "", 0),
        ("no", "", 0),
        ("yes", "ann", 3),
    ]


def test_recordings_that_are_not_there_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="found none"):
        read_recordings(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read_recordings(tmp_path / "nothing")
    for content in (b"", b"hello", b"\x1f\x8b" + b"x" * 50):
        (tmp_path / "a.tar.gz").write_bytes(content)
        with pytest.raises(ValueError, match="expected a folder or a tar archive"):
            read_recordings(tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        info = tarfile.TarInfo("yes_1.wav")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
    with pytest.raises(ValueError, match="yes_1.wav: not a WAV file"):
        read_recordings(tmp_path / "b.tar")


def test_the_command_learns_and_reads(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli.speech, "TEST_STRINGS", 5)
    monkeypatch.setattr(StringReader.__init__, "__kwdefaults__", {"strings": None, "per_epoch": 20})
    rng = np.random.default_rng(6)
    string = np.concatenate([tone(WORDS[word], rng) for word in ("mi", "do")])
    for name in ("a.wav", "b.wav"):
        wavfile.write(tmp_path / name, RATE, string)
    options = ["--model", tmp_path / "model", "--epochs", "2", "--hidden", "8"]
    assert run("speech", "train", folder, *options, "--centred") == 0
    printed = capsys.readouterr().out
    assert "30 recordings of 3 words; 3 are held out." in printed and "Wrong words in 5 strings" in printed
    reader = StringReader.load(tmp_path / "model/speech.safetensors")
    assert reader.features == LogMel(centred=True)
    expected = " ".join(reader.read([read_wav(tmp_path / "a.wav")], beam=8)[0])
    assert run("speech", tmp_path / "a.wav", "--model", tmp_path / "model") == 0
    assert capsys.readouterr().out == f"{expected}\n"
    assert run("speech", tmp_path / "a.wav", tmp_path / "b.wav", "--model", tmp_path / "model") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.wav'}: {expected}\n{tmp_path / 'b.wav'}: {expected}\n"


def error_of(capsys, *arguments, status=1):
    """The one line on stderr of a command that fails."""
    assert run("speech", *arguments) == status
    [line] = capsys.readouterr().err.splitlines()
    return line


def run(*arguments):
    return cli.main(list(map(str, arguments)))


def test_a_silent_file_is_said_to_have_no_words(reader, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    reader.save(tmp_path / "model/speech.safetensors")
    wavfile.write(tmp_path / "a.wav", RATE, np.zeros(RATE, np.int16))
    assert run("speech", tmp_path / "a.wav", "--model", tmp_path / "model") == 0
    printed = capsys.readouterr()
    assert printed.out == "\n" and "no words found" in printed.err


def test_the_command_reads_longer_files_if_asked(reader, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    reader.save(tmp_path / "model/speech.safetensors")
    wavfile.write(tmp_path / "a.wav", RATE, np.zeros(3 * RATE, np.int16))
    arguments = ["speech", tmp_path / "a.wav", "--model", tmp_path / "model", "--max-seconds"]
    assert run(*arguments, 2) == 1
    assert "expected at most 2 s of sound, got 3; a higher max_seconds (--max-seconds)" in capsys.readouterr().err
    assert run(*arguments, 3) == 0


def test_the_command_s_errors_are_one_line(reader, folder, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    reader.save(tmp_path / "model/speech.safetensors")
    model = ["--model", tmp_path / "model"]
    wavfile.write(tmp_path / "a.wav", RATE, np.ones(RATE, np.int16))
    (tmp_path / "bad.wav").write_bytes(b"bad")
    for arguments, message in (
        (["read"], "read: expected WAV files, got none"),
        (["train"], "train: expected a folder or an archive of recordings, got 0 names"),
        (["train", folder, folder], "got 2 names"),
        (["read", ""], "read: expected a path, got ''"),
        (["train", "/dev/null"], "train: expected a file, got the device /dev/null"),
    ):
        assert message in error_of(capsys, *arguments, status=2)
    for arguments, message in (
        ([tmp_path / "a.wav", "--model", tmp_path / "none"], "no model yet; let it learn"),
        ([tmp_path / "a.wav", "--model", tmp_path / "bad.wav"], "bad.wav: "),
        ([tmp_path / "bad.wav", *model], "bad.wav: not a WAV file"),
        (["read", tmp_path / "no.wav", *model], "no.wav: no such file"),
        (["train", tmp_path / "bad.wav"], "expected a folder or a tar archive"),
    ):
        assert message in error_of(capsys, *arguments)


def test_without_the_library_of_features_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kaldi_native_fbank", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlstm\[speech\]'"):
        LogMel()(np.ones(800, np.float32))


@pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package")
def test_the_page_of_the_benchmark_takes_its_figures_from_a_run(reader, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(ROOT)
    speech, speech_page = (importlib.import_module(f"bench.studies.speech.{name}") for name in ("__main__", "page"))
    fresh = tones(5, seed=2)
    figures = {"greedy": 0.0123, "beam": 0.0101, "strings": 300, "digits": 1505, "sound": 900.0, "read": 3.0}
    way = {"seconds": 60.0, "network": {"hidden": 128, "parameters": 12345}, "epochs": 20, "per_epoch": 1600}
    way["errors"] = dict.fromkeys(speech.TESTS, figures)
    words = {"accuracy": [0.98, 0.99], "seconds": [9.0, 11.0], "confusion": (9 * np.eye(10, dtype=int)).tolist()}
    result = {
        "machine": {"processor": "an abacus"},
        "threads": 2,
        "recordings": speech.describe([*fresh, *fresh]),
        "words": {**words, "network": way["network"], "epochs": 20},
        "speakers": {"ann": 0.7, "bob": 0.9},
        "speakers_centred": {"ann": 0.8, "bob": 0.9},
        "strings": {"bidirectional": way, "unidirectional": way},
        "seconds": 300.0,
    }
    speech_page.write(result, speech.example(reader, fresh), tmp_path)
    page = (tmp_path / "speech.md").read_text(encoding="utf-8")
    for figure in ("**98.5%**", "**1.2%**", "1.0% by beam search", "80.0% in the mean", "1/300 of", "an abacus"):
        assert figure in page
    assert json.loads((tmp_path / "speech.json").read_text(encoding="utf-8")) == result
    for name in ("speech-confusion.png", "speech-string.png"):
        assert name in page and (tmp_path / "pictures" / name).read_bytes().startswith(b"\x89PNG")


def test_real_digits_are_learned(data_file):
    recordings = read_recordings(data_file("free-spoken-digits.tar.gz"))
    assert len(recordings) == 3000 and {one.label for one in recordings} == set("0123456789")
    few = [one for one in recordings if one.speaker == "theo" and one.label in "017"]
    classifier = WordClassifier(hidden_size=32, epochs=6, variants=1)
    classifier.fit([one for one in few if one.index >= 20])
    rest = [one for one in few if one.index < 20]
    right = np.mean(
        [a == one.label for a, one in zip(classifier.classify([o.signal for o in rest]), rest, strict=True)]
    )
    assert right > 0.9
    assert classifier.words == ["0", "1", "7"]
