"""Why a workload waits, ended or left, in words: one sentence for each reason."""

from parkade.api.translate.scalars import instant
from parkade.core.fleet.market import Market
from parkade.core.units.money import format_amount
from parkade.core.workloads.life import Cause, Why

# One sentence for each `why` that somebody waits for; others are shown as they stand.
SENTENCES: dict[str, str] = {
    Why.NEXT_CLEARING: "the next clearing decides",
    Why.PLACED: "its seats are promised and not free yet",
    Why.HELD: "it is held; release it",
    Why.DEPENDENCY: "others have to start or end first",
    Why.DEPENDENCY_FAILED: "what it waited for can no longer come about",
    Why.BACK_OFF: "it left its seats early several times and waits before it is tried again",
    Why.NOT_ADMITTED: "the engine there takes no job of its user until an administrator lets it in;"
    " it is tried again now and then, and costs nothing meanwhile",
    Why.NO_ROOM: "no fabric has room for its whole shape",
    Why.OUTBID: "others bid more for the room that there is, or as much and come first",
    Why.BELOW_FLOOR: "its limit is below what the capacity goes for at least",
    Why.PROTECTED: "the room is held by workloads that may run for the market's min_runtime first",
    Why.RESERVATION_FULL: "its org uses all of the reservation already",
    Why.RESERVATION_NOT_IN_FORCE: "its reservation has not begun, or is over",
    Why.INSUFFICIENT_FUNDS: "its account cannot set aside what the next minutes may cost",
    Why.USER_CAP: "its user's cap leaves less than the next minutes may cost",
    Why.ORG_CAP: "its org's cap leaves less than the next minutes may cost",
    Why.USER_GPUS: "its user holds as many GPUs as its cap allows, or too many for this one",
    Why.ORG_GPUS: "its org holds as many GPUs as its cap allows, or too many for this one",
    Why.ORG_STARTS: "its org started as many in this minute as it may",
    Why.MAX_SPEND: "its max_spend leaves less than the next minutes may cost; parkade change raises"
    " it",
    Why.MAX_DURATION: "it reached its max_duration",
    Why.RESERVATION_ENDED: "its reservation ended",
    Why.CANCELLED: "it was cancelled",
    Why.FAILED: "it failed",
    Why.SUCCEEDED: "it is done",
    Cause.OUTBID: "others bid more for the room that there is, or as much and come first",
    Cause.BELOW_FLOOR: "its limit is below what the capacity goes for at least",
    Cause.RECLAIMED: "the owner of its seats came back",
    Cause.MOVED: "it is moved to other seats",
    Cause.RESIZED: "it restarts on more nodes",
    Cause.HEALED: "a node of it broke",
    Cause.BUDGET: "it cannot pay for the next minutes, or is beyond a cap",
    Cause.OPERATOR: "the operator told it to leave",
    Cause.EXPIRED: "its time is over",
    Cause.LAPSED: "the control plane was silent for its lease",
    Cause.NOT_STARTED: "no process of it started within the market's start limit",
}


def advice(price_micros: int | None, market: Market | None, gpus: int) -> str:
    """The limit that would win `gpus` GPUs a node, as the end of a sentence. Where on-demand costs
    less: what it costs, and why a part of a node may cost so much. Empty where none is known."""
    if price_micros is None:
        return ""
    says = f"; a limit of {format_amount(price_micros)} would win"
    if market is None or price_micros <= market.terms.pay_as_you_go_micros:
        return says
    whole = market.instance_type.gpus_per_node
    if gpus < whole and not market.terms.shared_nodes:
        says += f" (orgs do not share a node here: it must outbid all {whole} GPUs of one)"
    return f"{says}, and on-demand costs {format_amount(market.terms.pay_as_you_go_micros)}"


def falls_back_words(at_us: int) -> str:
    """When spot work becomes on-demand, as the end of a sentence."""
    begins = f"{instant(at_us):%Y-%m-%d %H:%M:%S} UTC"
    return f"becomes on-demand at {begins}, or later with each checkpoint"
