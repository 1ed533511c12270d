"""The kinds of files that data comes in, beside WAV and CSV alone: compressed, in archives, arrays, plain text."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
from importlib.util import find_spec

import numpy as np

from fastlstm.cli.output import read_settings
from fastlstm.data import Arrays, Frames
from fastlstm.forecasting import read_series
from fastlstm.speech import read_recordings
from fastlstm.text import read_text

MOST = 100
"""Batches that are taken of what may have any number."""

ROWS = ["day,x", *(f"2024-01-{day:02},{day % 7}" for day in range(1, 29))]


def packed_tables(folder):
    for pack in (lambda content: gzip.compress(content, mtime=0), bz2.compress, lzma.compress):
        yield pack("\n".join(ROWS).encode())


def recordings(folder):
    from scipy.io import wavfile

    for mode, form in (("w", tarfile.USTAR_FORMAT), ("w:gz", tarfile.PAX_FORMAT), ("w:xz", tarfile.GNU_FORMAT)):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode=mode, format=form) as archive:
            for name in ("yes_ann_0.wav", "no_ann_1.wav", "p" * 90 + "/no_" + "ö" * 20 + ".wav", "notes.txt"):
                sound = io.BytesIO()
                wavfile.write(sound, 8000, (100 * np.sin(np.arange(60))).astype(np.int16))
                member = tarfile.TarInfo(name)
                member.size = len(sound.getvalue())
                archive.addfile(member, io.BytesIO(sound.getvalue()))
        yield content.getvalue()


def arrays(folder):
    for array in (np.ones((6, 4, 2), np.float32), np.arange(5), np.asfortranarray(np.ones((3, 2), np.float16))):
        content = io.BytesIO()
        np.save(content, array)
        yield content.getvalue()


def read_array(path):
    for k, _ in enumerate(Arrays(path, path, batch_size=2)):
        if k == MOST:
            break


def frames(folder):
    yield "\n".join(ROWS).encode()


def read_frame(path):
    for k, _ in enumerate(Frames(path, 4, 2, inputs="x", targets="x", batch_size=4, pool=16, chunksize=10)):
        if k == MOST:
            break


def texts(folder):
    text = "Tell me, tell me what you see.\r\n" * 8 + "Grüße\n"
    yield from (text.encode(), b"\xef\xbb\xbf" + text.encode())


def settings(folder):
    yield json.dumps({"file": "sales.csv", "target": "x", "epochs": 3, "lr": 0.01, "others": ["a", None]}).encode()


def kinds_of_data(kind):
    return [
        kind("packed", ".csv.gz", packed_tables, lambda path: read_series(path, "x")),
        kind("recordings", ".tar", recordings, lambda path: read_recordings(path)),
        kind("array", ".npy", arrays, read_array),
        *([kind("frame", ".csv", frames, read_frame)] if find_spec("pandas") else []),
        kind("prose", ".txt", texts, lambda path: read_text(path)),
        kind("settings", ".json", settings, lambda path: read_settings(path)),
    ]
