"""The file of `parkade mars run`: what is refused, in which words, and its table in the docs."""

from pathlib import Path

import pytest

from parkade.mars.run_file import read_run_file, rooted
from parkade.wire.yaml import Unreadable
from tests.docs.mars_run_file import PAGE, with_table

HEAD = "format: 1\nnodes: [{node: n1, local: true}]\n"
DRAIN = "drain: {set: [a, '{node}', '{reason}'], reason: [b, '{node}'], undo: [c, '{node}']"


def test_the_table_of_keys_is_that_of_the_model() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_table(page), "python -m tests.docs.mars_run_file"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("format: 1\nnodes: {n1: {local: true}}\n", "nodes", "must be a list, `[a, b]` or a line"),
        ("format: 1\nnodes: [n1]\n", "nodes[0]", "must be keys and values, not a text"),
        (HEAD + "engine: {command: sinfo -N}\n", "engine.command", "must be a list"),
        (HEAD + "engine: [sinfo, -N]\n", "engine", "must be keys and values, not a list"),
        (HEAD + DRAIN + ", count: 3, most: 3}\n", "drain.count", "must be a list"),
        (HEAD + "engine: true\n", "engine", "must be keys and values, not true or false"),
    ],
)
def test_a_value_of_another_form_is_refused_in_words(text: str, place: str, message: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_run_file(text)
    (fault,) = refused.value.problem.errors
    assert fault.place == place
    assert message in fault.message
    assert "Entry" not in fault.message and "tuple" not in fault.message


WRONG = """format: 1
every: 0s
listen: 127.0.0.1:99999
alertmanager: am:9093
act: true
pollicy: site.yaml
nodes:
  - {node: n1, kernal_log: a.log, local: true}
  - {node: n1, local: true, dcgm: gpu-1:9400}
  - {node: n2}
drain:
  set: [/no/such/scontrol, '{nod}', '{reason}']
  reason: [echo, '{node}', '{print}']
  undo: [no-such-program, '{node}']
  cout: [a]
  most: 3
"""


def faults_of(text: str, folder: Path = Path()) -> dict[str, str]:
    """Messages by place, those of one place on lines."""
    with pytest.raises(Unreadable) as refused:
        read_run_file(text, folder)
    found: dict[str, str] = {}
    for fault in refused.value.problem.errors:
        found[fault.place] = f"{found.get(fault.place, '')}\n{fault.message}".strip()
    return found


def test_a_wrong_file_is_refused_with_all_its_faults_at_once_each_with_its_place() -> None:
    found = faults_of(WRONG)
    for place, message in {
        "every": "longer than",
        "listen": "a port is at most 65535",
        "alertmanager": "write a URL such as http://127.0.0.1:9093",
        "pollicy": "no such key; did you mean `policy`?",
        "nodes[0].kernal_log": "no such key; did you mean `kernel_log`?",
        "nodes[1].node": "n1 stands twice in `nodes`, first as nodes[0]",
        "nodes[1].local": "only one node of `nodes` can be this machine, and nodes[0] is",
        "nodes[1].dcgm": "write a URL",
        "nodes": "nothing reads n2: give each",
        "drain.cout": "no such key; did you mean `count`?",
        "drain.count": "belong together",
        "drain.set": "`{nod}` is replaced by nothing; did you mean `{node}`?",
        "drain.undo": "no-such-program is not a program in PATH",
        "journal": "is missing: `act: true` needs",
    }.items():
        assert message in found.get(place, ""), (place, found)
    assert "drain.reason" not in found, "braces of another program's language are its own"


def test_a_program_is_looked_for_where_it_would_be_run(tmp_path: Path) -> None:
    text = HEAD + "act: true\njournal: j\n" + DRAIN.replace("[a,", "[./a,") + "}\n"
    text = text.replace("[b,", "[echo,").replace("[c,", "[echo,")
    assert faults_of(text, tmp_path) == {"drain.set": f"{tmp_path}/a is not a program"}
    (tmp_path / "a").write_text("#!/bin/sh\n")
    (tmp_path / "a").chmod(0o755)
    file = rooted(read_run_file(text, tmp_path), tmp_path)
    assert file.drain is not None
    assert file.drain.set == (f"{tmp_path}/a", "{node}", "{reason}")
    assert file.drain.reason[0] == "echo"
    read_run_file(text.replace("act: true", "act: false"), Path("/nowhere"))


def test_a_program_beside_a_file_that_is_named_without_a_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = HEAD + "act: true\njournal: j\n" + DRAIN.replace("[a,", "[./a,") + "}\n"
    text = text.replace("[b,", "[echo,").replace("[c,", "[echo,")
    (tmp_path / "a").write_text("#!/bin/sh\n")
    (tmp_path / "a").chmod(0o755)
    folder = Path("mars.yaml").parent
    drain = rooted(read_run_file(text, folder), folder).drain
    assert drain is not None and drain.set[0] == f"{tmp_path}/a"


@pytest.mark.parametrize(
    "url", ["http://am", "https://u:p@am.example.org:9093/prefix", "http://[::1]:9093"]
)
def test_an_address_of_alertmanager_is_taken(url: str) -> None:
    assert read_run_file(HEAD + f"alertmanager: '{url}'\n").alertmanager == url


@pytest.mark.parametrize(
    "url", ["am", "am:9093", "//am", "http://", "http://a b", "ftp://am", "http://am:port",
            "http://am:9093/api/v2/alerts", "http://[::1"]
)  # fmt: skip
def test_what_is_no_address_of_alertmanager_is_refused(url: str) -> None:
    assert list(faults_of(HEAD + f"alertmanager: '{url}'\n")) == ["alertmanager"]


def test_paths_count_from_the_folder_of_the_file_and_a_whole_path_stays() -> None:
    text = (
        "format: 1\npolicy: site.yaml\njournal: /var/lib/mars/drains.jsonl\n"
        "nodes: [{node: n1, kernel_log: logs/n1.log}, {node: n2, kernel_log: /var/log/n2}]\n"
    )
    file = rooted(read_run_file(text), Path("/etc/mars"))
    assert file.policy == Path("/etc/mars/site.yaml")
    assert file.journal == Path("/var/lib/mars/drains.jsonl")
    logs = [entry.kernel_log for entry in file.nodes]
    assert logs == [Path("/etc/mars/logs/n1.log"), Path("/var/log/n2")]


def test_a_journal_where_paths_counted_from_before_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kept example of the meaning before: paths counted from where the program was started."""
    file = read_run_file(HEAD + "journal: drains.jsonl\n")
    etc, started = tmp_path / "etc", tmp_path / "started"
    etc.mkdir()
    started.mkdir()
    monkeypatch.chdir(started)
    assert rooted(file, etc).journal == etc / "drains.jsonl"
    (started / "drains.jsonl").touch()
    with pytest.raises(Unreadable) as refused:
        rooted(file, etc)
    (fault,) = refused.value.problem.errors
    assert fault.place == "journal" and str(started / "drains.jsonl") in fault.message
    (etc / "drains.jsonl").touch()
    assert rooted(file, etc).journal == etc / "drains.jsonl"


def test_a_link_to_a_journal_is_that_journal(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "drains.jsonl").symlink_to(tmp_path / "real" / "j.jsonl")
    file = read_run_file(HEAD + "journal: drains.jsonl\n")
    assert rooted(file, tmp_path).journal == tmp_path / "real" / "j.jsonl"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("~/kern.log", "`~` is replaced by nothing here; write the whole path"),
        ("~root/kern.log", "`~` is replaced"),
        ("/var/log/*/kern.log", "`*` and `?` are replaced by nothing here; name one file"),
        ("$LOGS/kern.log", "`$` is replaced by nothing here"),
    ],
)
def test_a_path_that_only_a_shell_would_understand_is_refused(name: str, message: str) -> None:
    text = f"format: 1\njournal: '{name}'\npolicy: '{name}'\n"
    text += f"nodes: [{{node: n1, kernel_log: '{name}'}}]\n"
    found = faults_of(text)
    assert sorted(found) == ["journal", "nodes[0].kernel_log", "policy"]
    assert all(message in each for each in found.values()), found
    named = read_run_file(HEAD + "journal: /var/log/mars~/a[1].jsonl\n")
    assert named.journal == Path("/var/log/mars~/a[1].jsonl"), "nothing else is special"


def test_a_journal_that_would_be_written_over_a_file_that_is_read_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "kern.log").touch()
    (tmp_path / "link.log").symlink_to(tmp_path / "kern.log")
    (tmp_path / "second-name.log").hardlink_to(tmp_path / "kern.log")
    logs = "nodes: [{node: n0, local: true}, {node: n1, kernel_log: kern.log}]\n"
    for text, says in {
        f"journal: kern.log\n{logs}": "the journal is `nodes[1].kernel_log` too",
        f"journal: ./x/../kern.log\n{logs}": "the journal is `nodes[1].kernel_log` too",
        f"journal: link.log\n{logs}": "the journal is `nodes[1].kernel_log` too",
        f"journal: second-name.log\n{logs}": "the journal is `nodes[1].kernel_log` too",
        f"journal: kern\n{logs.replace('kern.log', 'kern.read')}": "kern.read, kept beside the",
        f"journal: kern\n{logs.replace('kern.log', 'kern.standing')}": "kern.standing, kept",
        f"journal: kern\n{logs.replace('kern.log', 'kern.lock')}": "kern.lock, kept beside the",
        f"journal: p.yaml\npolicy: p.yaml\n{logs}": "the journal is `policy` too",
    }.items():
        with pytest.raises(Unreadable) as refused:
            rooted(read_run_file(f"format: 1\n{text}"), tmp_path)
        (fault,) = refused.value.problem.errors
        assert fault.place == "journal" and says in fault.message, (text, fault.message)
    rooted(read_run_file(f"format: 1\njournal: kern\n{logs}"), tmp_path)
