"""The Python client: `Client` and `AsyncClient` over one description of every call.

    with Client("https://parkade.example", token=token) as client:
        workload = client.submit(spec)
        for event in client.events():
            ...

Calls that change something carry an idempotency key and are repeated with it until they are
answered, so that a lost answer never starts or charges anything twice.
"""

from parkade.client.asynchronous import AsyncClient
from parkade.client.errors import (
    Changed,
    Denied,
    Failed,
    Invalid,
    NotFound,
    ParkadeError,
    Refused,
    TryAgain,
    Unauthenticated,
    Unreachable,
)
from parkade.client.synchronous import Client
from parkade.wire.spec import WorkloadSpec

__all__ = [
    "AsyncClient",
    "Changed",
    "Client",
    "Denied",
    "Failed",
    "Invalid",
    "NotFound",
    "ParkadeError",
    "Refused",
    "TryAgain",
    "Unauthenticated",
    "Unreachable",
    "WorkloadSpec",
]
