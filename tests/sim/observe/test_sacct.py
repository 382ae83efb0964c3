from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parkade.sim.observe.jobs import NEVER, Kind
from parkade.sim.observe.lines import MOST_LINE_BYTES
from parkade.sim.observe.sacct import MOST_EXAMPLES, read_jobs
from parkade.sim.replay.tables import BadData
from tests.sim.observe.traces import BEGIN_S, HEADER, row, write_sacct


def test_a_job_is_read_with_its_shape_and_times(tmp_path: Path) -> None:
    jobs, reading = read_jobs(write_sacct(tmp_path, row(1, at_s=1, start_s=5, end_s=65, gpus=4)))
    assert (jobs.gpus[0], jobs.cpus[0], jobs.nodes[0]) == (4, 16, 1)
    assert (jobs.eligible_s[0] - BEGIN_S, jobs.start_s[0] - BEGIN_S) == (1, 5)
    assert (jobs.limit_s[0], jobs.kind[0]) == (3600, Kind.RAN)
    assert not reading.left_out and not reading.noted


def test_steps_are_left_out_and_counted(tmp_path: Path) -> None:
    steps = [row(1, JobIDRaw=f"1.{name}") for name in ("batch", "extern", "0", "interactive")]
    jobs, reading = read_jobs(write_sacct(tmp_path, row(1), *steps))
    assert len(jobs) == 1
    assert list(reading.left_out.values()) == [4]


def test_a_pending_array_is_a_job_for_each_task(tmp_path: Path) -> None:
    waiting = row(2, JobID="2_[0-9:3,20%2]", State="PENDING", Start="Unknown", End="Unknown",
                  AllocTRES="", NodeList="None assigned")  # fmt: skip
    jobs, reading = read_jobs(write_sacct(tmp_path, row(1), waiting))
    assert list(jobs.kind) == [Kind.RAN, *[Kind.PENDING] * 5]
    assert jobs.start_s[1] == jobs.end_s[1] == NEVER
    assert reading.noted


def test_what_runs_what_left_the_queue_and_requeues_are_told_apart(tmp_path: Path) -> None:
    rows = [
        row(1, State="RUNNING", End="Unknown"),
        row(2, State="CANCELLED by 1000", Start="None", AllocTRES="", NodeList="None assigned"),
        row(3, State="CANCELLED by 1000", AllocTRES=""),
        row(4, State="REQUEUED"),
        row(4, at_s=60, start_s=70, end_s=90),
        row(5, JobID="5+0"),
        row(6, State="TIMEOUT"),
    ]
    jobs, reading = read_jobs(write_sacct(tmp_path, *rows))
    ran = Kind.RAN
    assert list(jobs.kind) == [Kind.RUNNING, Kind.LEFT, Kind.LEFT, ran, ran, ran, ran]
    assert sum(reading.noted.values()) == 2


def test_what_ran_in_parkades_own_fence_is_no_accounts_reservation(tmp_path: Path) -> None:
    names = ("own", "parkade_lab", "parkade_lab:17", "")
    rows = [row(number, Reservation=name) for number, name in enumerate(names, start=1)]
    jobs, reading = read_jobs(write_sacct(tmp_path, *rows))
    own = jobs.reservations.number("own")
    assert list(jobs.reservation) == [own, 0, 0, 0]
    (count,) = reading.noted.values()
    assert count == 2


def test_jobs_without_gpus_and_without_alloctres_are_read(tmp_path: Path) -> None:
    plain = row(1, ReqTRES="cpu=4,mem=1G,node=1", AllocTRES="cpu=4,mem=1G,node=1")
    jobs, _ = read_jobs(write_sacct(tmp_path, plain))
    assert (jobs.gpus[0], jobs.cpus[0]) == (0, 4)


def test_rows_that_no_rule_knows_are_counted_and_a_few_are_shown(tmp_path: Path) -> None:
    bad = [row(2, State="DREAMING\x1b[31m"), row(3, Submit="tomorrow"), row(4, end_s=-5), "a|b"]
    jobs, reading = read_jobs(write_sacct(tmp_path, row(1), *bad * 10))
    assert len(jobs) == 1
    assert reading.left_out["rows that no rule knows"] == 40
    assert len(reading.examples) == MOST_EXAMPLES
    assert not any("\x1b" in example for example in reading.examples)


def test_a_last_line_that_is_cut_off_is_no_error(tmp_path: Path) -> None:
    cut = row(2)[:30]
    jobs, reading = read_jobs(write_sacct(tmp_path, row(1), cut, end=""))
    assert len(jobs) == 1
    assert list(reading.left_out) == ["the last line, which is cut off"]


def test_a_line_without_end_costs_no_memory_and_loses_no_other(tmp_path: Path) -> None:
    long = "x" * (3 * MOST_LINE_BYTES)
    jobs, reading = read_jobs(write_sacct(tmp_path, row(1), long, row(2)))
    assert len(jobs) == 2
    assert reading.left_out["lines longer than any row"] == 1


@pytest.mark.parametrize("delimiter", ["\t", ";", "^"])
def test_other_delimiters_are_found(tmp_path: Path, delimiter: str) -> None:
    file = write_sacct(tmp_path, row(1))
    file.write_text(file.read_text().replace("|", delimiter))
    assert len(read_jobs(file)[0]) == 1


def test_a_trailing_delimiter_is_no_column(tmp_path: Path) -> None:
    file = write_sacct(tmp_path, row(1))
    file.write_text(file.read_text().replace("\n", "|\n"))
    assert len(read_jobs(file)[0]) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (row(1), "leave out -n"),
        (HEADER.replace("|", ",") + "\n", "commas"),
        (HEADER.replace("Eligible|", "") + "\n", "Eligible"),
        (HEADER + "\n", "no jobs"),
    ],
)
def test_a_wrong_file_is_refused_with_the_command(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "jobs.sacct"
    file.write_text(text)
    with pytest.raises(BadData, match=says) as refused:
        read_jobs(file)
    assert "sacct -a -X -D -P" in str(refused.value)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 19),
    st.text(st.characters(codec="utf-8", exclude_characters="|\n\r"), max_size=30),
)
def test_any_value_in_any_column_is_read_or_counted(tmp_path: Path, place: int, value: str) -> None:
    hostile = row(2).split("|")
    hostile[place] = value
    jobs, reading = read_jobs(write_sacct(tmp_path, row(1), "|".join(hostile)))
    assert reading.rows == 2
    assert len(jobs) + sum(reading.left_out.values()) >= 2
    assert len({len(jobs.kind), len(jobs.hosts), len(jobs.model), len(jobs.start_s)}) == 1
