"""Exports and sums of costs say to the micro-unit what statements say."""

import asyncio
import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.api.exports import Export
from parkade.api.streams import Streams
from parkade.api.translate.scalars import amount, instant
from parkade.api.views import focus
from parkade.api.views.showback import Sums, months
from parkade.client import AsyncClient, Client
from parkade.control.archive import Archive
from parkade.control.origins import Origins, origin_of
from parkade.control.viewers import Viewer
from parkade.core.ledger.accounts import TransferKind, org_account
from parkade.core.state.codec import decode_event
from parkade.core.state.events import Submitted
from parkade.core.state.people import Role
from parkade.core.workloads.workload import Workload
from parkade.ports import StatedTransfer
from parkade.sim.store import Disk, MemoryStore
from parkade.sim.story import Story, StoryPlan
from parkade.wire.costs import ShowbackBy
from tests.api.focus_rules import COLUMNS as RULES
from tests.api.focus_rules import broken
from tests.api.town import Town
from tests.builders import no_point

EVER_US = 2**55
PLACES = focus.Places(markets={}, sites={}, unit="USD")
STORIES = (1,)
"""Seeds of stories whose orgs pay and get money of most kinds."""


class Book:
    """A journal that a simulated marketplace left behind."""

    def __init__(self, disk: Disk) -> None:
        self.store = MemoryStore(disk, no_point)
        self.archive = Archive(self.store)
        events = [decode_event(it.body, it.version) for it in disk.entries]
        self.submitted = [it.workload for it in events if isinstance(it, Submitted)]
        sides = [(it.transfer.debit, it.transfer.credit) for it in disk.transfers]
        names = {name for side in sides for name in side if name.startswith("org/")}
        self.orgs = sorted(name.removeprefix("org/") for name in names)

    def lines(self, org: str) -> list[StatedTransfer]:
        account = org_account(org)
        stated = asyncio.run(self.archive.statement(account, from_us=None, to_us=None))
        return [line for line in stated.transfers if line.transfer.kind not in focus.FUNDING]

    def net(self, org: str) -> int:
        """What the org's costs come to, by its statement."""
        account = org_account(org)
        return sum(
            it.transfer.micros if it.transfer.debit == account else -it.transfer.micros
            for it in self.lines(org)
        )


@pytest.fixture(scope="module")
def books() -> Iterator[list[Book]]:
    found = []
    for seed in STORIES:
        story = Story(StoryPlan(seed=seed, events=600, checks=False))
        story.tell()
        found.append(Book(story.server.disk))
    yield found
    for book in found:
        book.archive.close()


async def _rows(book: Book, org: str) -> list[focus.Row]:
    account, rows = org_account(org), []
    async for page in book.archive.pages(account, from_us=0, to_us=EVER_US):
        works = {it.transfer.workload for it in page if it.transfer.workload}
        origins = await book.archive.origins(works)
        rows += [
            focus.row(it, org, account, origins.get(it.transfer.workload or ""), PLACES)
            for it in page
            if focus.is_cost(it)
        ]
    return rows


def test_rows_of_focus_add_up_to_the_statement(books: list[Book]) -> None:
    kinds: Counter[str | None] = Counter()
    for book in books:
        for org in book.orgs:
            rows = asyncio.run(_rows(book, org))
            assert sum(Decimal(row["BilledCost"] or "") for row in rows) == amount(book.net(org))
            kinds.update(row["x_Kind"] for row in rows)
    assert set(kinds) >= {"usage", "reservation", "payout", "refund"}


def test_each_kind_that_an_org_pays_or_gets_is_a_cost_or_funding() -> None:
    """The others are the house's own, or between accounts that hold what was paid ahead."""
    others = {TransferKind.FEE, TransferKind.DELIVERED, TransferKind.DIVIDED}
    assert {*focus.CATEGORIES, *focus.FUNDING, *others} == set(TransferKind)


def test_quantity_times_price_is_off_by_less_than_a_micro_unit(books: list[Book]) -> None:
    for book in books:
        for org in book.orgs:
            for row in asyncio.run(_rows(book, org)):
                if row["ChargeCategory"] != "Usage":
                    continue
                product = Decimal(row["PricingQuantity"] or "") * Decimal(
                    row["ContractedUnitPrice"] or ""
                )
                off = abs(product - Decimal(row["ContractedCost"] or ""))
                assert off < Decimal("0.0000011"), row


