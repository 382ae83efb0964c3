"""From the wire's pools and supplies to the core's."""

from parkade.api.translate.terms import terms_of
from parkade.core.fleet.market import InstanceType
from parkade.core.state import commands
from parkade.wire import pools as wire


def open_pool(pool: wire.OpenPool, *, by: str) -> commands.OpenPool:
    """The command that opens a pool."""
    return commands.OpenPool(
        by=by,
        pool=pool.pool,
        site=pool.site,
        supplier=pool.supplier,
        engine=pool.engine,
        supply=supply_of(pool, pool=pool.pool),
    )


def supply_of(supply: wire.Supply, *, pool: str) -> commands.Supply:
    """The core's supply of the wire's."""
    opens = None
    if supply.instance_type is not None and supply.terms is not None:
        opens = commands.NewMarket(
            instance_type=InstanceType(**supply.instance_type.model_dump()),
            terms=terms_of(supply.terms),
        )
    fabrics = sorted((fabric, tuple(nodes)) for fabric, nodes in supply.fabrics.items())
    return commands.Supply(market=supply.market or pool, opens=opens, fabrics=tuple(fabrics))
