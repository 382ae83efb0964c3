"""Why a workload or claim with seats got others: a closed union, written for ever in the journal.

A kind is added and never renamed. Names of others are shown to their own org and to operators only
(`api.views`), so each kind that names one says whose it is.
"""

import msgspec


class ForWorkload(
    msgspec.Struct, frozen=True, kw_only=True, tag="for_workload", tag_field="kind", gc=False
):
    """It gave way so that a workload fits."""

    workload: str
    org: str


class ForClaim(
    msgspec.Struct, frozen=True, kw_only=True, tag="for_claim", tag_field="kind", gc=False
):
    """It gave way so that a claim fits."""

    claim: str
    org: str


class ForKeptNodes(
    msgspec.Struct, frozen=True, kw_only=True, tag="for_kept", tag_field="kind", gc=False
):
    """It gave way so that the nodes fit that a reservation keeps."""

    reservation: str
    org: str


class ForFloors(
    msgspec.Struct, frozen=True, kw_only=True, tag="floors", tag_field="kind", gc=False
):
    """The seating repaired what prices no longer cover, or what a second clearing would move."""


class Cheaper(msgspec.Struct, frozen=True, kw_only=True, tag="cheaper", tag_field="kind", gc=False):
    """For a lower floor elsewhere, because its spec says `moves: cheaper`."""


class Healed(msgspec.Struct, frozen=True, kw_only=True, tag="healed", tag_field="kind", gc=False):
    """A node of it failed, or takes no work any more."""


class Drained(msgspec.Struct, frozen=True, kw_only=True, tag="drained", tag_field="kind", gc=False):
    """A node of it is being drained."""


class AsCounted(
    msgspec.Struct, frozen=True, kw_only=True, tag="fallback", tag_field="kind", gc=False
):
    """No repair seated all winners, so they went where the allocation counted them."""


class OtherMarket(
    msgspec.Struct, frozen=True, kw_only=True, tag="other_market", tag_field="kind", gc=False
):
    """It lost its seats in this market, and won others in the next of its list."""

    market: str


MoveCause = (
    ForWorkload
    | ForClaim
    | ForKeptNodes
    | ForFloors
    | Cheaper
    | Healed
    | Drained
    | AsCounted
    | OtherMarket
)
"""Every cause of a move."""
