"""Workloads in containers of Charliecloud on a real cluster."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import parkade
from parkade.ports import Checkpoint, Unsupported
from tests.engines.slurm_place import SlurmPlace, place_on
from tests.engines.trial import attempt_of, order_in, output_of, released, run, until
from tests.slurm_cluster import Slurm, missing

TEMPLATE = "ch-run --bind {data} {image} --"
PARTS = ("bash", "cat", "date", "mv", "sleep", "touch")


def lacking() -> list[str]:
    """What keeps these tests from running here."""
    return missing() or [it for it in ("ch-run", "ldd", *PARTS) if shutil.which(it) is None]


pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        bool(lacking()),
        reason=f"{', '.join(lacking())}: see tools/system-packages",
    ),
]


def make_image(folder: Path) -> Path:
    """A root file system of a few programs, and a file by which it is known."""
    for name in ("bin", "dev", "etc", "home", "proc", "run", "sys", "tmp", "usr/bin", "var/tmp"):
        (folder / name).mkdir(parents=True)
    for name in ("passwd", "group", "hosts", "resolv.conf", "machine-id"):
        (folder / "etc" / name).touch()
    (folder / "etc" / "image").write_text("torch 25.10\n")
    for name in PARTS:
        program = shutil.which(name)
        assert program is not None
        shutil.copy(program, folder / "bin" / name)
        linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        for word in linked.stdout.split():
            if word.startswith("/") and not (folder / word.lstrip("/")).exists():
                (folder / word.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, folder / word.lstrip("/"))
    return folder


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_image(tmp_path_factory.mktemp("image") / "torch")


@pytest.fixture
def place(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmPlace]:
    with place_on(cluster, tmp_path / "pool", container=TEMPLATE) as made:
        yield made


def test_a_gang_runs_in_its_image_saves_at_its_notice_and_goes_on(
    place: SlurmPlace, image: Path
) -> None:
    saves = (
        "cat /etc/image; echo rank $PARKADE_NODE_RANK of $PARKADE_NODES gpus $CUDA_VISIBLE_DEVICES;"
        ' if [ -n "$PARKADE_RESUME_STEP" ]; then exit 0; fi; d=$PARKADE_CHECKPOINT_DIR;'
        ' report() { [ $PARKADE_NODE_RANK = 0 ] || return 0; echo "{\\"step\\": 7, \\"at\\":'
        ' \\"$(date -u +%FT%TZ)\\"}" > $d/new; mv $d/new $d/.parkade.json; };'
        " trap 'cat $PARKADE_NOTICE_FILE; report; exit 85' TERM;"
        " touch $d/up.$PARKADE_NODE_RANK; while :; do sleep 0.05; done"
    )

    async def body() -> None:
        engine = place.engine()
        first = attempt_of(saves, nodes=2, gpus=2, image=str(image), workdir="/")
        await engine.launch(first)
        folder = place.checkpoints(first)
        await until(lambda: len(list(folder.glob("up.*"))) == 2)
        await engine.stop(first.attempt, order_in(60, 120))
        seen = await released(engine, first)
        output = (await output_of(engine, first)).decode()
        assert [one.code for one in seen.exits] == [85, 85], output
        assert isinstance(seen.checkpoint, Checkpoint) and seen.checkpoint.step == 7
        assert output.startswith("torch 25.10\nrank 0 of 2 gpus 0,1\n")
        assert '"cause":"outbid"' in output, "the notice is read in the container"
        again = attempt_of(
            saves, nodes=2, gpus=2, image=str(image), workdir="/", workload=first.workload,
            attempt=f"{first.workload}.2", generation=2,
        )  # fmt: skip
        await engine.launch(again)
        assert [one.code for one in (await released(engine, again)).exits] == [0, 0]

    run(body())


def test_an_image_that_is_not_there_fails_with_the_containers_own_words(place: SlurmPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of("exit 0", image="/no/such/image")
        await engine.launch(attempt)
        seen = await released(engine, attempt)
        assert all(one.code not in (0, None) for one in seen.exits)
        assert b"/no/such/image" in await output_of(engine, attempt)

    run(body())


def test_a_pool_without_a_template_refuses_an_image_by_name(
    cluster: Slurm, tmp_path: Path, image: Path
) -> None:
    with place_on(cluster, tmp_path / "plain") as plain:
        engine = plain.engine()
        assert engine.capabilities().unsupported_keys == ("image",)
        with pytest.raises(Unsupported, match="image: this pool runs no containers"):
            engine.validate(attempt_of("exit 0", image=str(image)))
    with place_on(cluster, tmp_path / "able", container=TEMPLATE) as able:
        assert able.engine().capabilities().unsupported_keys == ()


STANDS_IN = """#!/bin/bash
# Stands in for a srun with pyxis: takes its options of containers, and lets Charliecloud enter.
options=() image= mounts=()
while [[ $1 == --* ]]; do
    case $1 in
        --container-image=*) image=${1#*=} ;;
        --container-mounts=*) IFS=, read -ra given <<< "${1#*=}"
            for mount in "${given[@]}"; do mounts+=(--bind "$mount"); done ;;
        *) options+=("$1") ;;
    esac
    shift
