"""The HTTP API's models and the workload spec, as pydantic checks them at the door.

Nothing here knows the core: money is a `Decimal`, an instant an aware `datetime`, a span a
`timedelta`; on the wire they are the texts `2.50`, `2026-01-31T12:00:00Z` and `90s`.
"""
