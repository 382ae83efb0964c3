"""No request is larger than its bound, whether or not it says how large it is."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parkade.api.problems import answer
from parkade.api.settings import ApiSettings
from parkade.wire.problems import problem


class BodyBound:
    """An ASGI layer that answers 413 before more than the bound is held in memory."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes requests on within the bound of their path."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._settings.most_body_bytes
        if scope["path"].startswith("/v1/pools/"):
            most = self._settings.most_agent_body_bytes
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > most:
            await _too_large(most)(scope, receive, send)
            return
        taken = 0
        has_begun = False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise _Over
            return message

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _Over:
            if not has_begun:
                await _too_large(most)(scope, receive, send)


class _Over(BaseException):
    """More came than may; not an Exception, so that no handler on the way takes it for a bug."""


def _too_large(most: int) -> ASGIApp:
    return answer(problem("body_too_large", f"the body is larger than {most} bytes"))
