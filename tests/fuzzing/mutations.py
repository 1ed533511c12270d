"""Ways to damage a file, each drawn by a generator of random numbers."""

import bz2
import gzip
import io
import json
import lzma
import zipfile

import numpy as np
from damaging import header_of, renewed, with_header

MARK = "what json.dumps cannot write"

NUMBERS = [
    0,
    1,
    -1,
    2,
    3,
    255,
    65536,
    10**6,
    10**8,
    2**31 - 1,
    2**31,
    10**10,
    10**12,
    2**53,
    2**63,
    2**64,
    10**30,
    10**400,
]
FLOATS = [0.0, -0.0, 0.5, -1.5, 1e-320, 1e30, 1e300, -1e300, float("nan"), float("inf"), float("-inf")]
OTHERS = [
    None,
    True,
    False,
    "",
    "1",
    "nan",
    "x" * 5000,
    "\ud800",
    "\x00",
    [],
    [[]],
    {},
    {"layer": 0},
    {"array": "0"},
    [1, "a"],
]
TEXTS = [
    "[" * 100_000,
    "[" * 900 + "]" * 900,
    "[" * 50_000 + "]" * 50_000,
    '{"a":' * 5000 + "1" + "}" * 5000,
    "1" * 5000,
]
"""Written as they are: nested too deep, or too long a number."""

REALS = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0, -1, 1e6], np.float32)

CELLS = [
    *(
        "",
        " ",
        "NaN",
        "inf",
        "-1e400",
        "1e308",
        "9" * 500,
        "1,5",
        "1.2.3",
        "abc",
        '"',
        '"a',
        "a\x00b",
        "\ufeff",
        "=1+1",
    ),
    *("2024-02-31", "0000-00-00", "9999-12-31", "99999-01-01", "1e9-01-01", "2024-13-01", "31/02/2024", "1700-01-01"),
    *(
        "2024-Q5",
        "2024-01-01T25:61",
        "2024-01-01T00:00:00+99:99",
        "12:00",
        "nat",
        "-",
        "x" * 200_000,
        "\n\n",
        "\r",
        "\t;|",
    ),
]


PACKED = {
    b"\x1f\x8b": (gzip.decompress, gzip.compress),
    b"BZh": (bz2.decompress, bz2.compress),
    b"\xfd7zXZ": (lzma.decompress, lzma.compress),
}
"""How compressed files begin, with what unpacks and packs them."""

FIELDS = [(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155), (386, 96), (482, 14)]
"""Where name, mode, size, time, type, link, version and prefix of a member of a tar archive lie; some are sparse."""


def mutate(content, others, rng):
    """The content of a file, damaged in one to three ways; often its checksum, if it has one, is then made right again.

    Parameters
    ----------
    content : bytes
    others : list of bytes
        Files to take pieces from.
    rng : numpy.random.Generator
    """
    ways = [flip_bits, change_bytes, cut, grow, repeat, splice]
    if content[8:9] == b"{":
        ways += [edit_header] * 20 + [change_numbers] * 4
    elif content[:2] == b"PK":
        ways += [edit_record] * 20
    elif content[:4] == b"RIFF":
        ways += [edit_fields] * 6
    elif any(content.startswith(magic) for magic in PACKED):
        ways += [edit_packed] * 12
    elif content[257:262] == b"ustar":
        ways += [edit_member] * 12
    else:
        ways += [edit_cells] * 8
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3])):
        content = ways[rng.integers(len(ways))](content, others, rng)
    return mended(content) if rng.random() < 0.5 else content


def mended(content):
    """The same with a checksum that is right, if it is a file that has one."""
    try:
        return renewed(content)
    except Exception:  # it is beyond repair, or it never was one
        return content


def flip_bits(content, others, rng):
    changed = bytearray(content)
    for at in rng.integers(8 * len(changed), size=rng.integers(1, 9)) if changed else ():
        changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def change_bytes(content, others, rng):
    changed = bytearray(content)
    for at in rng.integers(len(changed), size=rng.integers(1, 17)) if changed else ():
        changed[at] = rng.integers(256)
    return bytes(changed)


