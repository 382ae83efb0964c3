"""Verifiers: what says whether a candidate answers a question.

`extract` finds the answer in free text; `exact`, `python_tests`, `command` and `function` are
verifiers behind the `Verifier` protocol of `values`; `clusters` groups candidates by what they
do; `sandbox` runs untrusted code.
"""