def test_each_row_meets_the_rules_of_focus(books: list[Book]) -> None:
    categories = Counter[str | None]()
    for book in books:
        for org in book.orgs:
            for row in asyncio.run(_rows(book, org)):
                assert not broken(row), (broken(row), row)
                categories[row["ChargeCategory"]] += 1
    assert categories["Usage"] > 9 and categories["Purchase"] > 1, categories


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"BilledCost": "1e3"}, "has not the format of a decimal"),
        ({"BillingCurrency": "credits"}, "has not the format of a currency"),
        ({"ChargePeriodStart": "2026-01-01T00:00:00.5Z"}, "has not the format of a instant"),
        ({"ProviderName": None}, "ProviderName is null"),
        ({"SkuPriceId": None}, "SkuPriceId is null of Usage"),
        ({"PricingCategory": "Committed"}, "Committed without"),
        ({"ConsumedUnit": None}, "ConsumedUnit of Usage is None"),
        ({"SubAccountId": None}, "not null together"),
        ({"PricingQuantity": "7000000"}, "is not ListCost"),
        ({"ServiceSubcategory": "GPUs"}, "ServiceSubcategory is 'GPUs'"),
        ({"Team": "a"}, "no column of FOCUS"),
    ],
)
def test_the_rules_find_what_breaks_them(
    books: list[Book], changes: dict[str, str | None], says: str
) -> None:
    rows = (row for book in books for org in book.orgs for row in asyncio.run(_rows(book, org)))
    row = next(it for it in rows if it["ChargeCategory"] == "Usage")
    assert any(says in each for each in broken(row | changes)), broken(row | changes)


def test_each_row_has_what_focus_wants_of_it(books: list[Book]) -> None:
    never_null = (
        *("BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd"),
        *("BillingPeriodStart", "ChargeCategory", "ChargePeriodEnd", "ChargePeriodStart"),
        *("ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "ProviderName"),
        *("PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory"),
    )
    for book in books:
        for org in book.orgs:
            for row in asyncio.run(_rows(book, org)):
                assert tuple(row) == focus.COLUMNS
                assert not [name for name in never_null if row[name] is None]
                is_priced = row["ChargeCategory"] in ("Usage", "Purchase")
                assert (row["PricingCategory"] is not None) is is_priced
                assert not is_priced or row["PricingQuantity"] is not None
                assert (row["ChargePeriodStart"] or "") < (row["ChargePeriodEnd"] or "")
                if row["ChargeCategory"] == "Usage":
                    assert row["SubAccountId"] and row["Tags"] is not None


MANDATORY = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency"),
    *("BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass"),
    *("ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost"),
    *("EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit"),
    *("ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
)
"""Columns of feature level "Mandatory" in FOCUS 1.2 (specification/columns/*.md of FOCUS_Spec)."""


def test_each_column_that_focus_wants_of_everyone_is_there(books: list[Book]) -> None:
    assert len(MANDATORY) == 21 and set(MANDATORY) <= set(focus.COLUMNS)
    assert {name for name, it in RULES.items() if it.level == "M"} == set(MANDATORY)
    assert {name for name in focus.COLUMNS if not name.startswith("x_")} == set(RULES)
    for book in books:
        for org in book.orgs:
            for row in asyncio.run(_rows(book, org)):
                is_priced = row["ChargeCategory"] in ("Usage", "Purchase")
                # pricingunit.md, pricingquantity.md: not null of use and of purchases.
                assert not is_priced or row["PricingUnit"] == focus.GPU_HOURS
                # chargedescription.md, billingaccountname.md: should not be null.
                assert row["ChargeDescription"] and row["BillingAccountName"]
                # chargeclass.md: "Correction" or null.
                assert row["ChargeClass"] in (None, "Correction")
                # servicecategory.md, chargecategory.md: closed lists.
                assert row["ServiceCategory"] == "Compute"
                assert row["ChargeCategory"] in ("Usage", "Purchase", "Credit", "Adjustment")


def test_a_payout_names_no_guest(books: list[Book]) -> None:
    payouts = [
        row
        for book in books
        for org in book.orgs
        for row in asyncio.run(_rows(book, org))
        if row["x_Kind"] == "payout"
    ]
    assert payouts
    assert all(row["ResourceType"] != "Workload" and not row["SubAccountId"] for row in payouts)


@pytest.mark.parametrize(("by", "label"), [("org", None), ("user", None), ("label", "team")])
def test_showback_adds_up_to_the_statement(
    books: list[Book], by: ShowbackBy, label: str | None
) -> None:
    for book in books:
        for org in book.orgs:
            moved = book.store.moved(
                org_account(org), from_us=0, to_us=EVER_US, until=EVER_US, limit=9_999
            )
            works = {it.workload for it in moved if it.is_paid and it.workload}
            sums = Sums(by, label)
            sums.add("2026-01", org, moved, asyncio.run(book.archive.origins(works)))
            lines = sums.lines()
            assert sum(line.net for line in lines) == amount(book.net(org))
            if by == "user" and any(line.used for line in lines):
                assert any(line.of for line in lines), "use is of a user"


def test_each_workload_is_found_whichever_others_are_asked_for(books: list[Book]) -> None:
    for book in books:
        names = [it.workload for it in book.submitted]
        whole = {it.workload: origin_of(it) for it in book.submitted}
        assert Origins(book.store).of([*names, "w999999", "no"]) == whole
        for step in (2, 3, 7):
            chosen = names[::step]
            assert Origins(book.store).of(chosen) == {name: whole[name] for name in chosen}
        assert {name: Origins(book.store).of([name])[name] for name in names} == whole


def test_a_member_is_of_the_user_of_its_array(books: list[Book]) -> None:
    first: Workload = books[0].submitted[0]
    name = first.workload
    assert Origins(books[0].store).of([f"{name}_17"]) == {f"{name}_17": origin_of(first)}


@settings(max_examples=50)
@given(st.integers(0, 2 * 10**15), st.integers(1, 10**14))
def test_months_cover_a_time_without_a_gap(from_us: int, length_us: int) -> None:
    found = months(from_us, from_us + length_us)
    assert found[0][1] == from_us and found[-1][2] == from_us + length_us
    assert all(first[2] == then[1] for first, then in itertools.pairwise(found))
    for name, begin_us, end_us in found:
        assert f"{instant(begin_us):%Y-%m}" == name == f"{instant(end_us - 1):%Y-%m}"


# ---------------------------------------------------------------- over HTTP


@pytest.fixture(scope="module")
def scene(town: Town) -> tuple[Town, str, str, str]:
    """A town, an org with a reservation, its owner's token and a member's."""
    town.pool()
    org, owner = town.org("5000")
    town.done(town.post("/reservations", {"nodes": 1, "market": "lab", "org": org}))
    return town, org, owner, town.user(org)


def _net(town: Town, org: str) -> Decimal:
    lines = town.done(town.get("/statement", account=f"org/{org}"))["transfers"]
    return -sum(
        (Decimal(it["amount"]) for it in lines if it["kind"] not in focus.FUNDING), Decimal(0)
    )


def test_both_forms_of_the_file_say_the_same(scene) -> None:  # type: ignore[no-untyped-def]
    town, org, owner, _ = scene
    text = town.get("/costs", owner)
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(text.text)))
    whole = town.get("/costs", owner, format="json").json()
    assert [{name: it or "" for name, it in row.items()} for row in whole] == rows
    assert {row["x_Kind"] for row in rows} == {"reservation"}
    assert sum(Decimal(row["BilledCost"]) for row in rows) == _net(town, org)
    assert {row["BillingAccountId"] for row in rows} == {org}
    assert {row["RegionId"] for row in rows if row["x_Kind"] == "reservation"} == {"elsewhere"}


