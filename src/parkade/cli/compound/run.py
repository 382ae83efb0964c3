"""`parkade compound run`: a network over a file of questions, resumable and within a budget."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="The summary as JSON, on one line.")]


def run(
    network: Annotated[Path, typer.Argument(help="YAML or Python; docs/compound.md has its form.")],
    questions: Annotated[Path, typer.Argument(help="JSON lines, .gz or plain; - is stdin.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the run; the same one goes on.", file_okay=False)
    ],
    budget: Annotated[str | None, typer.Option(help="Most money in all, like 5.00.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens in all.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Most calls in all.")] = None,
    width: Annotated[int, typer.Option(help="Most in flight for one question.", min=1)] = 16,
    limit: Annotated[int | None, typer.Option(help="Only the first so many.", min=1)] = None,
    patience: Annotated[
        float, typer.Option(help="Seconds without any answer until a failing model ends it.", min=0)
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Answer questions with a network; killed at any moment, the same command goes on."""
    import signal
    import sys
    from itertools import islice

    from parkade.cli.compound.budgets import budget_of
    from parkade.cli.compound.failing import failing
    from parkade.cli.compound.progress import display, exit_code, print_notice, print_summary
    from parkade.compound.loading import load
    from parkade.compound.network.binding import bind
    from parkade.compound.network.question_faults import check_questions
    from parkade.compound.questions import read_questions
    from parkade.compound.run.running import Progress, Settings, Watch
    from parkade.compound.run.running import run as run_network

    # A notice ends a run as Ctrl-C does: everything is written, and nothing stays promised.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun: list[Progress] = []
    with failing(as_json=as_json, stopped=lambda: begun[0].summary() if begun else None):
        loaded = load(network)
        total = None
        # A stream can be read only once.
        if str(questions) != "-":
            ready = bind(loaded.network, loaded.names)
            total = check_questions(ready, islice(read_questions(questions), limit))
        settings = Settings(
            budget=budget_of(budget, max_tokens, max_calls),
            width=width,
            patience_s=patience,
            server=loaded.server,
            # A stream may go on for long.
            counts_not_begun=total is not None,
        )
        with display(total, settings.budget, is_shown=not as_json) as shown:

            def on_start(progress: Progress) -> None:
                begun.append(progress)
                shown(progress)

            summary = run_network(
                loaded.network,
                islice(read_questions(questions), limit),
                names=loaded.names,
                out=out,
                settings=settings,
                watch=Watch(on_start=on_start, on_notice=print_notice),
            )
    print_summary(summary, out, as_json=as_json)
    if summary.kept_aside and not as_json:
        print(
            f"note: this folder has run another network, or this one with other code: "
            f"{summary.kept_aside:,} results of it are kept aside",
            file=sys.stderr,
        )
    if code := exit_code(summary):
        raise SystemExit(code)
