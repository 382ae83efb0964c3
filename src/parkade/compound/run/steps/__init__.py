"""What each operator does while it runs: one generator an operator, found in `steps_of`."""

from collections.abc import Callable
from typing import Any

from parkade.compound.network.operators import (
    BestOf,
    Cascade,
    Cluster,
    Ensemble,
    Filter,
    Function,
    Fuse,
    Generate,
    Judge,
    Knockout,
    ModelVerifier,
    Race,
    Rank,
    Refine,
    Repeat,
    Route,
    Verify,
    Vote,
)
from parkade.compound.run.frame import Frame, Steps
from parkade.compound.run.steps import choose, combine, make, model, sieve

#: Operators that work on one candidate at a time even where they stand behind another.
MAPPED = (Generate, Ensemble, Repeat, BestOf, Race, Cascade, Route, Refine)
#: Operators whose steps must hear that more is wanted while they run.
STREAMS = (Generate, Ensemble, Repeat, Filter, Verify)

_STEPS: dict[Any, Callable[[Frame], Steps]] = {
    Generate: make.generate,
    Ensemble: combine.ensemble,
    Repeat: combine.repeat,
    Race: combine.race,
    Cascade: combine.cascade,
    Route: combine.route,
    Function: make.function,
    BestOf: sieve.best_of,
    Filter: sieve.filter_,
    Verify: sieve.verify,
    Vote: choose.vote,
    Cluster: choose.cluster,
    Judge: model.judge,
    Rank: model.rank,
    Knockout: model.knockout,
    Fuse: model.fuse,
    Refine: model.refine,
    ModelVerifier: model.model_verifier,
}


def steps_of(frame: Frame) -> tuple[Steps, bool]:
    """The generator of a frame's operator, and whether it hears of pulls."""
    kind = type(frame.node.operator)
    if frame.upstream is not None and kind in MAPPED:
        return combine.for_each(frame), True
    return _STEPS[kind](frame), kind in STREAMS
