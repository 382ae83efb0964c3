"""Measure, plan and forecast: does verification help, and what does a K cost?

`evaluate` what recorded outcomes say · `calibrate`, `calibration_of` generator and verifier with
intervals · `plan` which K for a goal · `forecast_coverage` coverage beyond what was drawn ·
`AdaptiveStop` K question by question · `gains` one system against another, group by group ·
`cascade` several systems under a budget
"""

from parkade.compound.evaluate.adaptive import AdaptiveStop
from parkade.compound.evaluate.calibration import (
    Calibration,
    Runner,
    calibrate,
    calibration_of,
)
from parkade.compound.evaluate.evaluation import Evaluation, evaluate
from parkade.compound.evaluate.forecast import Forecast, forecast_coverage
from parkade.compound.evaluate.gain import Gain, gains
from parkade.compound.evaluate.outcomes import (
    CandidateOutcome,
    CountsOutcome,
    OutcomesUnreadable,
    encode_outcomes,
    read_outcomes,
)
from parkade.compound.evaluate.planning import Budget, Plan, Target, Worth, plan

__all__ = [
    "AdaptiveStop",
    "Budget",
    "Calibration",
    "CandidateOutcome",
    "CountsOutcome",
    "Evaluation",
    "Forecast",
    "Gain",
    "OutcomesUnreadable",
    "Plan",
    "Runner",
    "Target",
    "Worth",
    "calibrate",
    "calibration_of",
    "encode_outcomes",
    "evaluate",
    "forecast_coverage",
    "gains",
    "plan",
    "read_outcomes",
]
