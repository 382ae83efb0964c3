"""Reasons for refusing a request: a closed list that is also the API code and the docs' entry."""

import enum

import msgspec


class Reason(enum.StrEnum):
    """One word for each refusal; never renamed, only added to."""

    INVALID = "invalid"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    DENIED = "denied"
    UNAUTHENTICATED = "unauthenticated"
    NOT_YET = "not_yet"
    UNSUPPORTED = "unsupported"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    OVER_CAP = "over_cap"
    NO_CAPACITY = "no_capacity"
    UNFENCED = "unfenced"
    RESERVATION_FULL = "reservation_full"
    RESERVATION_ENDED = "reservation_ended"
    TOO_LARGE = "too_large"
    LIMIT_REQUIRED = "limit_required"
    NOTICE_TOO_SHORT = "notice_too_short"
    ALREADY_ENDED = "already_ended"
    CORDONED_BY_ANOTHER = "cordoned_by_another"
    BUSY = "busy"
    TOO_MANY = "too_many"
    CONFLICT = "conflict"
    CHANGED = "changed"
    CLOCK_JUMPED = "clock_jumped"
    INTERNAL = "internal"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A user's request was understood and refused; `detail` says what to do about it.

    `field` is the place in the request (`spec.limit_price`), where there is one.
    """

    reason: Reason
    detail: str
    field: str | None = None
