"""Files that people bring, compressed or not: what is read of them has a bound, and what is wrong with one is named."""

import bz2
import csv
import gzip
import io
import lzma
import tarfile
import threading
import warnings

import numpy as np
import pytest

from fastlstm import cli
from fastlstm.classification import read_texts
from fastlstm.data import Arrays, Frames
from fastlstm.forecasting.read_series import read_series
from fastlstm.separated import CELL, LONGEST, long_cells
from fastlstm.unpack import read_bytes, tar_files

PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
SERIES = "date,x\n" + "".join(f"2024-01-{day:02},{day}\n" for day in range(1, 29))
TEXTS = "text,label\n" + "".join(f"text {k},{'ab'[k % 2]}\n" for k in range(20))


@pytest.fixture
def write(tmp_path):
    def write(content, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("kind", PACK)
def test_compressed_tables_are_read_like_plain_ones(kind, write):
    pytest.importorskip("pandas")
    series = read_series(write(PACK[kind](SERIES.encode()), f"a.csv.{kind}"), "x")
    assert series.values.tolist() == list(range(1, 29)) and series.step.name == "day"
    texts = read_texts(write(PACK[kind](TEXTS.encode()), f"a.csv.{kind}"))
    assert texts.counts == {"a": 10, "b": 10}


@pytest.mark.parametrize("kind", PACK)
def test_how_much_is_unpacked_has_a_bound_that_can_be_raised(kind, write):
    path = write(PACK[kind](bytes(3_000_000)), "a")
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match=r"/a: expected at most 1,000,000 bytes.*a higher max_bytes"):
        read_bytes(path, "a file", 1_000_000)
    assert len(read_bytes(path, "a file", 3_000_000)) == 3_000_000
    with pytest.raises(ValueError, match=r"a.csv: expected at most 100 bytes"):
        read_texts(write(PACK[kind](TEXTS.encode())), max_bytes=100)
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match=r"a.csv: expected at most 100 bytes"):
        read_series(write(SERIES), "x", max_bytes=100)


@pytest.mark.parametrize("kind", PACK)
def test_a_compressed_file_that_is_damaged_is_named(kind, write):
    whole = PACK[kind](SERIES.encode())
    for content in (whole[: len(whole) // 2], whole[:-9] + bytes(9), whole[:20] + b"x" * 50):
        path = write(content)
        for read in (lambda path=path: read_series(path, "x"), lambda path=path: read_texts(path)):
            with pytest.raises(ValueError, match=r"a.csv: expected .*CSV file that is whole, got "):
                read()


def test_a_text_that_only_begins_like_a_compressed_one_is_a_text(write):
    pytest.importorskip("pandas")
    assert read_series(write("BZh,x\n1,2\n3,4\n"), "x").values.tolist() == [2, 4]


def test_short_cells_count_for_what_they_take_in_memory(write):
    pytest.importorskip("pandas")
    path = write("x\n" + "1\n" * 1000)
    with pytest.raises(ValueError, match=r"a.csv, line 251: expected at most 500 cells and rows, got more"):
        read_series(path, "x", max_bytes=500 * CELL)
    assert len(read_series(path, "x", max_bytes=2002 * CELL).values) == 1000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            f'date,x\n2024-01-01,1\n"{"9" * 200_000}",2\n',
            r"a.csv, line 3: expected cells of at most 131,072 characters",
        ),
        (f'"{"h" * 200_000}",x\n1,2\n', r"a.csv, line 1: expected cells of at most 131,072 characters"),
        ("# note\n\n" + "h" * 200_000 + "\n1\n", r"a.csv, line 3: expected cells of at most 131,072 characters"),
        ('x,y\n1,"2\n' + "3,4\n" * 50_000, r"a.csv, line \d+: expected cells .* is a quote left open\?"),
        ("x" * (LONGEST + 1), r"a.csv, line 1: expected at most 16,777,216 characters in a line, got more"),
        ("," * 20 + "\n" + "," * 20 + "\n", "a.csv: expected rows of data, got only separators"),
        ("year,month,x\n" + "9" * 5000 + ",1,1\n", r"a.csv, line 2, column 'year': expected a year, got '9{60,80}"),
    ],
)
def test_a_table_with_something_too_long_is_named_with_the_line(content, message, write):
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match=message):
        read_series(write(content), "x")


def test_a_text_may_be_long_but_not_a_header(write):
    assert len(read_texts(write(f"text,label\n{'w' * 200_000},a\nb,b\n")).texts[0]) == 200_000
    with pytest.raises(ValueError, match=r"a.csv, line 1: expected cells of at most 131,072 characters"):
        read_texts(write(f"text,label,{'h' * 200_000}\na,a,a\nb,b,b\n"))
    open_quote = 'text,label\na,a\n"b,b\n' + "x" * 1000 + "\n" + ("y" * 9_000_000 + "\n") * 2
    with pytest.raises(ValueError, match=r"a.csv, line \d: expected cells of at most 16,777,216 characters"):
        read_texts(write(open_quote))


def test_threads_leave_the_limit_of_cells_as_it_was():
    before, wrong = csv.field_size_limit(), []

    def look():
        for _ in range(200):
            with long_cells():
                if csv.field_size_limit() < LONGEST:
                    wrong.append(csv.field_size_limit())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and csv.field_size_limit() == before


