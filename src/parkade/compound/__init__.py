"""Networks of model calls: compose, verify, run within a budget, resume, serve.

Needs no marketplace. The parts: `values` (what all share), `network` (operators as values),
`models` (what answers a call), `run` (one event loop, a state machine per question, journal and
budget), `serve` (a network as one OpenAI-compatible model), `show` and `distil` (what a run left).
"""
