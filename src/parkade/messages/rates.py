"""How often a person may have a test sent.

An address gets so many in an hour, of all users and receivers that name it together, and so many
are sent for an org. So no member fills another person's mail, nor the queue.
"""

from collections import OrderedDict, deque

from parkade.core.units.time import HOUR_US, MINUTE_US

TO_AN_ADDRESS = 10
OF_AN_ORG = 60


class Rates:
    """Costs a look at those that are an hour old. Not for several threads at once."""

    def __init__(self) -> None:
        self._sent: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()

    def refuse(self, org: str, address: str, now_us: int) -> str | None:
        """Why nothing more is sent there for that org now; None: it is, and counts from here."""
        self._forget(now_us)
        of_org, to_address = ("org", org), ("address", address.lower())
        for key, most, whose in (
            (to_address, TO_AN_ADDRESS, "to this address"),
            (of_org, OF_AN_ORG, f"for {org}"),
        ):
            sent = self._sent.get(key)
            if sent is not None and len(sent) >= most:
                wait_min = -(-(sent[0] + HOUR_US - now_us) // MINUTE_US)
                return f"{most} tests and codes were sent {whose} in an hour; wait {wait_min} min"
        for key in (of_org, to_address):
            self._sent.setdefault(key, deque()).append(now_us)
            self._sent.move_to_end(key)
        return None

    def _forget(self, now_us: int) -> None:
        """What is over an hour old. The key that was sent to last stands last."""
        while self._sent:
            key, sent = next(iter(self._sent.items()))
            if sent[-1] > now_us - HOUR_US:
                break
            del self._sent[key]
        for sent in self._sent.values():
            while sent[0] <= now_us - HOUR_US:
                sent.popleft()
