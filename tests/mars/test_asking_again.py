"""Drains that were held: asked again when it is over, in order, once, also after a restart."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.mars.kept_file import KeptFileError
from parkade.mars.run_file import EngineEntry, RunFile
from parkade.mars.running import MarsRunner, sensors_of
from parkade.mars.standing_file import load_standing
from tests.mars.scene import Scene, shown

KEPT = Path(__file__).parent / "kept" / "drains-version-1.jsonl.standing"
APART_US = 6 * MINUTE_US
"""Between two faults, so that no parent is suspected."""


def file_of(scene: Scene, *, nodes: int = 20, most: int = 100) -> RunFile:
    """Nodes of which one may be drained an hour where they are twenty; what stands, stands long."""
    file = scene.file(nodes=nodes, most=most)
    return RunFile.model_validate({**file.model_dump(), "resolve_after": "5h"})


def drained(scene: Scene) -> set[str]:
    return {each.name for each in scene.drained.iterdir()}


def test_what_the_budget_held_is_drained_when_it_has_room_in_the_order_of_the_verdicts(
    scene: Scene,
) -> None:
    runner = scene.runner(file_of(scene))
    for node in ("n0", "n9", "n18"):
        scene.write(node)
        runner.round()
        scene.now_us += APART_US
    assert drained(scene) == {"n0"}
    scene.now_us += HOUR_US - 3 * APART_US - SECOND_US
    runner.round()
    assert drained(scene) == {"n0"}, "the hour of the budget is not over"
    scene.now_us += SECOND_US
    runner.round()
    assert drained(scene) == {"n0", "n9"}
    scene.now_us += HOUR_US
    runner.round()
    assert drained(scene) == {"n0", "n9", "n18"}
    assert shown(runner)['parkade_mars_actions_held_total{reason="fleet_budget"}'] == 2
    assert not any("action_waits{" in name for name in shown(runner))


def test_what_was_drained_in_its_turn_is_asked_for_once(scene: Scene) -> None:
    runner = scene.runner(file_of(scene))
    for node in ("n0", "n9"):
        scene.write(node)
        runner.round()
        scene.now_us += APART_US
    scene.now_us += HOUR_US
    runner.round()
    assert drained(scene) == {"n0", "n9"}
    (scene.drained / "n9").unlink()
    scene.now_us += 2 * HOUR_US
    runner.round()
    assert drained(scene) == {"n0"}, "a person returned it, and no new fault was seen"


def test_a_new_verdict_does_not_pass_one_that_waits_for_longer(scene: Scene) -> None:
    runner = scene.runner(file_of(scene))
    for node in ("n0", "n9"):
        scene.write(node)
        runner.round()
        scene.now_us += APART_US
    scene.now_us += HOUR_US
    scene.write("n18")
    runner.round()
    assert drained(scene) == {"n0", "n9"}


def test_nothing_is_drained_for_a_verdict_that_was_lifted_while_it_was_held(scene: Scene) -> None:
    runner = scene.runner(file_of(scene))
    scene.write("n0")
    runner.round()
    scene.now_us += APART_US
    wish = "NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x{} to 0x{}"
    scene.write("n9", wish.format("0 (None)", "2 (Node Reboot Required)"))
    runner.round()
    assert drained(scene) == {"n0"}
    scene.write("n9", wish.format("2 (Node Reboot Required)", "0 (None)"))
    runner.round()
    scene.now_us += 10 * SECOND_US
    runner.round()
    scene.now_us += 2 * HOUR_US
    runner.round()
    assert drained(scene) == {"n0"}


def test_a_log_that_speaks_first_and_an_engine_that_confirms_later_drain_from_the_fourth_node_on(
    scene: Scene,
) -> None:
    answer = scene.folder / "sinfo"
    answer.write_text("#!/bin/sh\necho 'n0|idle|none'\n")
    answer.chmod(0o755)
    file = file_of(scene, nodes=120)
    file = file.model_copy(update={"engine": EngineEntry(command=(str(answer),))})
    runner = scene.runner(file)
    for node in ("n0", "n9", "n18", "n27"):
        scene.write(node)
        runner.round()
        scene.now_us += APART_US
    assert drained(scene) == {"n0", "n9", "n18"}
    waits = "parkade_mars_action_waits"
    assert any(waits in name and "second_source_needed" in name for name in shown(runner))
    scene.now_us += APART_US
    answer.write_text("#!/bin/sh\necho 'n27|down*|Not responding'\n")
    runner.round()
    scene.now_us += 10 * SECOND_US
    runner.round()
    assert "n27" in drained(scene)


def test_what_is_held_no_more_by_a_person_and_by_a_guard_instead_is_told_as_that(
    scene: Scene,
) -> None:
    runner = scene.runner(file_of(scene))
    (scene.drained / "n9").write_text("ann: new fan")
    for node in ("n9", "n0"):
        scene.write(node)
        runner.round()
        scene.now_us += APART_US
    assert drained(scene) == {"n0", "n9"}
    for _ in range(2):
        runner.round()
        scene.now_us += 2 * MINUTE_US
    assert held_of(runner, "n9") == "already_drained"
    (scene.drained / "n9").unlink()
    for _ in range(2):
        runner.round()
        scene.now_us += 2 * MINUTE_US
    assert held_of(runner, "n9") == "fleet_budget"
    assert shown(runner)['parkade_mars_actions_held_total{reason="fleet_budget"}'] == 1
    scene.now_us += HOUR_US
    runner.round()
    assert drained(scene) == {"n0", "n9"}


def test_a_clock_that_steps_back_does_not_keep_the_cluster_from_being_asked(scene: Scene) -> None:
    runner = scene.runner(file_of(scene))
    (scene.drained / "n9").write_text("ann: new fan")
    for node in ("n9", "n0"):
        scene.write(node)
        runner.round()
        scene.now_us += APART_US
    runner.round()
    assert held_of(runner, "n9") == "already_drained"
    (scene.drained / "n9").unlink()
    scene.now_us -= HOUR_US
    runner.round()
    assert held_of(runner, "n9") == "fleet_budget"


def test_what_waits_for_a_person_since_a_parent_is_suspected_is_told_after_a_restart(
    scene: Scene,
) -> None:
    file = file_of(scene, nodes=60)
    runner = scene.runner(file)
    for node in ("n0", "n1", "n2", "n3"):
        scene.write(node)
    runner.round()
    scene.now_us += 10 * SECOND_US
    runner.round()
    waits = {name for name in shown(runner) if "action_waits{" in name}
    assert any("parent_suspected" in name for name in waits)
    before = drained(scene)
    runner.close()
    again = scene.runner(file)
    for _ in range(2):
        again.round()
        assert {name for name in shown(again) if "action_waits{" in name} == waits
        scene.now_us += 2 * MINUTE_US
    assert drained(scene) == before


def held_of(runner: MarsRunner, node: str) -> str:
    """The one reason for which an action on a node waits."""
    waits = [name for name in shown(runner) if "action_waits{" in name and f'"{node}"' in name]
    (row,) = waits
    return row.partition('reason="')[2].partition('"')[0]


def test_what_a_person_or_most_held_is_drained_when_the_person_returned_the_node(
    scene: Scene,
) -> None:
    runner = scene.runner(file_of(scene, nodes=60, most=1))
    (scene.drained / "n0").write_text("ann: new fan")
    scene.write("n0")
    runner.round()
    scene.now_us += APART_US
    scene.write("n9")
    for _ in range(5):
        runner.round()
        scene.now_us += 2 * MINUTE_US
    assert drained(scene) == {"n0"}
    found = shown(runner)
    assert found['parkade_mars_drains_refused_total{reason="already_drained"}'] == 1
    assert found['parkade_mars_drains_refused_total{reason="most_drained"}'] == 1
    (scene.drained / "n0").unlink()
    runner.round()
    assert "parkade-mars:" in scene.is_drained("n0")
    (scene.drained / "n0").unlink()
    scene.now_us += 2 * MINUTE_US
    runner.round()
    assert drained(scene) == {"n9"}, "n0 was asked for once, and n9 has its turn"


def test_what_the_engine_calls_drained_no_more_is_asked_about_at_once(scene: Scene) -> None:
    answer = scene.folder / "sinfo"
    rows = 'for node in *; do [ -e "$node" ] && echo "$node|drained|x"; done; true'
    answer.write_text(f"#!/bin/sh\necho 'n1|idle|none'\ncd '{scene.drained}' && {rows}\n")
    answer.chmod(0o755)
    file = file_of(scene, nodes=60, most=1)
    file = file.model_copy(update={"engine": EngineEntry(command=(str(answer),))})
    runner = scene.runner(file)
    (scene.drained / "n0").write_text("ann: new fan")
    scene.write("n0")
    runner.round()
    scene.now_us += APART_US
    scene.write("n9")
    runner.round()
    assert drained(scene) == {"n0"}
    assert held_of(runner, "n9") == "most_drained"
    scene.now_us += SECOND_US
    (scene.drained / "n0").unlink()
    runner.round()
    scene.now_us += SECOND_US
    runner.round()
    assert "parkade-mars:" in scene.is_drained("n0"), "within the minute"
    (scene.drained / "n0").unlink()
    for _ in range(2):
        scene.now_us += SECOND_US
        runner.round()
    assert drained(scene) == {"n9"}, "it waited for `most`"
    assert 'parkade_mars_node_drained{node="n0"}' not in shown(runner)


def test_what_is_suspected_is_told_by_its_name(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    file = file_of(scene, nodes=60)
    named = [
        entry.model_copy(update={"fabric": f"f{at // 20}"}) for at, entry in enumerate(file.nodes)
    ]
    file = RunFile.model_validate(
        {**file.model_dump(), "nodes": [each.model_dump() for each in named]}
    )
    runner = scene.runner(file)
    for node in ("n0", "n1", "n2", "n3"):
        scene.write(node)
        runner.round()
    told = capfd.readouterr().err
    assert "event='suspected' what='rack r0' nodes='n0, n1, n2'" in told
    assert "rack r0: 3 of 8 nodes fell sick within 5 min, more than by chance; look there" in told
    scene.now_us += HOUR_US
    runner.round()
    assert "event='suspected no more' what='rack r0'" in capfd.readouterr().err


def test_where_no_fabric_has_a_name_nobody_is_sent_to_look_at_it(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = scene.runner(file_of(scene, nodes=60))
    for node in ("n0", "n9", "n18", "n27", "n36"):
        scene.write(node)
        runner.round()
    told = capfd.readouterr().err
    assert "what='all nodes together'" in told and "fabric default" not in told
    assert "the file names no `fabric`, `rack` or `switch` that they share" in told


def test_a_suspected_parent_is_for_people_also_when_it_is_suspected_no_more(scene: Scene) -> None:
    runner = scene.runner(file_of(scene, nodes=80))
    for number in range(8):
        scene.write(f"n{number}")
    runner.round()
    before = drained(scene)
    assert len(before) <= 2
    for _ in range(5):
        scene.now_us += HOUR_US // 2
        runner.round()
    assert shown(runner)["parkade_mars_suspected_parents"] == 0
    held = 'parkade_mars_actions_held_total{reason="parent_suspected"}'
    assert drained(scene) == before and shown(runner)[held] > 0


def test_a_restart_asks_again_for_what_was_held_and_counts_what_was_drained(scene: Scene) -> None:
    file = file_of(scene)
    runner = scene.runner(file)
    for node in ("n0", "n9"):
        scene.write(node)
        runner.round()
        scene.now_us += APART_US
    runner.close()
    for node in ("n18", "n17"):
        runner = scene.runner(file)
        scene.write(node)
        runner.round()
        runner.close()
        scene.now_us += APART_US
        assert drained(scene) == {"n0"}, "a program that is started again has no new budget"
    runner = scene.runner(file)
    runner.round()
    waits = 'parkade_mars_action_waits{{device="0000:3b:00",node="{}",reason="{}",signal="xid/79"}}'
    for node in ("n9", "n18", "n17"):
        assert shown(runner)[waits.format(node, "fleet_budget")] == 1
    scene.now_us += HOUR_US
    runner.round()
    assert drained(scene) == {"n0", "n9"}


def test_a_rack_is_suspected_after_a_restart_too(scene: Scene) -> None:
    file = file_of(scene, nodes=80)
    for number in range(5):
        runner = scene.runner(file)
        scene.write(f"n{number}")
        runner.round()
        runner.close()
        scene.now_us += 10 * SECOND_US
    assert len(drained(scene)) == 2
    assert shown(runner)['parkade_mars_parent_suspected{kind="rack",name="r0"}'] == 1


def test_another_policy_drains_nothing_that_the_one_before_held(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    file = file_of(scene)
    runner = scene.runner(file)
    for node in ("n0", "n9"):
        scene.write(node)
        runner.round()
        scene.now_us += APART_US
    runner.close()
    kept = scene.folder / "drains.jsonl.standing"
    kept.write_text(kept.read_text().replace("parkade-default", "other"))
    runner = scene.runner(file)
    scene.now_us += HOUR_US
    runner.round()
    assert drained(scene) == {"n0"}
    assert "another policy" in capfd.readouterr().err
    assert any('verdict_level{action="reboot"' in name and "n9" in name for name in shown(runner))


def verdict_levels(found: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in found.items() if "verdict_level{" in name}


def test_a_verdict_of_a_log_file_stands_after_a_restart_until_it_is_over(scene: Scene) -> None:
    file = scene.file(act=False)
    runner = scene.runner(file)
    scene.write("n0")
    runner.round()
    before = verdict_levels(shown(runner))
    assert before
    runner.close()
    scene.now_us += 100 * SECOND_US
    runner = scene.runner(file)
    assert runner.round() == ()
    assert verdict_levels(shown(runner)) == before
    assert any("observe_only" in name for name in shown(runner))
    scene.now_us += 79 * SECOND_US
    runner.round()
    assert verdict_levels(shown(runner)) == before, "180 s from when it was seen last"
    scene.now_us += 2 * SECOND_US
    runner.round()
    assert verdict_levels(shown(runner)) == {}
    runner.close()
    runner = scene.runner(file)
    runner.round()
    assert verdict_levels(shown(runner)) == {}


def test_a_verdict_is_lifted_after_a_restart_as_before(scene: Scene) -> None:
    file = scene.file(act=False)
    runner = scene.runner(file)
    wish = "NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x{} to 0x{}"
    scene.write("n0", wish.format("0 (None)", "2 (Node Reboot Required)"))
    runner.round()
    runner.close()
    runner = scene.runner(file)
    runner.round()
    assert verdict_levels(shown(runner))
    scene.write("n0", wish.format("2 (Node Reboot Required)", "0 (None)"))
    runner.round()
    scene.now_us += 10 * SECOND_US
    runner.round()
    assert verdict_levels(shown(runner)) == {}


def test_what_is_seen_of_a_verdict_counts_after_a_kill(scene: Scene) -> None:
    file = scene.file(act=False)
    runner = scene.runner(file)
    for _ in range(5):
        scene.write("n0")
        runner.round()
        scene.now_us += 100 * SECOND_US
    runner = scene.runner(file)
    runner.round()
    assert verdict_levels(shown(runner)), "seen 100 s ago, first 500 s ago"


def test_a_node_that_is_not_in_the_file_any_more_has_no_verdict(scene: Scene) -> None:
    runner = scene.runner(scene.file(nodes=2, act=False))
    scene.write("n1")
    runner.round()
    runner.close()
    runner = scene.runner(scene.file(nodes=1, act=False))
    runner.round()
    assert verdict_levels(shown(runner)) == {}


def test_what_stood_of_this_machine_is_over_with_its_boot(scene: Scene) -> None:
    file = scene.file(nodes=2, act=False)
    entries = (file.nodes[0].model_copy(update={"local": True}), file.nodes[1])
    here = file.model_copy(update={"nodes": entries})
    runner = scene.runner(here, sensors_of(file))
    for node in ("n0", "n1"):
        scene.write(node)
    runner.round()
    assert len(verdict_levels(shown(runner))) == 2
    runner.close()
    kept = scene.folder / "drains.jsonl.standing"
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "boot": "another"}))
    runner = scene.runner(here, sensors_of(file))
    runner.round()
    (name,) = verdict_levels(shown(runner))
    assert 'node="n1"' in name


def test_the_first_version_of_what_stands_is_still_read() -> None:
    kept = load_standing(KEPT)
    assert kept is not None and kept.version == 1
    assert [each.verdict.signal for each in kept.standing] == ["xid/79", "xid/79"]
    assert [each.code for each in kept.unfinished] == ["fleet_budget"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"version": 1}', "damaged"),
        ('{"version": 2, "stands": {}}', "newer Parkade"),
    ],
)
def test_what_stood_and_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "drains.jsonl.standing"
    path.write_text(text)
    with pytest.raises(KeptFileError, match=message):
        load_standing(path)


def test_a_journal_with_a_torn_last_line_is_gone_on_with(scene: Scene) -> None:
    file = file_of(scene, nodes=60)
    assert file.journal is not None
    file.journal.write_text('{"version": 1, "ev')
    for node in ("n0", "n9"):
        runner = scene.runner(file)
        scene.write(node)
        runner.round()
        runner.close()
        scene.now_us += APART_US
    assert drained(scene) == {"n0", "n9"}
    events = [json.loads(line)["event"] for line in file.journal.read_text().splitlines()]
    assert events == ["intended", "drained"] * 2


def test_lines_that_may_have_been_missed_are_told_at_the_start(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    file = scene.file(act=False)
    runner = scene.runner(file)
    scene.write("n0", "usb 1-1: new device")
    runner.round()
    runner.close()
    (scene.folder / "n0.log").write_text("")
    scene.runner(file).round()
    told = capfd.readouterr().err
    assert told.count("lines may have been missed") == 1 and "behind byte 20" in told
    assert "was not read" in told and "from=" in told and "until='2023-11-14T22:13:20Z'" in told


def test_lines_that_a_cut_may_have_lost_are_told_while_mars_runs(
    scene: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = scene.runner(scene.file(act=False))
    scene.write("n0", "usb 1-1: new device")
    runner.round()
    (scene.folder / "n0.log").write_text("")
    for _ in range(2):
        runner.round()
    assert capfd.readouterr().err.count("lines may have been missed") == 1


@contextmanager
def alertmanager() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of one, and the alerts of the last call that it took."""
    taken: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken[:] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_alert_goes_on_over_a_restart_as_the_same_and_resolves(scene: Scene) -> None:
    with alertmanager() as (url, taken):
        file = scene.file(act=False).model_copy(update={"alertmanager": url})
        runner = scene.runner(file)
        scene.write("n0")
        runner.round()
        (fired,) = taken
        runner.close()
        scene.now_us += 100 * SECOND_US
        runner = scene.runner(file)
        runner.round()
        (goes_on,) = taken
        assert goes_on["labels"] == fired["labels"] and goes_on["startsAt"] == fired["startsAt"]
        assert goes_on["annotations"] == fired["annotations"]
        assert goes_on["endsAt"] > fired["endsAt"], "ahead of now, so that it fires"
        runner.close()
        scene.now_us += 100 * SECOND_US
        runner = scene.runner(file)
        runner.round()
        (over,) = taken
        ended = datetime.fromtimestamp(scene.now_us / SECOND_US, UTC).isoformat()
        assert over["labels"] == fired["labels"] and over["endsAt"] == ended, (
            "over while it was down"
        )
        runner.round()
        assert taken == []
