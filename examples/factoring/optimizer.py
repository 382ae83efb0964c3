"""One step of Adam with decoupled weight decay on flat vectors, and its schedule of rates.

Plain arithmetic, in place: the same state and gradient give the same bits.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from examples.factoring.model import PARAMETER_COUNT, initial_weights, views

Array = npt.NDArray[Any]

FIRST_MEMORY = 0.9
SECOND_MEMORY = 0.99
TINY = 1e-8
WARM_UP_STEPS = 200
LOWEST_SHARE = 0.01

# Only the layers that guess p are decayed: they have less to learn than room to memorise.
DECAYED = ("first", "second", "smaller")


class State(NamedTuple):
    """All that training carries from step to step; `step` is the number of steps done."""

    step: int
    weights: Array
    mean: Array
    square: Array


def fresh_state(seed: int) -> State:
    """The state before the first step."""
    zeros = np.zeros(PARAMETER_COUNT, np.float32)
    return State(0, initial_weights(seed), zeros, zeros.copy())


def decay_mask() -> Array:
    """1 where a parameter is decayed, else 0."""
    mask = np.zeros(PARAMETER_COUNT, np.float32)
    named = views(mask)
    for name in DECAYED:
        named[name][:] = 1
    return mask


def rate(step: int, steps: int, peak: float) -> float:
    """The learning rate of a step counted from 0: a short rise, then half a cosine down."""
    rise = min(1.0, (step + 1) / min(WARM_UP_STEPS, max(1, steps // 10)))
    fall = max(LOWEST_SHARE, (1 + float(np.cos(np.pi * step / steps))) / 2)
    return peak * rise * fall


def advance(state: State, gradient: Array, *, rate: float, decay: Array) -> State:
    """Take one step; the vectors of `state` are changed in place and handed on.

    `decay` is the mask times the strength of the decay.
    """
    step = state.step + 1
    state.mean[:] += np.float32(1 - FIRST_MEMORY) * (gradient - state.mean)
    state.square[:] += np.float32(1 - SECOND_MEMORY) * (gradient * gradient - state.square)
    mean_scale = np.float32(rate / (1 - FIRST_MEMORY**step))
    square_scale = np.float32(1 / (1 - SECOND_MEMORY**step))
    state.weights[:] *= 1 - np.float32(rate) * decay
    spread = np.sqrt(state.square * square_scale) + np.float32(TINY)
    state.weights[:] -= mean_scale * state.mean / spread
    return state._replace(step=step)
