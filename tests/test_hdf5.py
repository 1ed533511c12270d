"""The reader of HDF5 against h5py, and on what Keras does not write."""

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="h5py writes the files that are read")
from keras_cases import hdf5, numbers  # noqa: E402

from fastlstm.io.keras.hdf5 import File  # noqa: E402
from fastlstm.io.keras.stored import strings  # noqa: E402


def many(file):
    """Enough names that a group has a tree of nodes, arrays of every kind, attributes of every kind."""
    for k in range(300):
        group = file.create_group(f"layers/layer_{k}/vars")
        group.attrs["name"] = f"layer {k} é"
        group.create_dataset("0", data=numbers(k % 3, 2, seed=k))
    for k, dtype in enumerate(("<f4", ">f4", "<f8", ">f8", "<f2", "<i4", ">i8", "u1", "<u4")):
        file[f"kinds/{k}"] = (10 * numbers(3, 2)).astype(dtype)
    file["scalar"] = np.float32(3)
    file.attrs["text"] = "a" * 100_000
    file.attrs["bytes"] = np.bytes_("abc")
    file.attrs["names"] = np.array([b"a", b"bcd"])
    file.attrs["words"] = ["x", "", "yz"]
    file.attrs["numbers"] = [1.5, 2.5]
    file.attrs["none"] = np.array([])
    file.create_dataset("compact", data=numbers(3), dcpl=compact())


def compact():
    found = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    found.set_layout(h5py.h5d.COMPACT)
    return found


def test_all_is_read_as_h5py_reads_it(tmp_path):
    (tmp_path / "a.h5").write_bytes(hdf5(many))
    root, seen = File((tmp_path / "a.h5").read_bytes()).root, []

    def compare(group, theirs):
        for name, value in theirs.attrs.items():
            value = value.decode() if isinstance(value, bytes) else value
            if isinstance(value, np.ndarray) and value.dtype.kind in "SO":
                value = [one.decode() if isinstance(one, bytes) else one for one in value]
            np.testing.assert_array_equal(group.attribute(name), value)
        assert group.is_array == isinstance(theirs, h5py.Dataset)
        if group.is_array:
            array = group.array()
            seen.append(array)
            assert array.dtype == theirs.dtype and array.shape == theirs.shape
            np.testing.assert_array_equal(array, theirs[()])
        else:
            assert sorted(group.children()) == sorted(theirs)
            for name in theirs:
                compare(group[name], theirs[name])

    with h5py.File(tmp_path / "a.h5") as file:
        compare(root, file)
    assert len(seen) == 311
    assert root.attribute("nothing") is None and "nothing" not in root


def test_long_rows_of_names_are_put_together():
    def fill(file):
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"a", b"b"], [b"c"]

    root = File(hdf5(fill)).root
    assert strings(root, "layer_names") == ["a", "b", "c"]
    with pytest.raises(ValueError, match="expected an attribute 'weight_names', got none"):
        strings(root, "weight_names")


def linked(file):
    file["a"] = numbers(2)
    file["soft"], file["out"] = h5py.SoftLink("/a"), h5py.ExternalLink("/etc/passwd", "/")


def test_links_are_left_out():
    with pytest.raises(ValueError, match="expected groups as h5py writes them by default"):
        File(hdf5(linked))
    assert list(File(hdf5(lambda file: file.update(a=1.0, b=h5py.SoftLink("/a")))).root.children()) == ["a"]


def chunked(**options):
    return lambda file: file.create_dataset("a", data=numbers(8, 8), **options)


REFUSED = {
    "chunks": (
        lambda: hdf5(chunked(chunks=(4, 4))),
        "expected an array in one piece, as Keras writes it, got one in chunks",
    ),
    "gzip": (
        lambda: hdf5(chunked(compression="gzip")),
        "expected an array as it is, as Keras writes it, got a compressed one",
    ),
    "text": (
        lambda: hdf5(lambda file: file.create_dataset("a", data="b")),
        "expected an array of numbers, got pointers to",
    ),
    "group": (lambda: hdf5(lambda file: file.create_group("a")), "expected an array, got a group"),
    "empty": (
        lambda: hdf5(lambda file: file.create_dataset("a", (3,), "f4")),
        "expected an array with numbers, got one that was",
    ),
    "complex": (
        lambda: hdf5(lambda file: file.update(a=1j)),
        "expected whole numbers, floating-point numbers or strings",
    ),
    "missing": (lambda: hdf5(lambda file: file.update(b=1.0)), "expected 'a' in 'a', got b"),
    "latest": (
        lambda: hdf5(lambda file: None, libver="latest"),
        "expected an HDF5 file of the layout that h5py writes by",
    ),
    "order": (
        lambda: hdf5(lambda file: file.create_group("a", track_order=True)),
        "expected groups as h5py writes them by",
    ),
    "prefix": (lambda: hdf5(lambda file: None, userblock_size=512), "expected an HDF5 file, got other bytes"),
    "other": (lambda: b"PK" * 100, "expected an HDF5 file, got other bytes"),
    "short": (lambda: hdf5(chunked())[:-300], "expected 256 bytes at"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_keras_does_not_write_is_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        File(make()).root["a"].array()


def test_circles_end():
    content = bytearray(hdf5(lambda file: file.create_group("a")))
    at = content.index(b"TREE")
    content[at + 32 : at + 40] = at.to_bytes(8, "little")  # the node leads to itself
    with pytest.raises(ValueError, match="expected at most 1000000 parts of a file, got more"):
        File(bytes(content)).root.children()
