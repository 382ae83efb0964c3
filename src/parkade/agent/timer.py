"""Time as the event loop lets it pass."""

import asyncio


class LoopTimer:
    """Implements `ports.Timer`."""

    async def sleep(self, seconds: float) -> None:
        """See `ports.Timer`."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """See `ports.Timer`."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return event.is_set()
        return True