done
echo "$image" >> @told@
exec srun "${options[@]}" ch-run "${mounts[@]}" "$image" -- "$@"
"""


def whole_image(folder: Path, mounts: set[Path]) -> Path:
    """A root of its own with this machine's programs below it, and places for mounts."""
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path(f"/{name}").is_symlink():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(f"usr/{name}")
    places = {Path(f"/{name}") for name in ("dev", "etc", "home", "proc", "sys", "tmp", "usr")}
    for place in sorted(places | mounts):
        (folder / str(place).lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name in ("passwd", "group", "hosts", "resolv.conf", "machine-id"):
        (folder / "etc" / name).touch()
    (folder / "etc" / "image").write_text("torch 25.10\n")
    return folder


@pytest.mark.skipif(not Path("/bin").is_symlink(), reason="/bin is no link into /usr here")
def test_members_and_ranks_run_in_an_image_that_srun_enters(cluster: Slurm, tmp_path: Path) -> None:
    source = Path(parkade.__file__).parent.parent
    data = tmp_path / "pool"
    mounts = {Path("/usr"), data, source, Path(sys.prefix), Path(sys.base_prefix)}
    image = whole_image(tmp_path / "torch", mounts)
    wrapper, told = tmp_path / "pyxis" / "srun", tmp_path / "told"
    wrapper.parent.mkdir()
    wrapper.write_text(STANDS_IN.replace("@told@", str(told)))
    wrapper.chmod(0o755)
    shown = ",".join(f"{it}:{it}" for it in sorted(mounts))
    template = f"{wrapper} --container-image={{image}} --container-mounts={shown}"
    saves = (
        "cat /etc/image; echo rank $PARKADE_NODE_RANK gpus $CUDA_VISIBLE_DEVICES;"
        " trap 'cat $PARKADE_NOTICE_FILE; exit 85' TERM;"
        " touch $PARKADE_CHECKPOINT_DIR/up.$PARKADE_NODE_RANK; while :; do sleep 0.05; done"
    )

    async def body(place: SlurmPlace) -> None:
        engine = place.engine()
        first = attempt_of(saves, nodes=2, gpus=2, image=str(image), workdir="/")
        assert f"# the step: {wrapper} --container-image={image}" in engine.render(first)
        await engine.launch(first)
        folder = place.checkpoints(first)
        await until(lambda: len(list(folder.glob("up.*"))) == 2)
        await engine.stop(first.attempt, order_in(60, 120))
        seen = await released(engine, first)
        output = (await output_of(engine, first)).decode()
        assert [one.code for one in seen.exits] == [85, 85], output
        assert output.startswith("torch 25.10\nrank 0 gpus 0,1\n")
        assert '"cause":"outbid"' in output, "the notice is read in the container"
        bare = attempt_of("test ! -e /etc/image; exit $?", workdir="/")
        await engine.launch(bare)
        assert [one.code for one in (await released(engine, bare)).exits] == [0]
        assert told.read_text() == f"{image}\n", "a workload without an image is in none"

    with place_on(cluster, data, container=template) as place:
        run(body(place))


def test_an_image_that_srun_cannot_enter_is_interrupted_before_any_rank_ran(
    cluster: Slurm, tmp_path: Path
) -> None:
    wrapper = tmp_path / "srun"
    wrapper.write_text("#!/bin/bash\necho no such image >&2\nexit 1\n")
    wrapper.chmod(0o755)

    async def body(place: SlurmPlace) -> None:
        engine, attempt = place.engine(), attempt_of("exit 0", image="/no/such/image")
        await engine.launch(attempt)
        seen = await released(engine, attempt)
        assert seen.started_us is None and not seen.is_keeper_lost
        assert all(one.code is None and one.signal is None for one in seen.exits)
        assert "no such image" in seen.engine_state

    with place_on(
        cluster, tmp_path / "pool", container=f"{wrapper} --container-image={{image}}"
    ) as place:
        run(body(place))
