"""Which words a rank runs by in a container, and that a user adds none to them."""

from pathlib import Path

import pytest

from parkade.engines.local import containers
from parkade.engines.local.engine import LocalEngine
from parkade.ports import RankExit, Unsupported
from tests.engines.conftest import NODES, LocalPlace
from tests.engines.trial import attempt_of, output_of, released, run

APPTAINER = "apptainer exec --nv --bind {data} {image}"


def filled(template: str, image: str | None = "/images/torch") -> tuple[str, ...]:
    attempt = attempt_of("true", image=image)
    return containers.fill(
        containers.parse(template), attempt, data=Path("/shared/box"), home="/home/ann"
    )


@pytest.mark.parametrize(
    ("template", "image", "words"),
    [
        (APPTAINER, "/i/t", ["apptainer", "exec", "--nv", "--bind", "/shared/box", "/i/t"]),
        (APPTAINER, None, []),
        ("run --image={image}", "a#b:25.10", ["run", "--image=a#b:25.10"]),
        ("run {image}", "~/t.sif", ["run", "/home/ann/t.sif"]),
        ("run {image}", "{data}", ["run", "{data}"]),
        ("run -w {workdir} {image} --", "t", ["run", "-w", "/tmp", "t", "--"]),
        ("run 'a b' {image}", "t", ["run", "a b", "t"]),
    ],
)
def test_an_image_is_put_into_the_pools_words(
    template: str, image: str | None, words: list[str]
) -> None:
    assert list(filled(template, image)) == words


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("apptainer exec", "say where the image goes"),
        ("srun --container-image={image} --overlap", "options of containers alone"),
        ("srun --container-image {image}", "options of containers alone"),
        ("srun --containers={image}", "options of containers alone"),
        ("srun --container-mounts={data}:{data}", "say where the image goes"),
        ("{image}", "begins with a program"),
        ("run {image} {user}", "there is no {user}"),
        ("run {image} {}", "there is no {}"),
        ("run {image} {data.parent}", "there is no {data.parent}"),
        ("run 'a {image}", "No closing quotation"),
    ],
)
def test_a_template_is_refused_with_what_is_wrong(template: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("{", "\\{").replace("}", "\\}")):
        containers.parse(template)


@pytest.mark.parametrize(
    "template",
    [
        "srun --container={image}",
        "/opt/slurm/bin/srun --container-image={image} --container-mounts={data}:{data}",
        "srun --container-image={image} --no-container-mount-home",
    ],
)
def test_a_srun_that_knows_containers_is_for_slurm_alone(place: LocalPlace, template: str) -> None:
    assert containers.is_srun(containers.parse(template))
    plain = place.engine()
    with pytest.raises(ValueError, match="srun is Slurm's"):
        LocalEngine(
            pool=plain.pool, data=plain.folders.data, nodes=NODES, clock=plain.clock,
            machine=plain.machine, runs_as_root=True, container=template,
        )  # fmt: skip


def test_without_a_template_an_image_is_refused_by_name() -> None:
    assert filled("", None) == ()
    with pytest.raises(Unsupported, match="image: this pool runs no containers"):
        filled("")


def test_a_pool_says_that_it_takes_no_image_until_it_has_a_template(place: LocalPlace) -> None:
    assert place.engine().capabilities().unsupported_keys == ("image",)
    able = with_template(place).capabilities()
    assert able.unsupported_keys == () and able.has_containers


def test_ranks_run_by_the_template(place: LocalPlace) -> None:
    async def body() -> None:
        engine = with_template(place)
        attempt = attempt_of("echo in $BOX rank $PARKADE_NODE_RANK", image="torch:25.10", nodes=2)
        assert "['env', 'BOX=torch:25.10', '/bin/bash', '-c'" in engine.render(attempt)
        await engine.launch(attempt)
        seen = await released(engine, attempt)
        assert seen.exits == tuple(RankExit(rank=it, code=0, signal=None) for it in range(2))
        assert await output_of(engine, attempt) == b"in torch:25.10 rank 0\n"

    run(body())


def with_template(place: LocalPlace) -> LocalEngine:
    plain = place.engine()
    made = LocalEngine(
        pool=plain.pool, data=plain.folders.data, nodes=NODES, clock=plain.clock,
        machine=plain.machine, runs_as_root=True, container="env BOX={image}",
    )  # fmt: skip
    place.made.append(made)
    return made