def cut(content, others, rng):
    start, end = sorted(rng.integers(len(content) + 1, size=2))
    return [content[:start], content[start:], content[:start] + content[end:]][rng.integers(3)]


def grow(content, others, rng):
    at = rng.integers(len(content) + 1)
    more = rng.bytes(rng.integers(1, 300)) if rng.random() < 0.5 else bytes(rng.integers(1, 5000))
    return content[:at] + more + content[at:]


def repeat(content, others, rng):
    start, end = sorted(rng.integers(len(content) + 1, size=2))
    return content[:end] + content[start:end] * int(rng.integers(1, 4)) + content[end:]


def splice(content, others, rng):
    other = others[rng.integers(len(others))]
    a, b = rng.integers(len(content) + 1), rng.integers(len(other) + 1)
    return content[:a] + other[b:]


def edit_record(content, others, rng):
    """Damage a record of an archive, mostly the first, which says what the others are, and write it anew."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = [(name, archive.read(name)) for name in archive.namelist()]
        names = [name for name, _ in records]
        chosen = names[rng.integers(len(names))] if rng.random() < 0.3 else names[0]
        way = [flip_bits, change_bytes, cut, grow, repeat][rng.choice(5, p=[0.5, 0.3, 0.1, 0.05, 0.05])]
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w") as archive:
            for name, part in records:
                archive.writestr(name, way(part, [part], rng) if name == chosen else part)
        return changed.getvalue()
    except Exception:  # damaged before
        return flip_bits(content, others, rng)


def edit_header(content, others, rng):
    """Edit the header of a safetensors file, or what one of its words says in JSON."""
    try:
        header, _ = header_of(content)
        words = header["__metadata__"]
        spoken = [key for key in words if words[key][:1] in "{["]
        if spoken and rng.random() < 0.85:
            key = spoken[rng.integers(len(spoken))]
            tree = json.loads(words[key])
            if key == "state" and rng.random() < 0.8:
                words[key] = edit_json(unwrapped(tree), rng, wrapped)
            else:
                words[key] = edit_json(tree, rng)
            return with_header(content, header)
        return with_header(content, json.loads(edit_json(header, rng)))
    except Exception:  # damaged before, or now not to be written by json.dumps
        return flip_bits(content, others, rng)


def unwrapped(tree):
    """The state of a training as plain dicts, as `fastlstm.snapshot` was given it, so that edits reach its parts."""
    if isinstance(tree, list):
        return [unwrapped(value) for value in tree]
    if isinstance(tree, dict) and "dict" in tree:
        return {key: unwrapped(value) for key, value in tree["dict"]}
    return tree


def wrapped(tree):
    """The same as `fastlstm.snapshot` writes it."""
    if isinstance(tree, list):
        return [wrapped(value) for value in tree]
    if isinstance(tree, dict) and "array" not in tree:
        return {"dict": [[key, wrapped(value)] for key, value in tree.items()]}
    return tree


def edit_json(tree, rng, then=lambda tree: tree):
    """Its text, after one to three edits and `then`."""
    text = None
    for _ in range(rng.choice([1, 1, 2, 3])):
        places = list(places_of(tree))
        if not places:
            break
        box, key = places[rng.integers(len(places))]
        way = rng.integers(10)
        if way == 0:
            del box[key]
        elif way == 1 and isinstance(box, dict):
            box[key[:-1] + "x"] = box.pop(key)
        elif way == 2:
            there, at = places[rng.integers(len(places))]
            box[key] = json.loads(json.dumps(there[at]))
        elif way == 3:
            box[key] = [box[key]] if rng.random() < 0.5 else {"a": box[key]}
        elif way == 4 and isinstance(box, list):
            box.extend(json.loads(json.dumps(box)) * int(rng.integers(1, 4)))
        elif way == 5:
            box[key], text = MARK, TEXTS[rng.integers(len(TEXTS))]
        else:
            values = [NUMBERS, FLOATS, OTHERS][rng.integers(3)]
            box[key] = values[rng.integers(len(values))]
    written = json.dumps(then(tree))
    return written if text is None else written.replace(json.dumps(MARK), text)


def places_of(tree):
    """Every place in a JSON tree: what holds it, and its key there."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from places_of(value)


