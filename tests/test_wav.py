"""WAV files: any header, however hostile, gives sound or an error that names the file, in little memory."""

import io
import struct
import tarfile
import tracemalloc

import numpy as np
import pytest
from scipy.signal import resample_poly

pytest.importorskip("kaldi_native_fbank")

from fastlstm.speech import read_recordings, read_wav, wav
from fastlstm.speech.wav import RATE, resampled


def wave(samples, rate=RATE, *, order="<", head=None, extra=b"", size=None, form=None):
    """A file of samples (L,) or (L, channels) of whole numbers or floats."""
    samples = np.asarray(samples)
    channels, width = (samples.shape[1] if samples.ndim > 1 else 1), samples.dtype.itemsize
    kind = 3 if samples.dtype.kind == "f" else 1
    form = form or struct.pack(f"{order}HHIIHH", kind, channels, rate, 0, channels * width, 8 * width)
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    head = head or (b"RIFF" if order == "<" else b"RIFX")
    size = len(data) if size is None else size
    return b"".join(
        [head, bytes(4), b"WAVE", extra, b"fmt ", struct.pack(f"{order}I", len(form)), form]
        + [b"data", struct.pack(f"{order}I", size), data]
    )


SOUND = (np.sin(np.arange(1000) / 3) * 20_000).astype(np.int16)


@pytest.fixture
def write(tmp_path):
    def write(content, name="a.wav"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def test_all_ways_to_write_the_same_sound_are_read_alike(write):
    wanted = read_wav(write(wave(SOUND)))
    assert np.array_equal(wanted, SOUND.astype(np.float32) / 2**15)
    extensible = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 0, 2, 16, 22, 16, 0) + struct.pack("<H", 1) + bytes(14)
    long_size = struct.pack("<QQQI", 0, 2 * len(SOUND), 0, 0)
    for content in (
        wave(SOUND, order=">"),
        wave(SOUND, form=extensible),
        wave(SOUND, extra=b"LIST" + struct.pack("<I", 3) + b"abc\0"),  # of an odd size, padded
        wave(SOUND, extra=b"junk" + struct.pack("<I", 100_000) + bytes(100_000)),
        wave(SOUND, size=0xFFFFFFFF),  # written to a pipe
        wave(SOUND, head=b"RF64", extra=b"ds64" + struct.pack("<I", 28) + long_size, size=0xFFFFFFFF) + b"more",
        wave(SOUND) + b"id3 " + bytes(50),
    ):
        assert np.array_equal(read_wav(write(content)), wanted)


def test_an_incomplete_sample_at_the_end_is_left_out(write):
    assert len(read_wav(write(wave(SOUND, size=2 * len(SOUND) - 1)))) == len(SOUND) - 1


FORM = "<HHIIHH"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wave(SOUND, size=2_000_000), r"it is cut off: \d+ of 1000000 samples are not there"),
        (wave(SOUND)[:-100], "it is cut off: 50 of 1000 samples"),
        (wave(SOUND, size=0xFFFFFFFE), "expected at most 3600 s of sound, got 268435"),
        (wave(SOUND[:0], size=0xFFFFFFFF), "holds no sound"),
        (wave(SOUND, form=struct.pack(FORM, 1, 0, RATE, 0, 0, 16)), "it has no channels"),
        (wave(SOUND, form=struct.pack(FORM, 1, 65535, RATE, 0, 65534, 8)), "got format 1 of 8 bits in 65534 bytes"),
        (wave(SOUND, form=struct.pack(FORM, 1, 65535, RATE, 0, 65535, 8)), "it is cut off|holds no sound"),
        (wave(SOUND, form=struct.pack(FORM, 1, 1, RATE, 0, 2, 999)), "got format 1 of 999 bits"),
        (wave(SOUND, form=struct.pack(FORM, 1, 1, RATE, 0, 2, 0)), "got format 1 of 0 bits"),
        (wave(SOUND, form=struct.pack(FORM, 2, 1, RATE, 0, 2, 16)), "got format 2"),
        (wave(SOUND, form=struct.pack(FORM, 1, 1, 2**32 - 1, 0, 2, 16)), "samples a second, got 4294967295"),
        (wave(SOUND, form=b"\1\0\1\0"), "it ends within its header"),
        (wave(SOUND, extra=b"junk" + struct.pack("<I", 0xFFFFFFFF)), "it ends within its header"),
        (wave(SOUND, head=b"RF64", extra=b"ds64\4\0\0\0abcd"), "it ends within its header"),
        (wave(SOUND).replace(b"fmt ", b"FMT "), "its samples come before their format"),
        (wave(np.array([0.5, np.inf], "f4")), "expected finite samples"),
        (wave(np.array([0x7F800001] * 9, "u4").view("f4")), "expected finite samples"),  # a signalling NaN
    ],
)
def test_a_hostile_header_is_named(content, message, write):
    with pytest.raises(ValueError, match=rf"a\.wav: .*({message})"):
        read_wav(write(content))


