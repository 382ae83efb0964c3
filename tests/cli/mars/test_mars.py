"""`parkade mars scan | explain | policy`: what they print, their exit codes, their JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from parkade.cli import screen
from parkade.cli.app import app
from parkade.mars.explaining import Explanation
from parkade.mars.machines import EveryMachine
from parkade.mars.scanning import EXIT_CODES, VERSION, Scan
from tests.docs.pages import ROOT, table

KEPT = Path(__file__).parents[2] / "mars" / "kept"
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(screen.console, "_width", 100)

    def invoke(*words: str, stdin: str = "", exit_code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["mars", *words], input=stdin)
        assert result.exit_code == exit_code, f"{words}: {result.output}{result.exception!r}"
        return result

    return invoke


def line(rest: str, at: int = 1) -> str:
    return f"[{at}.000000] NVRM: Xid (PCI:0000:3b:00): {rest}\n"


@pytest.mark.parametrize(
    ("log", "exit_code"),
    [
        (line("31, pid=1, name=a, Ch 8"), 0),
        (line("32, pid=1"), 10),
        (line("63, Row remapping pending"), 11),
        (line("79, GPU has fallen off the bus."), 12),
    ],
)
def test_the_exit_code_is_that_of_the_worst_verdict(run: Run, log: str, exit_code: int) -> None:
    run("scan", "--kernel-log", "-", stdin=log, exit_code=exit_code)


def test_a_scan_shows_the_worst_first_with_its_evidence(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    log.write_text(line("63, Row remapping pending") + line("79, GPU has fallen off the bus.", 9))
    result = run("scan", "--kernel-log", str(log), "--node", "n7", exit_code=12)
    assert result.output.index("xid/79") < result.output.index("xid/63")
    assert "n7: 2 lines, 2 symptoms, policy parkade-default" in result.output
    assert "GPU has fallen off the bus." in result.output


def test_two_jobs_days_apart_and_repeats_are_judged_by_the_stamps(run: Run) -> None:
    day = 86_400
    log = line("79, x", 0) + line("79, x", 2 * day)
    result = run("scan", "--kernel-log", "-", "--json", stdin=log, exit_code=12)
    found = json.loads(result.output)
    assert [each["action"] for each in found["verdicts"]] == ["reboot", "rma"]


COLLECTED = (
    "Nov 27 10:00:00 gpu-1 kernel: NVRM: Xid (PCI:0000:01:00): 79, pid=1, off\n"
    "Nov 27 10:00:01 gpu-2.org kernel: NVRM: Xid (PCI:0000:02:00): 63, Row remapping event\n"
    "Nov 27 10:00:02 gpu-3 kernel: usb 1-1: new high-speed USB device\n"
    "Nov 27 10:00:02 gpu-3 sshd[12]: Accepted publickey for ann\n"
    "Nov 27 10:00:04 gpu-2 kernel: NVRM: Xid (PCI:0000:02:00): 31, pid=42, name=python3\n"
)


def test_a_log_of_many_machines_is_shown_by_machine_the_worst_first(run: Run) -> None:
    shown = run("scan", "--kernel-log", "-", stdin=COLLECTED, exit_code=12).output
    assert "3 machines: 5 lines, 3 symptoms" in shown
    rows = [row.split()[:2] for row in shown.splitlines()]
    assert rows.index(["gpu-1", "fatal"]) < rows.index(["gpu-2.org", "degraded"])
    assert "1 machine without a finding" in shown and "worst: gpu-1: kernel_log" in shown
    told = run("scan", "--kernel-log", "-", "--json", stdin=COLLECTED, exit_code=12).output
    found = json.loads(told)
    assert found["node"] is None
    assert [(each["node"], each["verdicts"]) for each in found["machines"]] == [
        ("gpu-1", 1),
        ("gpu-2.org", 2),
        ("gpu-3", 0),
    ]
    assert {each["node"] for each in found["verdicts"]} == {"gpu-1", "gpu-2.org"}


def test_a_node_of_a_log_of_many_is_not_blamed_for_the_others(run: Run) -> None:
    words = ("scan", "--kernel-log", "-", "--node")
    shown = run(*words, "gpu-2", stdin=COLLECTED, exit_code=11).output
    assert "left out: 2 lines of other machines: gpu-1, gpu-3" in shown
    assert "xid/79" not in shown
    run(*words, "gpu-3", stdin=COLLECTED, exit_code=0)
    run(*words, "front", "--host", "gpu-1", stdin=COLLECTED, exit_code=12)
    found = json.loads(run(*words, "gpu-3", "--json", stdin=COLLECTED).output)
    assert (found["node"], found["other_lines"]) == ("gpu-3", 3)
    assert found["other_machines"] == ["gpu-1", "gpu-2.org", "gpu-2"]


def test_a_node_that_a_log_does_not_name_is_not_healthy(run: Run) -> None:
    words = ("scan", "--kernel-log", "-", "--node", "ghost")
    shown = " ".join(run(*words, stdin=COLLECTED, exit_code=6).output.split())
    assert "5 lines, none of ghost; named are gpu-1, gpu-2.org, gpu-3: --host" in shown


def test_a_record_of_the_ring_is_shown_without_its_numbers(run: Run) -> None:
    record = "3,418,17642727132,-;INFO: task python:22481 blocked for more than 120 seconds.\n"
    words = ("scan", "--kernel-log", "-")
    shown = run(*words, stdin=record, exit_code=10).output
    assert "worst: kernel_log: INFO: task python" in shown
    found = json.loads(run(*words, "--json", stdin=record, exit_code=10).output)
    assert found["verdicts"][0]["evidence"][0]["line"] == record.strip(), "tools see the whole"


def test_one_line_is_not_called_lines(run: Run) -> None:
    words = ("scan", "--kernel-log", "-")
    shown = " ".join(run(*words, stdin="what is this\n", exit_code=6).output.split())
    assert "1 line, none in the form of a kernel's log" in shown


def test_a_source_that_a_site_did_not_name_says_how_to_name_it(run: Run, tmp_path: Path) -> None:
    row = "{on: [xid/79], level: warn, action: none, why: mine, from: [site]}"
    file = tmp_path / "site.yaml"
    text = f"format: 1\nname: site\nversion: '1'\nextends: default\nrules: [{row}]\n"
    file.write_text(text)
    told = " ".join(run("policy", "test", str(file), exit_code=3).output.split())
    assert "`site` is no source; write `sources: {site: what it is}`, or name one of azure" in told
    file.write_text(text + "sources: {site: what it is}\n")
    run("policy", "test", str(file))


def test_undo_says_what_its_file_does_not_name(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mars.yaml"
    file.write_text("format: 1\njournal: j\nnodes: [{node: n1, local: true}]\n")
    told = " ".join(run("undo", "--config", str(file), exit_code=3).output.split())
    assert "the file names no `drain`: Mars drains nothing by it" in told
    file.write_text("format: 1\nnodes: [{node: n1, local: true}]\n")
    told = " ".join(run("undo", "--config", str(file), exit_code=3).output.split())
    assert "the file names no `drain` and no `journal`" in told


def test_a_log_of_one_machine_is_of_the_machine_that_it_names(run: Run) -> None:
    log = COLLECTED.splitlines()[0]
    found = json.loads(run("scan", "--kernel-log", "-", "--json", stdin=log, exit_code=12).output)
    assert found["node"] == "gpu-1" == found["verdicts"][0]["node"]


def test_short_and_full_names_are_one_machine_and_two_full_names_are_two() -> None:
    every = EveryMachine("here")
    names = ("a", "a.org", "A", "b.org", "b", "b.com", "10.0.0.1", "10.0.0.2", None)
    assert [every.owner(name) for name in names] == [
        *("a", "a", "a", "b.org", "b.org", "b.com", "10.0.0.1", "10.0.0.2", "here"),
    ]
    assert every.nodes == ("a", "b.org", "b.com", "10.0.0.1", "10.0.0.2")


def test_the_json_of_earlier_versions_is_still_read() -> None:
    for version in range(1, VERSION + 1):
        kept = (KEPT / f"scan-version-{version}.json").read_bytes()
        scan = msgspec.json.decode(kept, type=Scan)
        assert scan.version == version
        assert scan.exit_code == 12
    explained = msgspec.json.decode(
        (KEPT / "explanation-version-1.json").read_bytes(), type=Explanation
    )
    assert explained.signal == "xid/79"


def test_a_scan_prints_the_json_that_is_kept(run: Run) -> None:
    log = line("79, GPU has fallen off the bus.")
    result = run("scan", "--kernel-log", "-", "--node", "n1", "--json", stdin=log, exit_code=12)
    assert _form(result.output) == _form((KEPT / f"scan-version-{VERSION}.json").read_text())
    result = run("explain", "XID", "79", "--json")
    assert _form(result.output) == _form((KEPT / "explanation-version-1.json").read_text())


def _form(text: str) -> object:
    """The document without its texts and numbers, which a newer policy may change."""

    def form(value: object) -> object:
        match value:
            case dict():
                return {key: form(each) for key, each in value.items()}
            case list():
                return [form(value[0])] if value else []
            case _:
                return type(value).__name__

    return form(json.loads(text))


def test_a_file_or_an_exporter_that_cannot_be_read_is_not_health(run: Run) -> None:
    run("scan", "--kernel-log", "/no/such/file", exit_code=4)
    result = run("scan", "--dcgm", "http://127.0.0.1:1/metrics", exit_code=6)
    assert "not every sensor could be read" in result.output


QUIET = "[    1.000000] e1000: link is up\n"


@pytest.mark.parametrize("log", ["", "\x00\xffab\n\n" * 500, "permission denied\n"])
def test_what_is_no_kernel_log_is_not_health(run: Run, tmp_path: Path, log: str) -> None:
    path = tmp_path / "kern.log"
    path.write_text(log)
    for words in (("-",), (str(path),)):
        told = run("scan", "--kernel-log", *words, stdin=log, exit_code=6).output
        assert "kernel_log: failed" in told and "not every sensor could be read" in told
    found = run("scan", "--kernel-log", "-", "--json", stdin=log, exit_code=6).output
    assert json.loads(found)["sensors"][0]["state"].startswith("failed: stdin: ")


def test_a_log_is_empty_and_healthy_only_where_that_is_allowed(run: Run) -> None:
    run("scan", "--kernel-log", "-", stdin=QUIET, exit_code=0)
    run("scan", "--kernel-log", "-", "--allow-empty", stdin="", exit_code=0)
    run("scan", "--kernel-log", "-", "--allow-empty", stdin="no kernel\n", exit_code=6)
    mixed = "no kernel\n" + line("79, x")
    run("scan", "--kernel-log", "-", stdin=mixed, exit_code=12)


PROGRAMS = "Nov 27 10:00:00 gpu-4 sshd[7]: Accepted publickey\nNov 27 10:00:01 gpu-4 CRON[8]: x\n"


def test_a_log_of_other_programs_alone_is_not_health(run: Run) -> None:
    told = run("scan", "--kernel-log", "-", stdin=PROGRAMS, exit_code=6).output
    assert "2 lines, none of the kernel's" in " ".join(told.split())
    run("scan", "--kernel-log", "-", "--allow-empty", stdin=PROGRAMS, exit_code=0)
    run("scan", "--kernel-log", "-", stdin=PROGRAMS + QUIET, exit_code=0)


ODD = "gpu-4|kernel|NVRM: Xid (PCI:0000:3b:00): 94, pid=1, contained\n"


def test_a_line_of_no_known_form_blames_no_machine_that_has_a_name(run: Run) -> None:
    log = ODD + "Nov 27 10:00:02 gpu-3 kernel: usb 1-1: new high-speed USB device\n"
    told = " ".join(run("scan", "--kernel-log", "-", stdin=log, exit_code=11).output.split())
    assert "1 of its lines may name a machine in a form that is not known" in told
    found = json.loads(run("scan", "--kernel-log", "-", "--json", stdin=log, exit_code=11).output)
    assert [each["node"] for each in found["machines"]] == ["unnamed", "gpu-3"]
    for node in ("gpu-3", "gpu-9"):
        words = ("scan", "--kernel-log", "-", "--node", node)
        told = " ".join(run(*words, stdin=log, exit_code=6).output.split())
        assert "a form that is not known and are left out" in told and "xid/94" not in told


def test_left_out_lines_are_told_with_their_machines_or_as_lines_that_name_none(run: Run) -> None:
    words = ("scan", "--kernel-log", "-", "--node", "gpu-3")
    none = "that {} no machine in a known form"
    shown = run(*words, stdin=ODD, exit_code=6).output
    assert f"left out: 1 line {none.format('names')}\n" in shown
    shown = run(*words, stdin=ODD * 2, exit_code=6).output
    assert f"left out: 2 lines {none.format('name')}\n" in shown
    shown = run(*words, stdin=COLLECTED + ODD, exit_code=6).output
    some = "gpu-1, gpu-2.org, gpu-2; some name none in a known form"
    assert f"left out: 4 lines of other machines: {some}\n" in shown


def test_a_site_policy_is_used_and_a_wrong_one_is_refused_with_its_place(
    run: Run, tmp_path: Path
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        "format: 1\nname: site\nversion: '1'\nextends: default\nrules:\n"
        "  - {on: [xid/79], level: warn, action: inspect, why: known, from: [parkade]}\n"
    )
    run("scan", "--kernel-log", "-", "--policy", str(site), stdin=line("79, x"), exit_code=10)
    assert "known" in run("explain", "79", "--policy", str(site)).output
    diff = run("policy", "diff", str(site)).output
    assert "fatal, reboot" in diff
    assert "warn, inspect" in diff
    assert "well-formed" in run("policy", "test", str(site)).output
    site.write_text(site.read_text().replace("warn", "loud"))
    for words in (
        ("policy", "test", str(site)),
        ("policy", "diff", str(site)),
        ("scan", "--kernel-log", "-", "--policy", str(site)),
        ("explain", "xid/79", "--policy", str(site)),
    ):
        assert run(*words, exit_code=3).stderr.startswith(f"parkade: {site}: ")
    config = tmp_path / "mars.yaml"
    config.write_text(f"format: 1\npolicy: {site}\nnodes: [{{node: n1, local: true}}]\n")
    refused = run("run", "--config", str(config), exit_code=3)
    assert refused.stderr.startswith(f"parkade: {site}: ")
    config.write_text("format: 1\n")
    refused = run("run", "--config", str(config), exit_code=3)
    assert refused.stderr.startswith(f"parkade: {config}: ")
    refused = run("policy", "test", str(site), exit_code=3)
    assert "rules[0].level" in refused.output


SITE = """format: 1
name: site
version: '1'
extends: default
ladder: {reboots: 1, within: 3d}
windows: {burst_gap: 4m}
sources: {us: our own reports}
rules:
  - {on: [xid/63], nodes: old-*, level: warn, action: none, why: watched, from: [us]}
  - on: [xid/79]
    level: fatal
    action: reboot
    scope: node
    repeats: [{of: bursts, count: 3, within: 7d, level: fatal, action: rma}]
    why: We wait longer.
    from: [us]
  - {on: [xid/119], level: fatal, action: reset_gpu, scope: node, why: ours, from: [us]}
  - {on: [xid/143], level: fatal, action: reset_gpu, why: ours, from: [us]}
  - {on: [xid/79], level: warn, action: none, why: never asked, from: [us]}
