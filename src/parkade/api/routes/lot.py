"""The lot: every node, and what sits there."""

from typing import cast

from fastapi import Request
from fastapi.responses import Response

from parkade.api import routing
from parkade.api.context import Authenticated
from parkade.api.lot_book import LotBook
from parkade.wire import lot as wire

router = routing.router("lot")


@router.get("/lot", response_model=wire.Lot)
async def get_lot(request: Request, context: Authenticated) -> Response:
    """Every node with what sits or waits there: for an operator all of it, else the caller's own
    org's."""
    book = cast(LotBook, request.app.state.lot_book)
    lot = await book.look(context.viewer)
    return Response(lot.model_dump_json(), media_type="application/json")
