"""File systems by name: what stands where, and what a market may not take away."""

import pytest

from parkade.core.fleet.market import AnnouncedTerms, Market
from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.life import Phase
from tests import builders
from tests.core.records import node, workload, world

NOW_US = 1_000_000


def market(name: str, *shared: str, announced: tuple[str, ...] | None = None) -> Market:
    then = builders.terms(file_systems=announced or ())
    return builders.market(
        name,
        terms=builders.terms(file_systems=shared),
        announced=() if announced is None else (AnnouncedTerms(from_us=2 * NOW_US, terms=then),),
    )


def world_of(*markets: Market, needs: tuple[str, ...] = (), phase: Phase = Phase.QUEUED) -> World:
    nodes = [node(f"a{place}", market=it.market) for place, it in enumerate(markets)]
    one = workload("old", spec=builders.spec(storage=needs), phase=phase)
    return world(one, markets=markets, nodes=nodes, balances={"org/lab": 100 * MICROS})


def submitted(here: World, *storage: str, to: str | None = None) -> str | Refusal:
    """The market that the workload stands in."""
    spec = builders.spec(storage=storage)
    command = commands.Submit(by=None, org="lab", market=to, spec=spec, is_held=False)
    found = decide(here, command, NOW_US)
    if isinstance(found, Refusal):
        return found
    (event,) = (it for it in found if isinstance(it, events.Submitted))
    return event.workload.market


@pytest.mark.parametrize(
    ("shared", "storage", "stands"),
    [
        ((), (), True),
        (("home",), (), True),
        (("home", "scratch"), ("scratch",), True),
        (("home", "scratch"), ("home", "scratch"), True),
        (("home",), ("home", "scratch"), False),
        ((), ("home",), False),
    ],
)
def test_a_workload_stands_only_where_all_that_it_needs_is_shared(
    shared: tuple[str, ...], storage: tuple[str, ...], stands: bool
) -> None:
    found = submitted(world_of(market("market", *shared)), *storage)
    if stands:
        assert found == "market"
        return
    assert isinstance(found, Refusal)
    assert (found.reason, found.field) == (Reason.UNSUPPORTED, "storage")
    assert sorted(set(storage) - set(shared))[0] in found.detail


def test_the_only_market_that_shares_them_is_meant_where_none_is_named() -> None:
    here = world_of(market("market", "home"), market("other", "home", "scratch"))
    assert submitted(here, "scratch") == "other"
    assert isinstance(submitted(here, "home"), Refusal), "both have it"
    assert submitted(here, "home", to="market") == "market"
    assert isinstance(submitted(here, "scratch", to="market"), Refusal)


@pytest.mark.parametrize(
    ("storage", "says"),
    [
        (("scratch",), "shares scratch; "),
        (("home", "scratch"), "shares scratch; "),
        (("data", "home"), "shares all of data, home; "),
    ],
)
def test_where_no_market_shares_them_those_that_are_missing_are_named(
    storage: tuple[str, ...], says: str
) -> None:
    found = submitted(world_of(market("market", "home"), market("other", "data")), *storage)
    assert isinstance(found, Refusal) and found.field == "market"
    assert says in found.detail and found.detail.endswith(": market, other")


def test_what_announced_terms_take_away_is_promised_to_no_newcomer() -> None:
    here = world_of(market("market", "home", "scratch", announced=("home",)))
    assert submitted(here, "home") == "market"
    assert isinstance(submitted(here, "scratch"), Refusal)


@pytest.mark.parametrize(
    ("phase", "left", "is_refused"),
    [
        (Phase.QUEUED, ("home",), True),
        (Phase.RUNNING, (), True),
        (Phase.RUNNING, ("home", "more", "scratch"), False),
        (Phase.QUEUED, ("scratch",), False),
        (Phase.SUCCEEDED, (), False),
    ],
)
def test_what_an_open_workload_needs_is_not_taken_away(
    phase: Phase, left: tuple[str, ...], is_refused: bool
) -> None:
    here = world_of(market("market", "home", "scratch"), needs=("scratch",), phase=phase)
    change = commands.TermsChange(file_systems=left)
    command = commands.ChangeTerms(by=None, market="market", change=change, from_us=None)
    found = decide(here, command, NOW_US)
    if is_refused:
        assert isinstance(found, Refusal) and found.reason is Reason.CONFLICT
        assert "old" in found.detail and "scratch" in found.detail
    else:
        (event,) = found if isinstance(found, tuple) else ()
        assert isinstance(event, events.TermsChanged) and event.terms.file_systems == left


@pytest.mark.parametrize("names", [("Home",), ("",), tuple(f"f{it}" for it in range(33))])
def test_names_outside_their_bounds_are_refused(names: tuple[str, ...]) -> None:
    change = commands.TermsChange(file_systems=names)
    command = commands.ChangeTerms(by=None, market="market", change=change, from_us=None)
    found = decide(world_of(market("market")), command, NOW_US)
    assert isinstance(found, Refusal) and found.field == "terms.file_systems"
