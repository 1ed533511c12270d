"""Reading HDF5 files as h5py and Keras write them, in Python alone.

The library libhdf5 crashes the process on about one in a thousand damaged files, which no check before can see. This
reader knows the part of the format (version 3 of its specification) that Keras has ever written: groups by symbol
tables, arrays in one piece, attributes with numbers and strings. All that it reads are parts of the bytes that it gets,
and it counts its steps, so that a damaged file costs neither time nor memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89HDF\r\n\x1a\n"

NOWHERE = 2**64 - 1
"""The address of what was never written."""

MOST_STEPS = 1_000_000
"""The largest number of parts of a file that are looked at; more are a file that goes round in circles."""

DATASPACE, DATATYPE, LAYOUT, FILTERS, ATTRIBUTE, MORE, TABLE = 0x01, 0x03, 0x08, 0x0B, 0x0C, 0x10, 0x11
LINK_INFO, LINK, ATTRIBUTE_INFO = 0x02, 0x06, 0x15

STRING = "strings"
POINTERS = "pointers to strings"
FLOATS = {  # bit offset, precision, place and size of the exponent and of the mantissa, and the bias of the exponent
    2: (0, 16, 10, 5, 0, 10, 15),
    4: (0, 32, 23, 8, 0, 23, 127),
    8: (0, 64, 52, 11, 0, 52, 1023),
}

Value = str | list[str] | NDArray[Any]


class File:
    """The bytes of a file, in which groups and arrays lie.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    ValueError
        If it is no HDF5 file, or one in a layout that Keras does not write.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.steps, self.strings = data, 0, 0
        if data[:8] != SIGNATURE:
            raise ValueError("expected an HDF5 file, got other bytes")
        version = data[8]
        if version > 1:
            raise ValueError(
                f"expected an HDF5 file of the layout that h5py writes by default, got superblock version {version}; "
                "write it without libver='latest'"
            )
        if data[13:15] != b"\x08\x08":
            raise ValueError("expected an HDF5 file with addresses of 8 bytes")
        base, _, _, _, _, root = self.unpack("<6Q", 24 + 4 * version)
        if base:
            raise ValueError(f"expected an HDF5 file that begins at its first byte, got one at {base}")
        self.root = Group(self, root)

    def unpack(self, form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack(form, self.piece(at, struct.calcsize(form)))

    def piece(self, at: int, size: int) -> bytes:
        """So many bytes from an address."""
        return bytes(self.view(at, size))

    def view(self, at: int, size: int) -> memoryview:
        """The same without a copy."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise ValueError(f"expected at most {MOST_STEPS} parts of a file, got more")
        if not 0 <= at <= at + size <= len(self.data):
            raise ValueError(f"expected {size} bytes at {at}, got a file of {len(self.data)}")
        return memoryview(self.data)[at : at + size]

    def expect(self, at: int, mark: bytes) -> None:
        if self.piece(at, 4) != mark:
            raise ValueError(f"expected {mark.decode()} at {at}, got {self.piece(at, 4)!r}")

    def messages(self, at: int) -> list[tuple[int, bytes]]:
        """The kinds and contents of the messages of an object."""
        version, _, count, _, size = self.unpack("<BBHII", at)
        if version != 1:
            raise ValueError(f"expected groups as h5py writes them by default, got another header at {at}")
        found: list[tuple[int, bytes]] = []
        blocks = [(at + 16, size)]
        while blocks and len(found) < count:
            start, left = blocks.pop(0)
            while left >= 8 and len(found) < count:
                kind, length, flags = self.unpack("<HHB", start)
                content = self.piece(start + 8, length)
                if kind == MORE:
                    blocks.append(struct.unpack("<QQ", content[:16]))
                if flags & 2 and kind in (DATATYPE, DATASPACE, ATTRIBUTE):
                    raise ValueError(f"expected a message of its own at {start}, got a shared one")
                found.append((kind, content))
                start, left = start + 8 + length, left - 8 - length
        return found

    def string(self, pointer: bytes) -> str:
        """The string in a global heap that a pointer of 16 bytes leads to."""
        size, heap, wanted = struct.unpack("<IQI", pointer)
        if not size:
            return ""
        self.expect(heap, b"GCOL")
        (end,) = self.unpack("<Q", heap + 8)
        at, end = heap + 16, heap + end
        while at + 16 <= end:
            index, _, _, length = self.unpack("<HHIQ", at)
            if index == wanted and index and size <= length:
                self.strings += size
                if self.strings > 4 * len(self.data):
                    raise ValueError("expected strings that are there once, got one again and again")
                return self.piece(at + 16, size).decode()
            if not index:
                break
            at += 16 + (length + 7) // 8 * 8
        raise ValueError(f"expected string {wanted} in the heap at {heap}, got none")


class Group:
    """A group of groups and arrays, with attributes.

    Attributes
    ----------
    file : File
    """

    def __init__(self, file: File, at: int) -> None:
        self.file = file
        self._messages = file.messages(at)
        self._children: dict[str, int] | None = None
        if any(kind in (LINK_INFO, LINK, ATTRIBUTE_INFO) for kind, _ in self._messages):
            raise ValueError("expected groups as h5py writes them by default, got ones in the order of their making")

    @property
    def is_array(self) -> bool:
        return all(kind != TABLE for kind, _ in self._messages)

    def __contains__(self, name: str) -> bool:
        return name in self.children()

    def __getitem__(self, path: str) -> Group:
        """What lies at a path within the group."""
        found = self
        for name in path.split("/"):
            children = found.children()
            if name not in children:
                raise ValueError(f"expected {name!r} in {path!r}, got {', '.join(children) or 'nothing'}")
            found = Group(self.file, children[name])
        return found

    def children(self) -> dict[str, int]:
        """The names of what lies in the group, and where. Links to other places are left out."""
        if self._children is None:
            self._children = {}
            for kind, content in self._messages:
                if kind == TABLE:
                    self._children.update(self._symbols(*struct.unpack("<QQ", content[:16])))
        return self._children

    def _symbols(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        file = self.file
        file.expect(heap, b"HEAP")
        size, _, names = file.unpack("<QQQ", heap + 8)
        nodes = [tree]
        while nodes:
            node = nodes.pop()
            if file.piece(node, 4) == b"TREE":
                (count,) = file.unpack("<H", node + 6)
                nodes += [file.unpack("<Q", node + 32 + 16 * k)[0] for k in range(count)]
                continue
            file.expect(node, b"SNOD")
            (count,) = file.unpack("<H", node + 6)
            for k in range(count):
                name, at, cached = file.unpack("<QQI", node + 8 + 40 * k)
                if cached != 2 and name < size:
                    end = file.data.find(b"\0", names + name, names + min(size, name + 1024))
                    yield file.piece(names + name, end - names - name).decode(), at

    def attribute(self, name: str) -> Value | None:
        """An attribute by its name: a string, strings, or numbers; None if there is none."""
        for kind, content in self._messages:
            if kind != ATTRIBUTE:
                continue
            version, _, named, typed, spaced = struct.unpack("<BBHHH", content[:8])
            if version not in (1, 2, 3):
                raise ValueError(f"expected an attribute of version 1 to 3, got {version}")
            at, parts = 9 if version == 3 else 8, []
            for size in (named, typed, spaced):
                parts.append(content[at : at + size])
                at += (size + 7) // 8 * 8 if version == 1 else size
            if parts[0].rstrip(b"\0") == name.encode():
                return _decoded(self.file, _type(parts[1]), _shape(parts[2]), content[at:])
        return None

    def array(self) -> NDArray[Any]:
        """The numbers of an array, which see the bytes of the file."""
        parts = dict(self._messages)
        if any(kind not in parts for kind in (DATASPACE, DATATYPE, LAYOUT)):
            raise ValueError("expected an array, got a group")
        if FILTERS in parts:
            raise ValueError("expected an array as it is, as Keras writes it, got a compressed one")
        dtype, shape = _type(parts[DATATYPE]), _shape(parts[DATASPACE])
        if not isinstance(dtype, np.dtype):
            raise ValueError(f"expected an array of numbers, got {dtype[0]}")
        layout = parts[LAYOUT]
        if layout[:2] == b"\x03\x00":
            (size,) = struct.unpack("<H", layout[2:4])
            return _numbers(layout[4 : 4 + size], dtype, shape)
        if layout[:2] != b"\x03\x01":
            raise ValueError("expected an array in one piece, as Keras writes it, got one in chunks")
        at, size = struct.unpack("<QQ", layout[2:18])
        if at == NOWHERE and 0 not in shape:
            raise ValueError("expected an array with numbers, got one that was never written")
        return _numbers(b"" if at == NOWHERE else self.file.view(at, size), dtype, shape)


def _numbers(data: bytes | memoryview, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    count = 1
    for size in shape:
        count *= size
    if count * dtype.itemsize > len(data):
        raise ValueError(f"expected {dtype} numbers of shape {shape}, got {len(data)} bytes")
    return np.frombuffer(data, dtype, count).reshape(shape)


def _shape(content: bytes) -> tuple[int, ...]:
    version, rank = content[0], content[1]
    if version not in (1, 2) or rank > 32:
        raise ValueError(f"expected a shape of version 1 or 2 and up to 32 axes, got version {version} and {rank}")
    at = 8 if version == 1 else 4
    empty = version == 2 and content[3] == 2
    return (0,) if empty else struct.unpack(f"<{rank}Q", content[at : at + 8 * rank])


def _type(content: bytes) -> np.dtype[Any] | tuple[str, int]:
    """Numbers as a dtype; strings as their kind and size."""
    kind, bits, size = content[0] & 15, content[1], struct.unpack("<I", content[4:8])[0]
    order = ">" if bits & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8):
        return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}")
    if kind == 1 and size in FLOATS and struct.unpack("<HHBBBBI", content[8:20]) == FLOATS[size]:
        return np.dtype(f"{order}f{size}")
    if kind == 3 and size:
        return STRING, size
    if kind == 9 and bits & 15 == 1 and size == 16:
        return POINTERS, size
    raise ValueError(f"expected whole numbers, floating-point numbers or strings, got class {kind} of {size} bytes")


def _decoded(file: File, dtype: np.dtype[Any] | tuple[str, int], shape: tuple[int, ...], data: bytes) -> Value:
    if isinstance(dtype, np.dtype):
        return _numbers(data, dtype, shape)
    kind, size = dtype
    if len(shape) > 1 or (shape and shape[0] * size > len(data)) or (not shape and size > len(data)):
        raise ValueError(f"expected a row of strings, got shape {shape} in {len(data)} bytes")
    pieces = [data[k * size : (k + 1) * size] for k in range(shape[0] if shape else 1)]
    found = [file.string(piece) if kind == POINTERS else piece.rstrip(b"\0").decode() for piece in pieces]
    return found if shape else found[0]
