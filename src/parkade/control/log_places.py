"""What an agent answered to the question where output of an instant begins."""

import msgspec

from parkade.core.units.refusal import Reason, Refusal
from parkade.ports import LogPlace

_places = msgspec.json.Decoder(LogPlace)


def place_of(chunk: bytes, pool: str, attempt: str, rank: int, at_us: int) -> int | Refusal:
    """The offset, or why it is not known. An agent of a version that knows no such question sends
    the output itself."""
    try:
        place = _places.decode(chunk)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        place = None
    if place is None or (place.attempt, place.rank, place.at_us) != (attempt, rank, at_us):
        return _unknown(f"the agent of pool {pool} does not say when output came; upgrade it")
    if place.refused is not None or place.offset < 0:
        return _unknown(place.refused or f"the agent of pool {pool} answers {place.offset}")
    return place.offset


def _unknown(why: str) -> Refusal:
    detail = f"it is not known when this was printed: {why[:200]}; leave `since` out, or use --tail"
    return Refusal(reason=Reason.UNSUPPORTED, detail=detail, field="since")
