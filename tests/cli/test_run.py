"""`python -m torchkeras run`: the line that torchrun gets, and the script's exit code."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

import pytest

from torchkeras.cli.main import main


@pytest.mark.parametrize(
    "words, line",
    [
        ("--nproc 2 train.py --epochs 3", "torchrun --nproc-per-node=2 --standalone train.py --epochs 3"),
        (
            "--nproc 4 --max-restarts 3 --logs out train.py",
            "torchrun --nproc-per-node=4 --standalone --max-restarts=3 --log-dir=out --tee=3 train.py",
        ),
        (
            "--signals SIGUSR1 --nproc 2 train.py",
            "torchrun --nproc-per-node=2 --standalone --signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1 "
            "train.py",
        ),
        (
            "--nproc 8 --nnodes 2 --node-rank 1 --master host0:1234 train.py",
            "torchrun --nproc-per-node=8 --nnodes=2 --node-rank=1 --master-addr=host0 --master-port=1234 train.py",
        ),
    ],
)
def test_the_line_for_torchrun(words, line, capsys):
    assert main(["run", "--dry-run", "--threads", "1", *words.split()]) == 0
    assert capsys.readouterr().out.strip() == f"OMP_NUM_THREADS=1 {line}"


@pytest.mark.parametrize(
    "words, message",
    [
        ("--nproc 0 train.py --x", "No such file"),
        ("--nproc -1 train.py", "must be positive"),
        ("--nnodes 2 train.py", "--master"),
    ],
)
def test_errors_before_the_script_starts(words, message, capsys):
    assert main(["run", *words.split()]) == 2
    assert message in capsys.readouterr().err


def test_the_lines_in_the_guide_are_understood(capsys):
    text = (Path(__file__).resolve().parents[2] / "docs/clusters.md").read_text().replace("\\\n", " ")
    lines = re.findall(r"python -m torchkeras run (.*?--dry-run.*?)\)", text, re.DOTALL)
    assert len(lines) == 2
    known = {"SLURM_NNODES": "2", "SLURM_NODEID": "1", "MASTER": "host0", "NNODES": "2", "JOB_COMPLETION_INDEX": "0"}
    for line in lines:
        assert main(["run", *Template(line).substitute(known).split()]) == 0
        printed = capsys.readouterr().out
        assert "torchrun --nproc-per-node=8 --nnodes=2" in printed and printed.strip().endswith("train.py")


@pytest.mark.slow
def test_the_exit_code_is_the_scripts(tmp_path, capfd):
    script = tmp_path / "train.py"
    script.write_text("import os, sys; print('rank', os.environ['RANK'], sys.argv[1]); sys.exit(0)")
    assert main(["run", "--nproc", "2", str(script), "--x"]) == 0
    printed = capfd.readouterr().out
    assert "rank 0 --x" in printed and "rank 1 --x" in printed
