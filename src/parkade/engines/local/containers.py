"""Decides by which words a rank runs in a container: a pool's own command, with the image put in.

A pool's operator writes the command once (`apptainer exec --nv {image}`); a user names an image and
nothing else, so no user adds an option to it. What the words start must go on as the rank itself:
the same user, environment and processes below it, which is how ranks are asked to save.

Example: `ch-run --bind {data} {image} --` with the image `/images/torch` and the pool's folder
`/shared/box` runs a rank as `ch-run --bind /shared/box /images/torch -- /bin/bash -c COMMAND`.

A template that begins with srun is another thing: options of a plugin of Slurm's (decision 151).
"""

import re
import shlex
from pathlib import Path
from string import Formatter

from parkade.engines.local.environment import at_home
from parkade.ports import DesiredAttempt, Unsupported

Words = tuple[str, ...]
PLACES = ("image", "data", "workdir")
"""What stands in braces: the workload's image, the pool's data folder, where the rank starts."""
STEP_OPTION = re.compile(r"--(no-)?container(-[a-z-]+)?(=|$)")
NO_TEMPLATE = "image: this pool runs no containers; leave it out, or name a market that does"


def parse(template: str) -> tuple[str, ...]:
    """The words of a template; ValueError where it is none. Empty for no template."""
    words = tuple(shlex.split(template))
    names = [
        name for word in words for _, name, _, _ in Formatter().parse(word) if name is not None
    ]
    strange = sorted(set(names) - set(PLACES))
    if strange:
        raise ValueError(f"container: there is no {{{strange[0]}}}; there are {', '.join(PLACES)}")
    if words and "image" not in names:
        raise ValueError("container: say where the image goes, as in `apptainer exec {image}`")
    if words and "{" in words[0]:
        raise ValueError("container: it begins with a program, not with what a user says")
    if is_srun(words):
        strange = [word for word in words[1:] if not STEP_OPTION.match(word)]
        if strange:
            raise ValueError(
                "container: srun takes options of containers alone here, each as one word"
                f" (`--container-image={{image}}`), not {strange[0]!r}"
            )
    return words


def is_srun(template: tuple[str, ...]) -> bool:
    """Whether it is a srun that knows containers, with its options: these go to the step in which
    the ranks' keepers run, so that keepers and ranks are in the container together."""
    return bool(template) and template[0].rpartition("/")[2] == "srun"


def fill(
    template: tuple[str, ...], attempt: DesiredAttempt, data: Path, home: str
) -> tuple[str, ...]:
    """The words before a rank's own; none without an image. Unsupported without a template."""
    image = attempt.image
    if image is None:
        return ()
    if not template:
        raise Unsupported(NO_TEMPLATE)
    given = {
        "image": at_home(image, home) if image.startswith("~") else image,
        "data": str(data),
        "workdir": at_home(attempt.workdir, home),
    }
    return tuple(word.format(**given) for word in template)
