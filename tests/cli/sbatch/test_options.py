"""How words are read as options of sbatch, and that all of Slurm's are known."""

import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.cli.sbatch import script
from parkade.cli.sbatch.options import LETTERS, OPTIONS, Wrong, read

ROOT = Path(__file__).parents[3]
HERE = "the command line"
HELPS = ("help", "usage", "version")


def named(*words: str) -> list[tuple[str, str]]:
    return [(one.option.name, one.value) for one in read(words, HERE)[0]]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--nodes=2",), [("nodes", "2")]),
        (("--nodes", "2"), [("nodes", "2")]),
        (("-N2",), [("nodes", "2")]),
        (("-N", "2"), [("nodes", "2")]),
        (("-N=2",), [("nodes", "2")]),
        (("-HQ", "-N2"), [("hold", ""), ("quiet", ""), ("nodes", "2")]),
        (("--ntasks-per-n", "4"), [("ntasks-per-node", "4")]),
        (("--tasks-per-node=4",), [("ntasks-per-node", "4")]),
        (("--exclusive", "-N1"), [("exclusive", ""), ("nodes", "1")]),
        (("--exclusive=user",), [("exclusive", "user")]),
        (("--nice=-5",), [("nice", "-5")]),
    ],
)
def test_options_are_read_as_sbatch_reads_them(
    words: tuple[str, ...], found: list[tuple[str, str]]
) -> None:
    assert named(*words) == found


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--gpus-pre-node=8",), "--gpus-pre-node is no option of sbatch"),
        (("--gpus-per=8",), "--gpus-per may be --gpus-per-node"),
        (("-y",), "-y is no option of sbatch"),
        (("--nodes",), "--nodes needs a value"),
        (("--nodes=",), "--nodes needs a value"),
        (("--hold=yes",), "--hold takes no value"),
        (("--begin=20:00",), "a bid cannot wait for a date"),
        (("--container=x",), "say --container-image, or start"),
    ],
)
def test_what_cannot_be_submitted_is_refused_with_its_reason(
    words: tuple[str, ...], why: str
) -> None:
    with pytest.raises(Wrong, match=re.escape(why)) as caught:
        read(words, "line 7")
    assert caught.value.place == "line 7"


def test_words_behind_the_script_are_its_own() -> None:
    found, rest = read(("-N2", "train.sh", "--nodes=9", "-x"), HERE)
    assert len(found) == 1
    assert rest == ["train.sh", "--nodes=9", "-x"]


@given(
    st.lists(st.sampled_from(["-N2", "--gres", "gpu:1", "--", "-", "--x", "-H", "a\0", "é", "="]))
)
@settings(max_examples=60)
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    with suppress(Wrong):
        found, rest = read(words, HERE)
        assert len(rest) + len(found) <= len(words)


@pytest.mark.skipif(shutil.which("sbatch") is None, reason="no sbatch here to ask")
def test_each_option_that_sbatch_explains_is_known(tmp_path: Path) -> None:
    conf = tmp_path / "slurm.conf"
    conf.write_text("ClusterName=x\nSlurmctldHost=localhost\nNodeName=n\nPartitionName=p Nodes=n\n")
    said = subprocess.run(
        ["sbatch", "--help"], env={"SLURM_CONF": str(conf), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    lines = re.findall(r"^ +(?:-(\w),? +)?--([a-z-]+)", said, re.MULTILINE)
    assert len(lines) > 80
    for letter, name in lines:
        if name not in HELPS:
            assert name in OPTIONS, name
            assert not letter or LETTERS[letter].name == name


def test_an_option_is_taken_left_or_refused_and_never_two_of_them() -> None:
    for option in OPTIONS.values():
        assert option.left is None or option.refused is None
    assert len({id(one) for one in LETTERS.values()}) == len(LETTERS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo 1\n", "begins with #!"),
        ("", "begins with #!"),
        ("#!\necho\n", "begins with #!"),
        ("#!/bin/bash\r\n#SBATCH -N1\r\n", "Windows"),
        ("#!/bin/bash\necho \0\n", "no text"),
    ],
)
def test_what_is_no_batch_script_is_refused(text: str, why: str) -> None:
    with pytest.raises(Wrong, match=why):
        script.parse(text)


def test_only_lines_before_the_first_command_count() -> None:
    text = (
        "#!/bin/bash\n\n#SBATCH -N1\n# words\n#SBATCH\n#SBATCHES\n##SBATCH -N3\necho\n#SBATCH -N2\n"
    )
    parsed = script.parse(text)
    assert [one.value for one in parsed.given] == ["1"]
    assert [one.place for one in parsed.remarks] == ["line 6", "line 9"]


def test_the_page_says_what_becomes_of_each_option() -> None:
    page = (ROOT / "docs" / "slurm-scripts.md").read_text("utf-8")
    said = set(re.findall(r"`--([a-z-]+)`", page.partition("## What the script finds")[0]))
    assert set(OPTIONS) <= said
    rows = [line for line in page.splitlines() if line.startswith("| `--")]
    for row in rows:
        _, names, becomes, *_ = row.split("|")
        for name in re.findall(r"`--([a-z-]+)`", names):
            option = OPTIONS[name]
            assert (option.refused is not None) == becomes.startswith(" refused")
            assert (option.left is not None) == becomes.startswith(" left")
