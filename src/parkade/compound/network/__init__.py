"""Networks as values: operators, templates, notation, YAML, drawing, estimate, binding.

A network does nothing by itself. `bind` looks up its names, numbers its nodes and refuses what
cannot run; `parkade.compound.run` runs what was bound.
"""

from parkade.compound.network.errors import NetworkError
from parkade.compound.network.operators import (
    BestOf,
    Cascade,
    Chain,
    Cluster,
    Ensemble,
    Filter,
    Function,
    Fuse,
    Generate,
    Judge,
    Knockout,
    ModelVerifier,
    Operator,
    Race,
    Rank,
    Refine,
    Repeat,
    Route,
    Verify,
    Vote,
)

__all__ = [
    "BestOf",
    "Cascade",
    "Chain",
    "Cluster",
    "Ensemble",
    "Filter",
    "Function",
    "Fuse",
    "Generate",
    "Judge",
    "Knockout",
    "ModelVerifier",
    "NetworkError",
    "Operator",
    "Race",
    "Rank",
    "Refine",
    "Repeat",
    "Route",
    "Verify",
    "Vote",
]
