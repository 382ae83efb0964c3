"""What both sides of the API check is accepted by both or by neither, on a table of values.

The wire's models refuse a value with its place; the core's decision refuses it again, whichever
way a command came. The rule is one: `parkade.core.units.names` and `parkade.core.units.bounds`.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import BaseModel, ValidationError

from parkade.core.kernel.decide import decide
from parkade.core.state import commands
from parkade.core.state.world import Records, World
from parkade.core.units import bounds
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Reason, Refusal
from parkade.wire import people, pools, reservations, workloads
from parkade.wire.scalars import SPAN
from parkade.wire.spec import WorkloadSpec
from tests import builders
from tests.core.kernel.story import START_US, Parkade

Value = Any
LABEL = "a" * 63
NAMES = [
    "a", "9", "acme", "a-b", "a_b", "a.b", "acme.example.org", "x" * 40, "x" * 41, LABEL,
    LABEL + "a", "A", "Acme", "-a", "a-", "_a", "a_", ".a", "a.", "..", "", " ", "a b", "a/b",
    "a:b", "ü", "a\n",
    "a\0", "GPU-01.cluster.local", "gpu-01.cluster.local", "10.0.0.7", "a..b", "a.-b", "a-.b",
    f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}", f"{LABEL}.{LABEL}.{LABEL}.{'a' * 62}", f"{LABEL}a.b",
    "root", "nobody", "ann", "x" * 32, "x" * 33, "Ann",
]  # fmt: skip
COUNTS = [-1, 0, 1, 2, 16, 63, 64, 65, 256, 1000, 1001, 1024, 1025, 65_536, 65_537, 100_000,
          100_001, 1_048_576, 1_048_577, 2**31, 2**63]  # fmt: skip
AMOUNTS = ["-1", "-0.000001", "0", "0.00", "0.000001", "1", "2.50", "1000000", "1000000.000001",
           "2000000", "999999999999.999999", "1000000000000", "1000000000000.000001"]  # fmt: skip
SPANS = ["0s", "1ms", "1s", "59s", "60s", "2h", "36500d", "36501d", "36500d1ms"]
FRACTIONS = ["0", "1", "2", "0/1", "1/20", "2/7", "6/7", "7/7", "8/7", "1/999999999",
             "999999998/999999999", "999999999/999999999", "1/1000000000", "-1/20"]  # fmt: skip

POOL = builders.pool_body(gpus=2)


def with_value(tree: dict[str, Any], path: str, value: Value) -> dict[str, Any]:
    """The tree with another value at a dotted path."""
    head, _, rest = path.partition(".")
    return {**tree, head: with_value(tree[head], rest, value) if rest else value}


def is_valid(model: type[BaseModel], value: dict[str, Any]) -> bool:
    """Whether the wire accepts a body."""
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


def is_decided(command: commands.AnyCommand, world: World | None = None) -> bool:
    """Whether the core finds no invalid value; it may refuse for other reasons."""
    outcome = decide(world or Parkade().world, command, START_US)
    return not (isinstance(outcome, Refusal) and outcome.reason is Reason.INVALID)


def micros(text: str) -> int:
    return int(Decimal(text) * MICROS)


def span_us(text: str) -> int:
    """Microseconds, also of a span that is longer than the wire accepts."""
    lengths = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1000}
    return sum(int(n) * lengths[unit] for n, unit in SPAN.findall(text))


def fraction(text: str) -> Fraction:
    top, _, bottom = text.partition("/")
    return Fraction(numerator=int(top), denominator=int(bottom or 1))


TERMS = builders.terms()


def opens(**change: Any) -> bool:
    """Whether the core opens a pool with this change, as the first of an installation."""
    whole = {"fabrics": {"f1": 2}, **change}
    return is_decided(builders.open_pool("lab", **whole), World(Records()))


def opens_kind(**change: Any) -> bool:
    return opens(instance_type=replace(builders.instance_type(), **change))


def opens_terms(**change: Any) -> bool:
    return opens(terms=replace(TERMS, **change))


def opens_price(price: str) -> Callable[[Value], bool]:
    return lambda value: opens_terms(**{f"{price}_micros": micros(value)})


def opens_span(span: str) -> Callable[[Value], bool]:
    return lambda value: opens_terms(**{f"{span}_us": span_us(value)})


def sets_price(price: str) -> Callable[[Value], bool]:
    nothing = commands.SetPrices(
        by=None,
        market="pool",
        pay_as_you_go_micros=None,
        reservation_rate_micros=None,
        public_floor_micros=None,
        is_meant=True,
    )
    return lambda value: is_decided(replace(nothing, **{f"{price}_micros": micros(value)}))


def supplies_market(name: str) -> bool:
    command = builders.open_pool("lab", fabrics={"f1": 2})
    command = replace(command, supply=replace(command.supply, market=name))
    return is_decided(command, World(Records()))


def changes_terms(**change: Any) -> bool:
    change_of = commands.TermsChange(**change)
    return is_decided(
        commands.ChangeTerms(by=None, market="pool", change=change_of, from_us=2 * START_US)
    )


def changes_span(span: str) -> Callable[[Value], bool]:
    return lambda value: changes_terms(**{f"{span}_us": span_us(value)})


def pool_wire(path: str) -> Callable[[Value], bool]:
    return lambda value: is_valid(pools.OpenPool, with_value(POOL, path, value))


def asks(model: type[BaseModel], field: str, **rest: Any) -> Callable[[Value], bool]:
    return lambda value: is_valid(model, {**rest, field: value})


def submits(**change: Any) -> bool:
    """Whether the core finds nothing invalid in a spec with this change."""
    parkade = Parkade()
    parkade.org("lab")
    spec = replace(parkade.spec(limit=9), **change)
    command = commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
    return is_decided(command, parkade.world)


def user_with(name: str = "ann", unix_name: str | None = None) -> bool:
    parkade = Parkade()
    parkade.org("lab")
    command = builders.create_user(name, "lab", unix_name=unix_name)
    return is_decided(command, parkade.world)


def token_named(name: str) -> bool:
    parkade = Parkade()
    parkade.org("lab")
    parkade.do(builders.create_user("ann", "lab"))
    return is_decided(commands.AddToken(by=None, token=name, user="ann", digest="d"), parkade.world)


def for_lab(make: Callable[[Value], commands.AnyCommand]) -> Callable[[Value], bool]:
    """Whether the core decides a command about the org `lab`, which exists and has a user."""

    def decided(value: Value) -> bool:
        parkade = Parkade()
        parkade.org("lab")
        parkade.do(builders.create_user("ann", "lab"))
        return is_decided(make(value), parkade.world)

    return decided


def reserves(value: Value, field: str) -> bool:
    parkade = Parkade()
    parkade.org("lab")
    command = commands.Reserve(
        by=None, org="lab", market=None, name=None, nodes=1, start_us=None, end_us=None
    )
    return is_decided(replace(command, **{field: value}), parkade.world)


def lends(**change: Any) -> bool:
    parkade = Parkade()
    parkade.reserve("lab", 2)
    command = commands.Lend(by=None, reservation="lab", floor_micros=1, keep=0)
    return is_decided(replace(command, **change), parkade.world)


SPEC = {"name": "a", "command": "b", "limit_price": "9", "workdir": "/"}
CASES: dict[str, tuple[Callable[[Value], bool], Callable[[Value], bool], Iterable[Value]]] = {
    "org": (asks(people.CreateOrg, "org"),
            lambda v: is_decided(commands.CreateOrg(by=None, org=v)), NAMES),
    "user": (asks(people.CreateUser, "user", org="lab"), lambda v: user_with(v), NAMES),
    "unix_name": (asks(people.CreateUser, "unix_name", user="ann", org="lab"),
                  lambda v: user_with(unix_name=v), NAMES),
    "token": (asks(people.CreateToken, "token", user="ann"), token_named, NAMES),
    "reservation": (asks(reservations.Reserve, "name", nodes=1),
                    lambda v: reserves(v, "name"), NAMES),
    "pool": (pool_wire("pool"), lambda v: opens(pool=v), NAMES),
    "site": (pool_wire("site"), lambda v: opens(site=v), NAMES),
    "engine": (pool_wire("engine"), lambda v: opens(engine=v), NAMES),
    "market": (pool_wire("market"), supplies_market, NAMES),
    "changed fee": (asks(pools.ChangeTerms, "fee"),
                    lambda v: changes_terms(fee=fraction(v)), FRACTIONS),
    "changed cap": (asks(pools.ChangeTerms, "payout_cap"),
                    lambda v: changes_terms(payout_cap=fraction(v)), FRACTIONS),
    "changed deposit": (asks(pools.ChangeTerms, "window_deposit"),
                        lambda v: changes_terms(window_deposit=fraction(v)), FRACTIONS),
    "changed credit": (asks(pools.ChangeTerms, "switching_credit"),
                       lambda v: changes_terms(switching_credit=fraction(v)), FRACTIONS),
    "changed buffer": (asks(pools.ChangeTerms, "buffer_nodes"),
                       lambda v: changes_terms(buffer_nodes=v), COUNTS),
    **{f"changed {span}": (asks(pools.ChangeTerms, span), changes_span(span), SPANS)
       for span in bounds.TERMS_US},
    "fabric": (lambda v: pool_wire("fabrics")({v: ["n1"]}),
               lambda v: opens(fabrics=((v, ("n1",)),)), NAMES),
    "node": (lambda v: pool_wire("fabrics")({"f1": [v]}),
             lambda v: opens(fabrics=(("f1", (v,)),)), NAMES),
    "nodes twice": (lambda v: pool_wire("fabrics")({"f1": v}),
                    lambda v: opens(fabrics=(("f1", v),)),
                    [("n1", "n2"), ("n1", "n1"), ("n1", "N1"), ()]),
    "nodes of a pool": (lambda v: pool_wire("fabrics")({"f1": [f"n{n}" for n in range(v)]}),
                        lambda v: opens(fabrics=(("f1", tuple(f"n{n}" for n in range(v))),)),
                        [0, 1, 100_000, 100_001]),
    "fabrics of a pool": (lambda v: pool_wire("fabrics")({f"f{n}": [f"n{n}"] for n in range(v)}),
                          lambda v: opens(fabrics=tuple((f"f{n}", (f"n{n}",)) for n in range(v))),
                          [0, 1, 10_000, 10_001]),
    "instance_type.name": (pool_wire("instance_type.name"), lambda v: opens_kind(name=v), NAMES),
    "gpu_model": (pool_wire("instance_type.gpu_model"), lambda v: opens_kind(gpu_model=v), NAMES),
    "gpus_per_node": (pool_wire("instance_type.gpus_per_node"),
                      lambda v: opens_kind(gpus_per_node=v), COUNTS),
    "memory_gib": (pool_wire("instance_type.memory_gib"),
                   lambda v: opens_kind(memory_gib=v), COUNTS),
    "cpus": (pool_wire("instance_type.cpus"), lambda v: opens_kind(cpus=v), COUNTS),
    "fee": (pool_wire("terms.fee"), lambda v: opens_terms(fee=fraction(v)), FRACTIONS),
    "switching_credit": (pool_wire("terms.switching_credit"),
                         lambda v: opens_terms(switching_credit=fraction(v)), FRACTIONS),
    "payout_cap": (pool_wire("terms.payout_cap"),
                   lambda v: opens_terms(payout_cap=fraction(v)), FRACTIONS),
    "window_deposit": (pool_wire("terms.window_deposit"),
                       lambda v: opens_terms(window_deposit=fraction(v)), FRACTIONS),
    "buffer_nodes": (pool_wire("terms.buffer_nodes"),
                     lambda v: opens_terms(buffer_nodes=v), COUNTS),
    **{price: (pool_wire(f"terms.{price}"),
               opens_price(price), AMOUNTS)
       for price in ("pay_as_you_go", "reservation_rate", "public_floor")},
    **{span: (pool_wire(f"terms.{span}"),
              opens_span(span), SPANS)
       for span in ("notice", "heal_notice", "kill", "turnaround", "start_grace",
                    "minimum_charge", "release_grace", "clearing_interval", "clearing_pause",
                    "billing_period", "backoff", "retention", "agent_lease", "start_limit",
                    "assemble", "folder_retention")},
    **{f"prices.{price}": (
        asks(pools.SetPrices, price),
        sets_price(price), AMOUNTS)
       for price in ("pay_as_you_go", "reservation_rate", "public_floor")},
    "deposit": (asks(people.Deposit, "amount"),
                for_lab(lambda v: commands.Deposit(by=None, org="lab", micros=micros(v))), AMOUNTS),
    "adjust": (asks(people.Adjust, "amount", reason="r"),
               for_lab(lambda v: commands.Adjust(by=None, org="lab", micros=micros(v),
                                              is_refund=False, reason="r")), AMOUNTS),
    "grant": (asks(people.SetGrant, "amount", every="1h"),
              for_lab(lambda v: commands.SetGrant(by=None, org="lab", micros=micros(v),
                                               every_us=3_600_000_000)), AMOUNTS),
    "grant.every": (asks(people.SetGrant, "every", amount="1"),
                    for_lab(lambda v: commands.SetGrant(by=None, org="lab", micros=1,
                                                     every_us=span_us(v))), SPANS),
    "cap": (asks(people.SetCap, "cap"),
            for_lab(lambda v: commands.SetCap(by=None, user="ann", cap_micros=micros(v))), AMOUNTS),
    "cap of an org": (asks(people.SetCap, "cap"),
                      for_lab(lambda v: commands.SetOrgCap(by=None, org="lab",
                                                           cap_micros=micros(v))), AMOUNTS),
    "cap on GPUs": (asks(people.SetCap, "most_gpus", cap=None),
                    for_lab(lambda v: commands.SetCap(by=None, user="ann", cap_micros=None,
                                                      most_gpus=v)), COUNTS),
    "reserved nodes": (asks(reservations.Reserve, "nodes"), lambda v: reserves(v, "nodes"), COUNTS),
    "lending.floor": (asks(reservations.Lend, "floor"),
                      lambda v: lends(floor_micros=micros(v)), AMOUNTS),
    "limit_price": (lambda v: is_valid(WorkloadSpec, {**SPEC, "limit_price": v}),
                    lambda v: submits(limit_price_micros=micros(v)), AMOUNTS),
    "bid": (asks(workloads.Bid, "limit_price"),
            lambda v: submits(limit_price_micros=micros(v)), AMOUNTS),
}  # fmt: skip


@pytest.mark.parametrize("field", CASES)
def test_what_one_side_accepts_the_other_accepts(field: str) -> None:
    by_wire, by_core, values = CASES[field]
    told = {str(value)[:80]: (by_wire(value), by_core(value)) for value in values}
    assert {value: both for value, both in told.items() if both[0] != both[1]} == {}
    assert len({both[0] for both in told.values()}) == 2, "the table tells nothing apart"
