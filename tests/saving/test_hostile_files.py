"""A file is data: what others may put into it is refused before it runs, opens or allocates anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.saving.hostile.all_kinds import MAKERS
from tests.saving.hostile.makers import good_model

MIB = 1 << 20
ALLOWED = {"BadFileError", "UnclearError", "TypeError", "ValueError"}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """What loading each file came to, in one process that watches itself."""
    root = tmp_path_factory.mktemp("hostile")
    (root / "tmp").mkdir()
    (root / "evil_on_the_path.py").write_text(f"open({str(root / 'imported')!r}, 'w')\ndef boom(*a, **k): pass\n")
    cases, sizes = [["load_model", str(good_model(root))]], {}
    for name, (make, _) in MAKERS.items():
        folder = root / name
        folder.mkdir()
        door, path = make(folder)
        cases.append([door, path])
        sizes[name] = os.path.getsize(path)
    (root / "cases.json").write_text(json.dumps(cases))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), str(root)]), "TMPDIR": str(root / "tmp")}
    env["TORCHINDUCTOR_CACHE_DIR"] = str(root / "inductor")  # torch's own, made on import
    worker = os.path.join(os.path.dirname(__file__), "hostile_worker.py")
    done = subprocess.run(
        [sys.executable, worker, str(root / "cases.json")], env=env, capture_output=True, text=True, timeout=240
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(MAKERS), done.stderr[-3000:]
    return root, dict(zip(MAKERS, lines, strict=True)), sizes


@pytest.mark.parametrize("name", MAKERS)
def test_refused(verdicts, name):
    root, lines, sizes = verdicts
    found = lines[name]
    assert found["error"] in ALLOWED, found
    for word in MAKERS[name][1]:
        assert word in found["message"], found["message"][:500]
    assert found["seconds"] < 5
    assert found["peak"] < 256 * MIB + 3 * sizes[name], found["peak"] / MIB
    assert not found["events"], found["events"][:10]
    assert found["settings"], "loading changed the library's settings"


def test_nothing_ran_and_nothing_was_written(verdicts):
    root, _, _ = verdicts
    assert not list(root.rglob("sentinel"))
    assert not list(root.rglob("escaped")) and not os.path.exists("/tmp/escaped")
    assert not (root / "imported").exists()
    # torch may make its own cache there.
    left = [path for path in (root / "tmp").iterdir() if not path.name.startswith("torchinductor_")]
    assert not left, "temporary files were left"