"""


def test_a_diff_shows_every_part_that_a_file_changes(run: Run, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE)
    lines = run("policy", "diff", str(site)).output.splitlines()
    shown = [" ".join(each.split()) for each in lines]
    assert "windows.burst_gap 3m 4m" in shown
    assert "ladder.reboots 2 1" in shown and "ladder.within 7d 3d" in shown
    assert "sources.us – our own reports" in shown
    assert "xid/63 degraded, reset at idle warn, none on old-*" in shown
    assert "then fatal, rma: 2 bursts within 7d then fatal, rma: 3 bursts within 7d" in shown
    assert "xid/119 fatal, reset gpu fatal, reset gpu (node)" in shown
    assert any("why: ours" in each for each in shown), "with all else alike, the reason"
    assert not any("why: never asked" in each for each in shown)
    assert "rules[4] is never asked of xid/79: rules[1] comes first" in shown
    found = json.loads(run("policy", "diff", str(site), "--json").output)
    assert [each["signal"] for each in found["rows"]] == ["xid/63", "xid/79", "xid/119", "xid/143"]
    assert [len(each["after"]) for each in found["rows"]] == [2, 1, 1, 1]
    assert [each["place"] for each in found["settings"]] == [
        *("windows.burst_gap", "ladder.reboots", "ladder.within", "sources.us"),
    ]


def test_a_row_that_is_never_asked_is_told_with_its_place(run: Run, tmp_path: Path) -> None:
    site, row = tmp_path / "site.yaml", "level: warn, action: none, why: ours, from: [parkade]"
    site.write_text(
        "format: 1\nname: site\nversion: '1'\nextends: default\nrules:\n"
        f"  - {{on: [xid/990-997], nodes: gpu-*, {row}}}\n"
        f"  - {{on: [xid/990-998], nodes: gpu-1*, {row}}}\n"
        f"  - {{on: [xid/990], nodes: gpu-7, devices: '0000:3b:00', {row}}}\n"
        f"  - {{on: [xid/990], nodes: old-*, {row}}}\n"
    )
    for words in (("policy", "test", str(site)), ("policy", "diff", str(site))):
        told = [each for each in run(*words).output.splitlines() if "never asked" in each]
        two = "xid/990, xid/991"
        assert told == [
            f"rules[1] is never asked of {two} and 6 more: rules[0] comes first",
            "rules[2] is never asked of xid/990: rules[0] comes first",
        ]
    assert "as xid/unknown: warn" in run("policy", "diff", str(site)).output
    found = json.loads(run("policy", "diff", str(site), "--json").output)
    assert [each["place"] for each in found["never_asked"]] == ["rules[1]", "rules[2]"]
    (first,) = (each for each in found["rows"] if each["signal"] == "xid/990")
    assert [each["signal"] for each in first["before"]] == ["xid/unknown"]
    assert [(each["signal"], each["nodes"]) for each in first["after"]] == [
        ("xid/990", "gpu-*"),
        ("xid/990", "old-*"),
        ("xid/unknown", "*"),
    ]


def test_a_file_that_changes_nothing_has_no_difference(run: Run, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("format: 1\nname: site\nversion: '1'\nextends: default\n")
    assert "The file changes nothing." in run("policy", "diff", str(site)).output


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("XID", "79"), "RESTART_BM"),
        (("xid79",), "RESTART_BM"),
        (("xid/63",), "unlike NVIDIA"),
        (("154",), "recovery/reboot"),
        (("sxid/20034",), "sxid/fatal"),
        (("[ 9.1] NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen",), "RESTART_BM"),
        (("n1", "kernel:", "NVRM:", "Xid", "(PCI:0000:3b:00):", "79,", "GPU", "lost"), "xid/79"),
        (("NVRM: Xid (PCI:0000:86:00): 154, GPU recovery action 0x0 (None) to 0x2 (x)",), "reboot"),
        (("nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30",), "sxid/fatal"),
        (("link_down",), "A port has been down"),
        (("XID", "99999"), "xid/unknown"),
        (("xid/13",), "2 places within 1d"),
    ],
)
def test_every_signal_is_explained(run: Run, words: tuple[str, ...], shown: str) -> None:
    assert shown in run("explain", *words).output


@pytest.mark.parametrize("words", [("nonsense",), ("xid", "x"), ("xid/1-5",)])
def test_what_is_no_signal_is_refused(run: Run, words: tuple[str, ...]) -> None:
    run("explain", *words, exit_code=3)


def test_a_line_of_another_program_is_refused_as_that(run: Run) -> None:
    line = "2026-11-27T10:00:04+01:00 gpu-5 slurmd[9]: error: NVRM: Xid (PCI:0000:3b:00): 79, x"
    told = " ".join(run("explain", line, exit_code=3).output.split())
    assert "another program's, not the kernel's" in told and "gpu-5" not in told


def test_the_whole_policy_is_shown(run: Run) -> None:
    shown = run("policy", "show").output
    assert "xid/172" in shown
    assert json.loads(run("policy", "show", "--json").output)["version"].startswith("parkade")


def test_the_exit_codes_of_the_page_are_those_of_the_program() -> None:
    rows = table(ROOT / "docs" / "mars" / "scan.md", "Exit codes")
    told = {row[1]: int(row[0]) for row in rows if row[1] in ("warn", "degraded", "fatal")}
    assert told == {
        level.value: code for level, code in EXIT_CODES.items() if level is not None and code
    }
