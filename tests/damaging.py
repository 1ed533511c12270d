"""Files with another header or other numbers, whose checksum is right again: what the checks behind it are for."""

import json
import struct

import numpy as np

from fastlstm import tensors


def header_of(content):
    """The header of a safetensors file, and where its numbers begin."""
    size = 8 + struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:size]), size


def with_header(content, header):
    """The same numbers behind another header."""
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new)) + new + content[header_of(content)[1] :]


def in_order(content):
    """The same with a header in the order of the alphabet; safetensors writes it in any."""
    header, _ = header_of(content)
    return with_header(content, {key: dict(sorted(header[key].items())) for key in sorted(header)})


def renewed(content):
    """The same with the checksum of what is in it now, where it can be read at all."""
    from safetensors.numpy import load

    header, _ = header_of(content)
    words = header["__metadata__"]
    words.pop("checksum", None)
    try:
        words["checksum"] = tensors.checksum(load(with_header(content, header)), words)
    except KeyError:  # a dtype that NumPy does not know
        pass
    return with_header(content, header)


def rewrite(path, change):
    """Another header, changed in place; the checksum is that of the new content."""
    content = path.read_bytes()
    header, _ = header_of(content)
    change(header)
    path.write_bytes(renewed(with_header(content, header)))


def edit_json(path, word, edit):
    """Change what one of its words says in JSON, in place."""

    def change(header):
        value = json.loads(header["__metadata__"][word])
        edit(value)
        header["__metadata__"][word] = json.dumps(value)

    rewrite(path, change)


def overwrite(path, number, at=-8):
    """A number at some bytes of the file, counted from its end if below 0; the checksum is that of the new content."""
    content = bytearray(path.read_bytes())
    number = np.asarray(number, np.float32).tobytes()
    at %= len(content)
    content[at : at + len(number)] = number
    path.write_bytes(renewed(bytes(content)))
