"""Why a workload or claim was moved, in words: names of other orgs are shown to operators only."""

from typing import Any, assert_never

from parkade.core.workloads.moves import (
    AsCounted,
    Cheaper,
    Drained,
    ForClaim,
    ForFloors,
    ForKeptNodes,
    ForWorkload,
    Healed,
    MoveCause,
    OtherMarket,
)


def says_move(cause: MoveCause, org: str | None) -> str:
    """For an org; None is an operator, who sees every name."""
    match cause:
        case ForWorkload(workload=name):
            who = name if _is_shown(cause.org, org) else "a newcomer of another org"
            return f"moved so that {who} fits"
        case ForClaim(claim=name):
            who = f"claim {name}" if _is_shown(cause.org, org) else "an owner of another org"
            return f"moved so that {who} fits"
        case ForKeptNodes(reservation=name):
            who = f"reservation {name}" if _is_shown(cause.org, org) else "an owner of another org"
            return f"moved so that the nodes fit that {who} keeps"
        case ForFloors():
            return "moved because a price does not cover the floor there any more"
        case Cheaper():
            return "moved for a lower floor, as its spec asks"
        case Healed():
            return "moved because a node of it failed or takes no work"
        case Drained():
            return "moved because a node of it is being drained"
        case AsCounted():
            return "moved because no smaller change seats all winners"
        case OtherMarket(market=market):
            return f"moved because it lost its seats in {market}, and won others"
        case _:
            assert_never(cause)


def move_details(cause: MoveCause, org: str | None) -> dict[str, Any]:
    """The kind, and for whom where that may be seen."""
    found: dict[str, Any] = {"kind": str(cause.__struct_config__.tag)}
    match cause:
        case ForWorkload(workload=name) if _is_shown(cause.org, org):
            found["workload"] = name
        case ForClaim(claim=name) if _is_shown(cause.org, org):
            found["claim"] = name
        case ForKeptNodes(reservation=name) if _is_shown(cause.org, org):
            found["reservation"] = name
        case OtherMarket(market=market):
            found["market"] = market
    return found


def _is_shown(owner: str, org: str | None) -> bool:
    return org is None or owner == org
