"""The devices of a machine are carved up among its nodes and pools, and none is had twice."""

import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from parkade.engines.local import devices
from parkade.engines.local.devices import Machine, carve, find, parse
from parkade.ports import NodeShape, Seat, Transient
from tests.engines.conftest import LocalPlace
from tests.engines.trial import FOR_EVER, attempt_of, of, order_in, released, run


def shapes(**gpus: int) -> tuple[NodeShape, ...]:
    return tuple(NodeShape(node=node, gpus=count) for node, count in gpus.items())


def answers(text: str) -> tuple[str, ...]:
    """A probe that prints a text."""
    return (sys.executable, "-I", "-c", f"print({text!r})")


node_sets = some.dictionaries(some.sampled_from("abcd"), some.integers(0, 4), max_size=4)


@given(some.lists(some.tuples(node_sets, some.sets(some.integers(0, 15))), max_size=6))
def test_no_index_is_carved_twice_and_a_node_that_stays_keeps_its_own(
    steps: list[tuple[dict[str, int], set[int]]],
) -> None:
    before: dict[str, tuple[int, ...]] = {}
    for gpus, held in steps:
        carved = carve(shapes(**gpus), before=before, candidates=range(32), held=held)
        count = Counter(index for indexes in carved.values() for index in indexes)
        assert set(count.values()) <= {1}
        for node, most in gpus.items():
            assert len(carved[node]) == most
            assert carved[node][: len(before.get(node, ()))] == before.get(node, ())[:most]
        for node, indexes in before.items():
            if node not in gpus:
                assert set(indexes) & held == set(carved.get(node, ()))
        before = carved


def test_what_a_removed_node_left_is_had_by_the_next() -> None:
    before = {"a": (0, 1), "b": (2, 3)}
    assert carve(shapes(a=2, c=2), before=before, candidates=range(4), held=()) == {
        "a": (0, 1),
        "c": (2, 3),
    }
    with pytest.raises(Transient, match="node c needs 2 GPUs, and this machine has 1 left"):
        carve(shapes(a=2, c=2), before=before, candidates=range(4), held=(3,))


def assigned(
    machine: Machine, folder: Path, nodes: tuple[NodeShape, ...], held: Collection[int] = ()
) -> dict[str, tuple[int, ...]]:
    folder.mkdir(exist_ok=True)
    return machine.assign(folder, folder.name, nodes, held)


def test_two_pools_of_a_machine_share_no_device(tmp_path: Path) -> None:
    machine = Machine(record=tmp_path / "record" / "devices.json")
    first = assigned(machine, tmp_path / "first", shapes(a=2, b=2))
    second = assigned(machine, tmp_path / "second", shapes(a=2))
    assert (first, second) == ({"a": (0, 1), "b": (2, 3)}, {"a": (4, 5)})
    assert assigned(machine, tmp_path / "first", shapes(a=2, b=2)) == first


def test_a_pool_that_is_gone_leaves_its_devices(tmp_path: Path) -> None:
    machine = Machine(record=tmp_path / "devices.json")
    assigned(machine, tmp_path / "first", shapes(a=2))
    (tmp_path / "first").rmdir()
    assert assigned(machine, tmp_path / "second", shapes(a=2)) == {"a": (0, 1)}


def test_a_pool_has_only_the_devices_that_it_names(tmp_path: Path) -> None:
    record = tmp_path / "devices.json"
    named = Machine(record=record, named=(4, 6))
    assert assigned(named, tmp_path / "first", shapes(a=2)) == {"a": (4, 6)}
    with pytest.raises(Transient, match="node b needs 1 GPUs"):
        assigned(named, tmp_path / "first", shapes(a=2, b=1))
    others = assigned(Machine(record=record), tmp_path / "second", shapes(a=6))
    assert others == {"a": (0, 1, 2, 3, 5, 7)}


def test_a_machine_with_gpus_gives_no_more_than_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "find", lambda: (0, 1))
    machine = Machine(record=tmp_path / "devices.json")
    with pytest.raises(Transient, match="node b needs 2 GPUs"):
        assigned(machine, tmp_path / "first", shapes(a=2, b=2))
    with pytest.raises(Transient, match="name GPU 7"):
        assigned(Machine(record=tmp_path / "x.json", named=(7,)), tmp_path / "p", shapes(a=1))


def test_a_record_that_cannot_be_read_hands_out_nothing(tmp_path: Path) -> None:
    (tmp_path / "devices.json").write_text('{"version": 1')
    with pytest.raises(Transient, match=r"devices\.json cannot be read; remove it"):
        assigned(Machine(record=tmp_path / "devices.json"), tmp_path / "first", shapes(a=1))


def test_gpus_are_found_by_the_library_else_by_their_files(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    fails = (sys.executable, "-I", "-c", f"import sys; sys.exit({devices.NO_LIBRARY})")
    assert find(answers("[0, 1, 2]"), tmp_path) == (0, 1, 2)
    assert find(fails, tmp_path) == (0, 1)
    assert find(fails, tmp_path / "nothing") == ()


def test_a_driver_that_never_answers_is_not_guessed_at(tmp_path: Path) -> None:
    hangs = (sys.executable, "-I", "-c", "import time; time.sleep(600)")
    with pytest.raises(Transient, match=r"did not answer within 0\.2 s"):
        find(hangs, tmp_path, timeout_s=0.2)


@pytest.mark.parametrize(
    ("text", "indexes"), [("0", (0,)), ("0-3", (0, 1, 2, 3)), ("6,0-1", (6, 0, 1))]
)
def test_devices_are_named_by_numbers_and_ranges(text: str, indexes: tuple[int, ...]) -> None:
    assert parse(text) == indexes


@pytest.mark.parametrize("text", ["", "a", "0,0", "0-3,2", "3-1", "-1", "0-", "1e9"])
def test_what_names_no_devices_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever part of it is wrong
        parse(text)


def test_a_node_that_comes_gets_no_device_that_a_running_attempt_has(place: LocalPlace) -> None:
    async def body() -> None:
        machine = Machine(named=(0, 1), record=place.data / "record.json")
        engine = place.engine(shapes(n0=2), machine)
        attempt = attempt_of(FOR_EVER, gpus=2)
        await engine.launch(attempt)
        successor = place.engine(shapes(n1=2), machine)
        waiting = attempt_of("exit 0", ranks=(Seat(node="n1", gpus=1),))
        with pytest.raises(Transient, match="n1"):
            await successor.launch(waiting)
        await successor.stop(attempt.attempt, order_in(0, 0))
        await released(successor, attempt)
        await successor.launch(waiting)
        seen = of(await successor.observe(), waiting)
        assert seen is not None and seen.devices == (("n1", (0,)),)
        await released(successor, waiting)

    run(body())
