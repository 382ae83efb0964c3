"""Time as the event loop lets it pass."""

import asyncio

from parkade.ports import Flag


class LoopTimer:
    """Implements `ports.Timer`."""

    async def sleep(self, seconds: float) -> None:
        """See `ports.Timer`."""
        await asyncio.sleep(seconds)

    async def wait(self, flag: Flag, seconds: float) -> bool:
        """See `ports.Timer`."""
        try:
            async with asyncio.timeout(seconds):
                await flag.wait()
        except TimeoutError:
            return flag.is_set()
        return True
