"""The page of names and limits says what the authority says."""

from decimal import Decimal

from parkade.core.units import bounds, names
from parkade.core.units.bounds import Range
from parkade.core.units.money import MICROS
from parkade.wire.scalars import MICROSECOND, parse_span
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "limits.md"
GRAMMARS = {
    "org": names.NAME,
    "node": names.NODE_NAME,
    "workload": names.WORKLOAD_NAME,
    "GPU model": names.GPU_MODEL,
    "Unix user": names.UNIX_NAME,
    "environment variable": names.ENV_KEY,
}
COUNTS = {
    "GPUs per node": bounds.GPUS_PER_NODE,
    "memory per node, GiB": bounds.MEMORY_GIB_PER_NODE,
    "CPUs per node": bounds.CPUS_PER_NODE,
    "nodes of a pool, a reservation, a claim; ranks of a workload": bounds.NODES,
    "nodes kept from lending, buffer nodes of a fabric": bounds.NODES_KEPT,
    "fabrics of a pool": bounds.FABRICS,
    "GPUs of a cap": bounds.CAP_GPUS,
    "users of an org": Range(least=0, most=bounds.MOST_USERS),
    "good tokens of a user": Range(least=0, most=bounds.MOST_GOOD_TOKENS),
    "priority": bounds.PRIORITY,
    "failures that are retried": bounds.FAILURES,
    "variables of a workload": bounds.ENV_ENTRIES,
    "labels of a workload": bounds.LABELS,
    "workloads that one waits for, of each kind": bounds.DEPENDENCIES,
    "members of an array": bounds.ARRAY_MEMBERS,
    "index of a member": bounds.ARRAY_INDEX,
    "command and variables of an array together, characters": Range(
        least=1, most=bounds.MOST_ARRAY_CHARACTERS
    ),
    "value of a variable, characters": bounds.ENV_VALUE_CHARACTERS,
    "all variables together, characters": Range(least=0, most=bounds.MOST_ENV_CHARACTERS),
    "command, characters": bounds.COMMAND_CHARACTERS,
    "path, characters": bounds.PATH_CHARACTERS,
    "reason for a cordon or a failure, characters": bounds.REASON_CHARACTERS,
    "document or request, bytes": Range(least=0, most=bounds.MOST_DOCUMENT_BYTES),
}
MONEY = {
    "price or floor, per GPU-hour": bounds.PRICE_MICROS,
    "limit price, per GPU-hour": bounds.LIMIT_PRICE_MICROS,
    "deposit, `max_spend`": bounds.PAYMENT_MICROS,
    "grant, cap of a user or an org": bounds.BALANCE_MICROS,
}
SPANS = {
    "interval of a grant": bounds.GRANT_INTERVAL_US,
    "span": bounds.SPAN_US,
    "deadline, from the submission, beyond the duration": bounds.DEADLINE_SLACK_US,
}


def test_the_page_names_each_grammar_with_its_length() -> None:
    told = {row[0].split(",")[0]: int(row[2]) for row in table(PAGE, "Names")}
    assert told == {what: grammar.longest for what, grammar in GRAMMARS.items()}
    assert set(GRAMMARS.values()) == set(names.GRAMMARS)


def test_the_page_names_each_limit() -> None:
    told = {row[0]: (row[1], row[2]) for row in table(PAGE, "Limits")}
    assert set(told) == {*COUNTS, *MONEY, *SPANS}
    for what, (least, most) in told.items():
        numbers = (least.replace(",", ""), most.replace(",", ""))
        if what in MONEY:
            read = [int(Decimal(text) * MICROS) for text in numbers]
        elif what in SPANS:
            read = [parse_span(text) // MICROSECOND for text in numbers]
        else:
            read = [int(text) for text in numbers]
        within = COUNTS.get(what) or MONEY.get(what) or SPANS[what]
        assert read == [within.least, within.most], what


def test_the_page_names_what_an_org_may_begin() -> None:
    told = [int(row[1].replace(",", "")) for row in table(PAGE, "What an org may begin")]
    defaults = [bounds.DEFAULT_OPEN, bounds.DEFAULT_SUBMITS, bounds.DEFAULT_STARTS]
    assert told == defaults
    assert f"from 0 to {bounds.ORG_BOUND.most:,}" in PAGE.read_text("utf-8")


def test_a_span_of_the_terms_is_any_span_or_a_positive_one() -> None:
    assert set(bounds.TERMS_US.values()) == {bounds.SPAN_US, bounds.POSITIVE_SPAN_US}
