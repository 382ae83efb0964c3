"""The command line. Modules import what they need only when a command runs, so that `parkade`
starts at once.

Exit codes: 0 done, 1 other, 2 usage or login, 3 invalid, 4 not found, 5 denied, 6 try again,
7 refused by the market.
"""


def main() -> None:
    """The `parkade` program."""
    from parkade.cli.app import app
    from parkade.cli.streams import show_control_characters

    show_control_characters()
    app()
