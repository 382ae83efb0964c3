"""Networks of model calls: compose, verify, run within a budget, resume, serve.

Needs no marketplace. To read it, in this order:

1. `values`: questions, calls, candidates, verdicts, which all share.
2. `network`: operators as values, notation and YAML; `binding` looks names up, `loading` reads a
   file.
3. `run.machine`: the state machine of one question, with a worked example; `run.steps` are its
   operators. It decides and does nothing.
4. `run.engine`: one event loop for all machines; `run.journal`, `run.budget` and `run.limiter` are
   what it keeps, and `run.running` is the whole from questions to results.
5. `models` answers calls and `verify` judges candidates; `verify.sandbox` runs code.

On their own, in any order: `theory` (formulas, no I/O), `evaluate` (what a run's outcomes say, and
which K to choose), `lifecycle`, `plots`, `serve` (a network as one OpenAI-compatible model), `show`
and `distil` (what a run left), `shards` (one run over many workers).
"""