def test_a_csv_file_that_is_not_utf8_is_counted_as_one_file(write):
    texts = read_texts(write("text,label\ndéjà,a\nvu,b\n".encode("cp1252")))
    assert texts.notes == ["Not UTF-8, and read as Windows-1252: 1 file."] and texts.texts[0] == "déjà"


def archive(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archives_are_read_within_their_bound(mode, tmp_path):
    path = archive(tmp_path / "a.tar", [("a/x.txt", b"one"), ("b/y.wav", b"no"), ("z.txt", b"two")], mode)
    found = [(str(place), content) for place, content in tar_files(path, lambda p: p.suffix == ".txt", "an archive")]
    assert found == [("a/x.txt", b"one"), ("z.txt", b"two")]
    bomb = archive(tmp_path / "b.tar", [("other", bytes(5_000_000)), ("x.txt", bytes(5_000_000))], mode)
    for most in (1_000_000, 6_000_000):
        with pytest.raises(ValueError, match=rf"b.tar: expected at most {most:,} bytes"):
            list(tar_files(bomb, lambda p: p.suffix == ".txt", "an archive", most))
    assert len(list(tar_files(bomb, lambda p: p.suffix == ".txt", "an archive", 11_000_000))) == 1


def test_a_member_that_says_to_be_larger_than_the_archive_may_be_is_too_large(tmp_path):
    """The next header would lie behind 8 EiB, and tarfile goes there in steps of 10 kB, whether anything is there."""
    large = tarfile.TarInfo("notes.txt")
    large.size = 2**63 - 1
    (tmp_path / "a.tar").write_bytes(tarfile.TarInfo("x.txt").tobuf() + large.tobuf() + bytes(1024))
    with pytest.raises(ValueError, match=r"a.tar: expected at most 256,000,000 bytes, unpacked, got more"):
        list(tar_files(tmp_path / "a.tar", lambda p: p.name == "x.txt", "an archive"))


def test_a_sparse_file_in_an_archive_counts_as_it_is_unpacked(tmp_path):
    """An archive of two blocks that says that it holds a file of 3 GB, nearly all of it holes."""
    header = bytearray(tarfile.TarInfo("x.txt").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"00000000000\0" * 2  # a part of no bytes, at the beginning
    header[483:495] = b"%011o\0" % 3_000_000_000
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 8 * 32)
    path = tmp_path / "sparse.tar"
    path.write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(ValueError, match=r"sparse.tar: expected at most 256,000,000 bytes"):
        list(tar_files(path, lambda place: True, "an archive"))


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:xz"])
def test_a_damaged_archive_is_a_value_error(kind, tmp_path):
    rng = np.random.default_rng(0)
    path = archive(tmp_path / "a.tar", [(f"d{'/e' * 60}/{k}.txt", rng.bytes(300)) for k in range(5)], kind)
    whole = path.read_bytes()
    for trial in range(200):
        content = bytearray(whole if trial % 3 else whole[: rng.integers(1, len(whole))])
        for place in rng.integers(0, len(content), 4):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            list(tar_files(path, lambda place: True, "an archive", 10_000_000))
        except ValueError as error:
            assert "a.tar: expected " in str(error)


@pytest.mark.parametrize(
    "content", [b"", b"x,y\n1,2\n" * 9 + b"1,2,3,4\n", b'x\n"' + b"1\n" * 9, gzip.compress(b"x\n1\n" * 99)[:-20]]
)
def test_frames_name_the_file_that_pandas_cannot_read(content, write):
    pytest.importorskip("pandas")
    path = write(content, "a.csv.gz" if content[:1] == b"\x1f" else "a.csv")
    with pytest.raises(ValueError, match=r"a.csv(.gz)?: expected a CSV file that is whole, got "):
        list(Frames(path, 2, 1, inputs="x", targets="x"))


def test_a_damaged_array_on_disk_is_named(tmp_path):
    path, rng = tmp_path / "x.npy", np.random.default_rng(0)
    np.save(path, np.arange(40.0).reshape(10, 4))
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with pytest.raises(ValueError, match=r"x: .*x\.npy: expected a \.npy file that is whole, got "):
        Arrays(path, np.zeros((10, 1)))
    np.savez(tmp_path / "z.npz", np.ones(3))
    (tmp_path / "z.npz").rename(tmp_path / "z.npy")
    with pytest.raises(ValueError, match=r"z\.npy: expected a \.npy file"):
        Arrays(tmp_path / "z.npy", np.zeros((10, 1)))
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(0, 100, 3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                Arrays(path, np.zeros((10, 1)))
        except ValueError as error:
            assert str(error).startswith(("x: ", "x, y", "y: ")), error


def test_the_commands_raise_the_bound(write, capsys, monkeypatch):
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(cli.options, "MEGABYTE", 100)
    for command in (
        ["forecast", write(SERIES, "s.csv"), "--target", "x", "--horizon", "1"],
        ["classify", "train", write(TEXTS, "t.csv")],
        ["speech", "train", archive(write(b"", "w.tar"), [("yes_1.wav", bytes(2000))])],
    ):
        assert cli.main([*map(str, command), "--max-megabytes", "1"]) == 1
        assert "expected at most 100 bytes, unpacked, got more; a higher max_bytes (--max-megabytes)" in (
            capsys.readouterr().err
        )