@pytest.mark.parametrize("own_rate", [1000, 7999, 11025, 16000, 44100, 48000, 768000])
def test_a_signal_in_parts_is_resampled_as_in_one(own_rate, monkeypatch):
    monkeypatch.setattr(wav, "PART", 5000)
    rng = np.random.default_rng(0)
    for length in (1, 4999, 60_001):
        signal = rng.standard_normal(length).astype(np.float32)
        parts = np.split(signal, sorted(rng.integers(0, length, 7)))
        found = np.concatenate(list(resampled(iter(parts), own_rate, RATE)))
        up, down = {7999: (1, 1), 11025: (320, 441)}.get(own_rate, (RATE, own_rate))
        wanted = signal if up == down else resample_poly(signal, up, down)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_memory_is_that_of_the_samples_that_come_out(write):
    """20 MB of sound at 44.1 kHz are 7 MB at 8 kHz: not the 20 times of the file that it once took."""
    path = write(wave(np.zeros(10_000_000, np.int16), 44_100))
    tracemalloc.start()
    signal = read_wav(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(signal) == 1_814_059 and peak < 2 * signal.nbytes + 10_000_000


def test_how_long_a_file_may_be_can_be_changed(write):
    path = write(wave(np.ones(3 * RATE, np.int16)))
    with pytest.raises(ValueError, match=r"a.wav: expected at most 2 s of sound, got 3; a higher max_seconds"):
        read_wav(path, max_seconds=2)
    assert len(read_wav(path, max_seconds=3)) == 3 * RATE
    endless = write(wave(np.ones(3 * RATE, np.int16), size=0xFFFFFFFF))
    with pytest.raises(ValueError, match="expected at most 2 s of sound"):
        read_wav(endless, max_seconds=2)


def packed(path, rate, seconds, count):
    with tarfile.open(path, "w:gz") as archive:
        for k in range(count):
            content = wave(np.full(rate * seconds, 128, np.uint8), rate)
            member = tarfile.TarInfo(f"yes_{k}.wav")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_recordings_have_a_bound_unpacked_and_as_samples(tmp_path):
    slow = packed(tmp_path / "slow.tar.gz", 1000, 10, 5)  # 10 kB each, and 320 kB at 8 kHz
    with pytest.raises(ValueError, match=r"slow.tar.gz: expected at most 1,000,000 bytes"):
        read_recordings(slow, max_bytes=1_000_000)
    assert len(read_recordings(slow, max_bytes=1_600_000)) == 5
    fast = packed(tmp_path / "fast.tar.gz", 48_000, 10, 5)  # 480 kB each, and 320 kB at 8 kHz
    assert fast.stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"fast.tar.gz: expected at most 2,000,000 bytes"):
        read_recordings(fast, max_bytes=2_000_000)
    assert len(read_recordings(fast)) == 5


def test_a_folder_of_recordings_has_the_same_bound(tmp_path):
    for k in range(3):
        (tmp_path / f"yes_{k}.wav").write_bytes(wave(SOUND))
    with pytest.raises(ValueError, match="expected at most 8,000 bytes"):
        read_recordings(tmp_path, max_bytes=8000)
    assert len(read_recordings(tmp_path, max_bytes=12_000)) == 3
