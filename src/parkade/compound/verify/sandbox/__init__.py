"""Runs untrusted Python: warm, within hard limits, with nothing left between jobs.

`pool` has the `Sandbox` that callers use; `room` is one bubblewrap sandbox with a zygote inside;
`plan` is the command that starts it; `jobs`, `limits` and `errors` are values; `inside` is what
runs in the sandbox. The theory of operation stands in `pool`.
"""
