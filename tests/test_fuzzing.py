"""The corpus of the fuzzer is read or refused, and the fuzzer finds what only its guide leads to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fuzzing import guided
from fuzzing.__main__ import arguments
from fuzzing.judging import attempt
from fuzzing.kinds import KINDS

import fastlstm as fl

KIND = {kind.name: kind for kind in KINDS}


@pytest.mark.parametrize("name", sorted(path.name for path in guided.CORPUS.iterdir() if path.is_dir()))
def test_every_file_of_the_corpus_is_read_or_refused(name, tmp_path):
    if name not in KIND:
        pytest.skip(f"what reads {name} files is not installed")
    paths = sorted((guided.CORPUS / name).iterdir())
    assert paths
    with np.errstate(all="ignore"):
        hits = {
            path.name: attempt(KIND[name], path.read_bytes(), tmp_path / ("a" + KIND[name].suffix))[1] for path in paths
        }
    assert not {path: hit for path, hit in hits.items() if hit}


def test_the_corpus_is_small_and_has_every_kind():
    sizes = {path: path.stat().st_size for path in guided.CORPUS.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 1 << 20
    assert max(sizes.values()) <= guided.LARGEST
    assert {kind.name for kind in KINDS} <= {path.parent.name for path in sizes}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--coverage"], "--coverage: needs the package atheris; install it by: pip install atheris"),
        (["--grow"], "--grow: needs --coverage"),
        (["--only", "3"], "--only: needs --kind"),
    ],
)
def test_the_command_says_what_it_needs(options, message, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "atheris", None)
    monkeypatch.setattr(sys, "argv", ["fuzz", *options])
    with pytest.raises(SystemExit) as ended:
        arguments()
    assert ended.value.code == 2 and message in capsys.readouterr().err


PLANTED = """
import atheris
from fuzzing import guided, kinds

@atheris.instrument_func
def read(path):
    content = path.read_bytes()
    for at in range(6):
        if at == len(content) or content[at] >> 4 != 4 + at % 2:
            return
    raise KeyError("planted")

kinds.KINDS.append(kinds.Kind("planted", ".p", lambda folder: [b"gru, gru"], read))
guided.OWN = 0
guided.main()
"""


@pytest.mark.slow
def test_the_guide_leads_to_what_one_damaged_file_in_millions_would_hit(tmp_path):
    pytest.importorskip("atheris")
    told = {"kind": "planted", "seed": 0, "start": 0, "folder": str(tmp_path), "keep": str(tmp_path / "kept")}
    (tmp_path / "seeds").mkdir()
    (tmp_path / "found").mkdir()
    folders = [str(tmp_path / name) for name in ("found", "seeds")]
    command = [sys.executable, "-P", "-c", PLANTED, json.dumps(told), "-runs=3000", "-seed=1", *folders]
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(Path(fl.__file__).parents[1])])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert '"hit": "KeyError: \'planted\'' in done.stdout, done.stderr[-2000:]
    (kept,) = (tmp_path / "kept").iterdir()
    assert [byte >> 4 for byte in kept.read_bytes()[:6]] == [4, 5] * 3
