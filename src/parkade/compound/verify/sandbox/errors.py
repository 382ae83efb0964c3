"""What can go wrong with a sandbox itself; a bad candidate is a verdict and no error."""

ACCEPTANCE = "I accept that untrusted code runs with all my rights"


class SandboxUnavailable(Exception):
    """No sandbox can be had on this machine; the message says why and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Untrusted code is not run, because no sandbox can be had: {why[:1_000]}. Install"
            " bubblewrap (Debian, Ubuntu: apt-get install bubblewrap) and see"
            " docs/compound/verify-code-safely.md. To run the code without protection, set"
            f" allow_unsandboxed={ACCEPTANCE!r}."
        )


class UnfitTests(Exception):
    """The tests of a question cannot be run, whatever the candidate; the message says why."""


class JobTooLarge(Exception):
    """The code and calls of a job are longer than a sandbox takes; the message says the bound."""
