"""What runs inside a sandbox: the zygote, and the two kinds of process that it forks for a job.

Needs the standard library only, because nothing else is mounted in the sandbox; this folder is
mounted there read-only. The parts: `frames` (messages over a pipe), `plain` (values as data),
`kernel`, `filter` and `jail` (how a forked process gives up its rights), `candidate` (runs the
untrusted code), `tester` (runs the tests), `watch` (waits within limits), `zygote` (forks them).
"""