def test_an_operator_sees_all_orgs_or_one_and_an_owner_its_own(scene) -> None:  # type: ignore[no-untyped-def]
    town, org, owner, member = scene
    other, other_owner = town.org("10")
    every = town.done(town.get("/showback", by="org"))["lines"]
    assert [it for it in every if it["org"] == org] == town.done(
        town.get("/showback", by="org", org=org)
    )["lines"]
    assert town.done(town.get("/showback", other_owner))["lines"] == []
    assert town.get("/costs", other_owner, format="json").json() == []
    for path in ("/costs", "/showback"):
        assert town.get(path, owner, org=other).status_code == 403
        assert town.get(path, member).status_code == 403
        assert town.get(path, org="nowhere").status_code == 404


def test_nothing_before_the_beginning_and_no_window_that_is_none(scene) -> None:  # type: ignore[no-untyped-def]
    town, _, owner, _ = scene
    before: dict[str, Any] = {"start": "2020-01-01T00:00:00Z", "end": "2020-02-01T00:00:00Z"}
    assert town.get("/costs", owner, format="json", **before).json() == []
    turned = {"start": before["end"], "end": before["start"]}
    for path in ("/costs", "/showback"):
        assert town.get(path, owner, **turned).status_code == 422
    assert town.get("/showback", owner, start="2020-01-01T00:00:00Z").status_code == 422
    assert town.get("/showback", owner, by="label").status_code == 422
    assert town.get("/showback", owner, by="user", label="team").status_code == 422


def test_both_clients_read_the_file_and_the_sums(scene) -> None:  # type: ignore[no-untyped-def]
    town, org, owner, _ = scene
    with Client(town.url, token=owner) as client:
        text = b"".join(client.export_costs(form="json"))
        (line,) = client.get_showback(by="org").lines
        assert line.net == _net(town, org)
        assert len(list(client.export_costs(org=org))) >= 1

    async def read() -> bytes:
        async with AsyncClient(town.url, token=owner) as client:
            return b"".join([part async for part in client.export_costs(form="json")])

    assert json.loads(asyncio.run(read())) == json.loads(text)


async def no_change(seen: int, *, within_s: float) -> int:
    await asyncio.sleep(within_s)
    return seen


def test_an_export_that_loses_its_place_does_not_end_like_a_whole_one() -> None:
    """Its last message says that more follows; the server then closes the connection."""

    async def play() -> list[dict[str, Any]]:
        viewer = Viewer(
            token="t", user="u", org="o", role=Role.OWNER, pool=None, is_read_only=False
        )
        place = Streams(no_change, most=1, most_per_token=1).open(viewer, lambda: True)
        sent: list[dict[str, Any]] = []

        async def endless() -> AsyncIterator[str]:
            yield "first"
            place.is_taken_away.set()
            await asyncio.Event().wait()

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        async def send(message: Any) -> None:
            sent.append(message)

        await Export(place, endless(), media_type="text/csv")({"type": "http"}, receive, send)
        return sent

    sent = asyncio.run(play())
    assert sent[-1]["body"] == b"first" and sent[-1]["more_body"] is True