def change_numbers(content, others, rng):
    """Put other floats into the arrays, or strange ones."""
    try:
        start = header_of(content)[1]
    except Exception:
        return flip_bits(content, others, rng)
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        if start + 4 <= len(changed):
            at = start + 4 * rng.integers((len(changed) - start) // 4)
            number = REALS[rng.integers(len(REALS))] if rng.random() < 0.5 else np.float32(rng.normal())
            changed[at : at + 4] = number.tobytes()
    return bytes(changed)


def edit_fields(content, others, rng):
    """Other numbers in the header of a WAV file."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, size = 2 * rng.integers(min(40, max(1, len(changed) // 2))), int(rng.choice([2, 4]))
        value = [0, 1, 2, 3, 8, 16, 24, 32, 255, 65534, 65535, 2**31 - 1, 2**31, 2**32 - 1, 48000, 768000][
            rng.integers(16)
        ]
        changed[at : at + size] = (value & (256**size - 1)).to_bytes(size, "little")
    return bytes(changed)


def edit_packed(content, others, rng):
    """Damage what a compressed file unpacks to."""
    try:
        unpack, pack = next(ways for magic, ways in PACKED.items() if content.startswith(magic))
        inner = unpack(content)
    except Exception:  # damaged before
        return flip_bits(content, others, rng)
    return pack(mutate(inner, [inner], rng))


def edit_member(content, others, rng):
    """Another field in the header of a member of a tar archive, whose checksum is then right again."""
    changed = bytearray(content)
    headers = [at for at in range(0, len(changed) - 511, 512) if changed[at + 257 : at + 262] == b"ustar"]
    if not headers:
        return flip_bits(content, others, rng)
    at = int(headers[rng.integers(len(headers))])
    start, size = FIELDS[rng.integers(len(FIELDS))]
    numbers = [b"%o" % number for number in NUMBERS if number >= 0]
    values = [numbers, [b"-1", b"\xff" * size, b"\x80" + b"\x7f" * size, b"", b"x"], [*b"\x000123456789ASLKxgXNDM"]]
    some = values[2 if size == 1 else rng.integers(2)]
    value = some[rng.integers(len(some))]
    changed[at + start : at + start + size] = (bytes([value]) if size == 1 else value)[:size].ljust(size, b"\0")
    changed[at + 148 : at + 156] = b" " * 8
    changed[at + 148 : at + 156] = b"%06o\0 " % sum(changed[at : at + 512])
    return bytes(changed)


def edit_cells(content, others, rng):
    """Other cells, rows and separators in a CSV file."""
    lines = content.split(b"\n")
    for _ in range(rng.choice([1, 1, 2, 5])):
        row = rng.integers(len(lines)) if rng.random() < 0.7 else 0
        cells = lines[row].split(b",")
        way = rng.integers(6)
        if way < 3:
            cells[rng.integers(len(cells))] = CELLS[rng.integers(len(CELLS))].encode()
        elif way == 3:
            del cells[rng.integers(len(cells))]
        elif way == 4:
            cell = cells[rng.integers(len(cells))][:1000]  # one that is long already does not grow beyond all measure
            cells.insert(rng.integers(len(cells) + 1), cell * int(rng.choice([1, 2, 1000])))
        lines[row] = (b";" if way == 5 else b",").join(cells)
    text = b"\n".join(lines)
    if rng.random() < 0.1:
        text = [text.replace(b"\n", b"\r\n"), text.replace(b"\n", b"\r"), text.decode("latin-1").encode("utf-16")][
            rng.integers(3)
        ]
    return text
