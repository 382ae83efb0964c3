"""The parts of the local engine that decide, as properties."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as some

from parkade.core.workloads.life import Cause
from parkade.engines.local import output, seats
from parkade.engines.local.environment import BadEnvFile, at_home, read_env_file
from parkade.engines.local.escalation import Escalation, merge
from parkade.engines.local.records import Launch
from parkade.ports import Seat, Stop, Transient
from tests.engines.trial import attempt_of, launched

instants = some.integers(min_value=0, max_value=10**9)
orders = some.builds(
    Stop,
    noticed_us=instants,
    deadline_us=instants,
    kill_us=instants,
    cause=some.sampled_from(list(Cause)),
)


@given(some.lists(orders, min_size=1, max_size=6), instants, instants)
def test_nothing_is_due_before_the_earliest_order_says_so(
    given_orders: list[Stop], wall_us: int, now_us: int
) -> None:
    escalation = Escalation()
    for order in given_orders:
        # The monotonic clock stands 1 s behind the wall clock.
        escalation.take(order, wall_us=wall_us, monotonic_us=wall_us - 1_000_000)
    term_us = min(order.deadline_us for order in given_orders)
    kill_us = min(max(order.kill_us, order.deadline_us) for order in given_orders)
    at_us = now_us - 1_000_000
    assert escalation.is_term_due(at_us) == (now_us >= term_us)
    assert escalation.is_kill_due(at_us) == (now_us >= kill_us)


@given(orders, orders)
def test_merging_only_brings_forward(old: Stop, new: Stop) -> None:
    merged = merge(old, new)
    assert merged.deadline_us == min(old.deadline_us, new.deadline_us)
    assert merged.kill_us == min(old.kill_us, new.kill_us)
    assert merge(merged, new) == merged
    assert merge(merged, old) == merged


@given(some.lists(some.tuples(some.sampled_from(["n0", "n1"]), some.integers(0, 4)), max_size=8))
def test_no_device_is_chosen_twice(wishes: list[tuple[str, int]]) -> None:
    nodes = {"n0": (0, 1, 2, 3), "n1": (4, 5, 6, 7)}
    live: list[Launch] = []
    held: dict[str, list[int]] = {"n0": [], "n1": []}
    for node, gpus in wishes:
        attempt = attempt_of("x", ranks=(Seat(node=node, gpus=gpus),))
        if len(held[node]) + gpus > 4:
            with pytest.raises(Transient):
                seats.choose_devices(attempt, nodes, live)
            continue
        devices = seats.choose_devices(attempt, nodes, live)
        held[node] += devices[0]
        live.append(launched(attempt, devices, 1))
    all_held = [index for indexes in held.values() for index in indexes]
    assert len(all_held) == len(set(all_held))


def test_ports_differ_and_lie_below_the_ephemeral_range() -> None:
    attempt = attempt_of("x")
    first = seats.choose_port("same", [])
    second = seats.choose_port("same", [launched(attempt, ((),), first)])
    assert first != second
    assert all(20_000 <= port < 32_000 for port in (first, second))


@given(
    some.lists(some.binary(min_size=1, max_size=40), max_size=40),
    some.integers(min_value=0, max_value=1000),
)
def test_an_offset_means_the_same_byte_whatever_was_dropped(
    pieces: list[bytes], offset: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = output.pipe_path(folder, 0)
        os.mkfifo(path)
        taken = output.Output(folder, 0, segment_bytes=64)
        for piece in pieces:
            os.write(taken.pipe, piece)
            taken.pump()
        taken.close()
        whole = b"".join(pieces)
        found, at = b"", offset
        while True:
            begin, content = output.read(folder, 0, at)
            if not content:
                break
            assert whole[begin : begin + len(content)] == content
            assert not found or begin == at, "no gap once it began"
            found += content
            at = begin + len(content)
        assert at == max(offset, len(whole))
        kept = output.segments(folder, 0)
        assert len(kept) <= output.SEGMENTS_KEPT


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("# x\n\nA=1\n", {"A": "1"}),
        ("export A = 'b c'\nB=\"\"\nC='", {"A": "b c", "B": "", "C": "'"}),
        ("A=b=c", {"A": "b=c"}),
    ],
)
def test_an_env_file_is_lines_of_key_and_value(
    tmp_path: Path, text: str, found: dict[str, str]
) -> None:
    path = tmp_path / "e"
    path.write_text(text)
    assert read_env_file(str(path)) == found


@pytest.mark.parametrize("text", ["A", "=1", "1A=2", "a b=c"])
def test_a_bad_line_is_named_by_its_number_only(tmp_path: Path, text: str) -> None:
    path = tmp_path / "e"
    path.write_text(f"X=1\n{text}\n")
    with pytest.raises(BadEnvFile, match=r"^env_file line 2 is not KEY=VALUE$"):
        read_env_file(str(path))


def test_home_is_the_accounts() -> None:
    assert [at_home(path, "/h") for path in ("", "~", "~/a", "/b", "c")] == [
        "/h",
        "/h",
        "/h/a",
        "/b",
        "c",
    ]
