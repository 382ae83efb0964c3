"""The commands of `parkade compound` by name."""

import typer

from parkade.cli.compound import (
    calibrate,
    collect,
    distil,
    draw,
    evaluate,
    lifecycle,
    outcomes,
    plan,
    run,
    serve,
    show,
    submit,
    worker,
)

compound = typer.Typer(
    help="Networks of model calls; docs/compound/first-network.md is the tutorial.",
    no_args_is_help=True,
)
compound.command("draw")(draw.draw)
compound.command("run")(run.run)
compound.command("calibrate")(calibrate.calibrate)
compound.command("plan")(plan.plan)
compound.command("outcomes")(outcomes.outcomes)
compound.command("evaluate")(evaluate.evaluate)
compound.command("lifecycle")(lifecycle.lifecycle)
compound.command("serve")(serve.serve)
compound.command("show")(show.show)
compound.command("distil")(distil.distil)
compound.command("submit")(submit.submit)
compound.command("worker")(worker.worker)
compound.command("collect")(collect.collect)
