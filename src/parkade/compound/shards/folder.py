"""The shared folder of a sharded run: its files, and how questions become shards.

    batch.json                  what is run, version 1; written last, so it says that all is there
    questions/0000.jsonl …      the questions of each shard, with their ids, in their order
    log/00000001.json …         what was agreed (`state`)
    workers/NAME                signs of life (`liveness`)
    shards/0000/2/              an ordinary run's folder: the second generation of shard 0
    results.jsonl, journal.jsonl, run.json    all shards together (`merging`)

A question that stands twice in the file, with the same id and the same content, is one question.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import msgspec

from parkade.compound.questions import read_questions
from parkade.compound.run.described import NoSuchRun
from parkade.compound.run.ownership import BATCH, JOURNAL, RUN, FolderError, refuse_run
from parkade.compound.run.recording import RESULTS
from parkade.compound.values import KEY_BYTES, Question, question_digest
from parkade.compound.wrong_values import in_words

VERSION = 1
FORMAT = "parkade compound batch"
#: As many shards as 16 nodes share out well.
USUAL_SHARDS = 256
MOST_SHARDS = 10_000
COPY_BYTES = 1 << 20


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What is run; written anew where the same questions are submitted from other files."""

    format: str
    version: int
    #: Absolute paths.
    network: str
    questions: str
    count: int
    #: Questions of one shard; the last may have fewer.
    shard_size: int
    #: Of the questions' digests in their order.
    digest: str

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-self.count // self.shard_size)

    def asked(self, shard: int) -> int:
        """Questions of a shard."""
        return min(self.shard_size, self.count - shard * self.shard_size)


class SharedFolder:
    """Paths in the folder of a sharded run, and copies between them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log"
        self.workers = root / "workers"

    def read(self) -> Batch:
        """What is run here; NoSuchRun if nothing is."""
        path = self.root / BATCH
        try:
            batch = msgspec.json.decode(path.read_bytes(), type=Batch)
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchRun(
                f"{self.root} holds no submitted run; `parkade compound submit … --out` makes one"
            ) from None
        except msgspec.DecodeError as error:
            raise FolderError(f"{path} cannot be read: {in_words(error)}") from None
        if batch.format != FORMAT or batch.version > VERSION:
            raise FolderError(f"{path} was written by a newer version of Parkade")
        return batch

    def make(self, network: Path, questions: Path, shard_size: int | None) -> Batch:
        """Split the questions, or find that it was done; FolderError if others were."""
        found = self.read() if (self.root / BATCH).exists() else None
        if found is not None:
            shard_size = shard_size or found.shard_size
        draft = self.root / f".questions-{os.getpid()}"
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, draft, ignore_errors=True)
            count, digest, size = _split(_distinct(questions), questions, draft, shard_size)
            batch = Batch(
                format=FORMAT,
                version=VERSION,
                network=str(network.resolve()),
                questions=str(questions.resolve()),
                count=count,
                shard_size=size,
                digest=digest,
            )
            if found is None:
                refuse_run(self.root)
                return self._write(batch, draft)
        if (found.digest, found.shard_size) != (digest, size):
            what = "other questions" if found.digest != digest else "another shard size"
            raise FolderError(f"{self.root} holds a run over {what}; choose another --out")
        if batch != found:
            # Workers load the network from the file that was submitted last.
            self._describe(batch)
        return batch

    def discard(self) -> None:
        """Take away what `make` and the first entries of the log made, and the folder if it is
        empty then."""
        (self.root / BATCH).unlink(missing_ok=True)
        for folder in (self.root / "questions", self.log, self.workers, self.root / "shards"):
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.root.rmdir()

    def questions(self, shard: int) -> Path:
        """The questions of a shard."""
        return self.root / "questions" / _name(shard)

    def generations(self, shard: int) -> list[int]:
        """Which of them left a folder, the latest first."""
        with contextlib.suppress(FileNotFoundError):
            names = [path.name for path in self._shard(shard).iterdir()]
            return sorted((int(name) for name in names if name.isdigit()), reverse=True)
        return []

    def run_folder(self, shard: int, generation: int) -> Path:
        """The run of one generation of a shard."""
        return self._shard(shard) / str(generation)

    def latest(self, shard: int) -> Path | None:
        """The run to read a shard's answers from."""
        found = self.generations(shard)
        return self.run_folder(shard, found[0]) if found else None

    def begin(self, shard: int, generation: int, worker: str) -> Path:
        """A folder for a new generation, with all that the one before wrote.

        That stays where it is: a slower worker may be about to copy it.
        """
        draft = self._shard(shard) / f".{worker}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        earlier = [each for each in self.generations(shard) if each < generation]
        if earlier:
            # Results first: a result's lines stand in the journal before it is written. The
            # description of a longer journal would know a start that a shorter one has not.
            for name in (RUN, RESULTS, JOURNAL):
                _copy(self.run_folder(shard, earlier[0]) / name, draft / name)
        run_folder = self.run_folder(shard, generation)
        draft.rename(run_folder)
        return run_folder

    def _shard(self, shard: int) -> Path:
        return self.root / "shards" / f"{shard:04}"

    def _write(self, batch: Batch, draft: Path) -> Batch:
        shutil.rmtree(self.root / "questions", ignore_errors=True)
        draft.rename(self.root / "questions")
        for folder in (self.log, self.workers, self.root / "shards"):
            folder.mkdir(exist_ok=True)
        self._describe(batch)
        return batch

    def _describe(self, batch: Batch) -> None:
        replace(self.root / BATCH, msgspec.json.format(msgspec.json.encode(batch), indent=2))


def replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, durable."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _name(shard: int) -> str:
    return f"{shard:04}.jsonl"


def _distinct(path: Path) -> Iterator[tuple[Question, str]]:
    seen = set()
    for question in read_questions(path):
        digest = question_digest(question)
        short = int(digest, 16)
        if short not in seen:
            seen.add(short)
            yield question, digest


def _split(
    questions: Iterable[tuple[Question, str]], path: Path, draft: Path, size: int | None
) -> tuple[int, str, int]:
    """Write the shards; how many questions, the digest of all, and the size of a shard.

    Without a size all are counted first, in a second reading of the file.
    """
    if str(path) == "-":
        raise FolderError("the questions must be a file: they are read again")
    if size is None:
        size = max(1, -(-sum(1 for _ in _distinct(path)) // USUAL_SHARDS))
    digest = blake2b(digest_size=KEY_BYTES)
    draft.mkdir(parents=True)
    left = iter(questions)
    count = shard = 0
    while part := list(islice(left, size)):
        if shard >= MOST_SHARDS:
            raise FolderError(f"more than {MOST_SHARDS} shards; choose a larger --shard-size")
        with (draft / _name(shard)).open("wb") as file:
            for question, each in part:
                digest.update(each.encode())
                row = {"id": question.id, "prompt": question.prompt, **question.fields}
                file.write(msgspec.json.encode(row) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        count += len(part)
        shard += 1
    if count == 0:
        raise FolderError(f"{path} holds no question")
    return count, digest.hexdigest(), size


def _copy(source: Path, target: Path) -> None:
    """Whole lines only; nothing where there is no source."""
    try:
        with source.open("rb") as read, target.open("wb") as written:
            shutil.copyfileobj(read, written, COPY_BYTES)
            written.flush()
            os.fsync(written.fileno())
    except FileNotFoundError:
        return
