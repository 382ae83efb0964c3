import importlib.util
from pathlib import Path

import pytest

from parkade.sim.replay.quotes import read_quotes
from parkade.sim.replay.scenario import QuotesFile, TraceFile
from parkade.sim.replay.tables import BadData, read_columns
from parkade.sim.replay.traces import read_trace

HEADER = "vc,time,quota_gpus,busy_gpus,queued_gpus\n"
GIVEN = TraceFile(file="trace.csv")
QUOTES = QuotesFile(file="prices.csv", gpu_model="H100_SXM")


def row(tenant: str = "Acme", minute: int = 0, quota: str = "16", busy: int = 3) -> str:
    return f"{tenant},2026-01-01 00:{minute:02}:00,{quota},{busy},1\n"


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    file = folder / "trace.csv"
    file.write_text(header + "".join(rows))
    return file


def test_a_trace_is_read_as_it_is(tmp_path: Path) -> None:
    file = write(tmp_path, row(minute=1, busy=9), row(minute=0))
    trace = read_trace(file, GIVEN, gpus_per_node=8)
    assert [(it.tenant, it.quota_gpus, it.busy) for it in trace.tenants] == [("acme", 16, (3, 9))]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ((), "no rows"),
        ((row(minute=0), row(minute=2)), "2 rows for 3 minutes"),
        ((row(), row()), "2 rows for 1 minutes"),
        ((row(quota="16"), row(minute=1, quota="24")), "the quota of tenant 'Acme' changes"),
        ((row(quota="15"),), "not whole nodes"),
        ((row(busy=17),), "busier than its quota"),
        ((row(quota="many"),), "no number"),
        ((row("Acme"), row("ACME")), "only in upper and lower case"),
        ((row("a/b"),), "cannot be an org"),
        (("acme,yesterday,16,1,1\n",), "no instant"),
        (("acme,2026-01-01 00:00:30,16,1,1\n",), "no full minute"),
        (("acme,2026-01-01 00:00:00,16\n",), "3 values, not 5"),
    ],
)
def test_a_trace_that_cannot_be_replayed_is_refused(
    tmp_path: Path, rows: tuple[str, ...], says: str
) -> None:
    with pytest.raises(BadData, match=says):
        read_trace(write(tmp_path, *rows), GIVEN, gpus_per_node=8)


def test_days_are_cut_from_the_trace(tmp_path: Path) -> None:
    rows = [
        f"acme,2026-01-{1 + minute // 1440:02} {minute // 60 % 24:02}:{minute % 60:02}:00,"
        f"16,{minute // 1440},0\n"
        for minute in range(3 * 1440)
    ]
    file = write(tmp_path, *rows)
    one = read_trace(file, TraceFile(file="trace.csv", first_day=1, days=1), gpus_per_node=8)
    assert one.minutes == 1440 and set(one.tenants[0].busy) == {1}
    with pytest.raises(BadData, match="ends before its day 3"):
        read_trace(file, TraceFile(file="trace.csv", first_day=3), gpus_per_node=8)


def test_copies_of_a_tenant_live_its_minutes_from_others_on(tmp_path: Path) -> None:
    file = write(tmp_path, *(row(minute=minute, busy=minute) for minute in range(4)))
    given = TraceFile(file="trace.csv", copies=2)
    trace = read_trace(file, given, gpus_per_node=8)
    assert {it.tenant: it.busy for it in trace.tenants} == {
        "acme": (0, 1, 2, 3),
        "acme-2": (2, 3, 0, 1),
    }
    assert trace.quota_gpus == 32
    with pytest.raises(BadData, match="rename that one"):
        read_trace(write(tmp_path, row("acme"), row("acme-2")), given, gpus_per_node=8)
    with pytest.raises(BadData, match=r"^trace\.csv: a copy would be called 'acme-2', as another"):
        read_trace(write(tmp_path, row("acme"), row("acme-2")), given, gpus_per_node=8)
    with pytest.raises(
        BadData, match=rf"^trace\.csv: a copy would be called '{'a' * 62}-2', which"
    ):
        read_trace(write(tmp_path, row("a" * 62)), given, gpus_per_node=8)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="is no file"):
        read_columns(tmp_path / "none.csv", ("a",))
    (tmp_path / "text.txt").write_text("a")
    with pytest.raises(BadData, match=r"neither \.csv nor \.parquet"):
        read_columns(tmp_path / "text.txt", ("a",))
    with pytest.raises(BadData, match="has no column 'a'; it has vc, time"):
        read_columns(write(tmp_path), ("a",))


def test_parquet_without_pyarrow_is_refused_in_words(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is not None:
        pytest.skip("pyarrow is installed")
    (tmp_path / "trace.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadData, match="pip install"):
        read_columns(tmp_path / "trace.parquet", ("a",))


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), tmp_path / "t.parquet")
    assert read_columns(tmp_path / "t.parquet", ("b", "a")) == {"b": ["x", "y"], "a": [1, 2]}
    with pytest.raises(BadData, match="has no column 'c'"):
        read_columns(tmp_path / "t.parquet", ("c",))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadData, match="cannot be read"):
        read_columns(tmp_path / "broken.parquet", ("a",))


def test_only_quotes_of_one_gpu_that_can_be_prices_are_used(tmp_path: Path) -> None:
    lines = ["gpu_model,gpu_count,rental_type,price_median_usd"]
    lines += [f"H100_SXM,1,spot,{1 + place / 10}" for place in range(10)]
    lines += ["H100_SXM,8,spot,16", "H100_SXM,1,on_demand,9", "H100_SXM,1,spot,", "A100,1,spot,1"]
    lines += ["H100_SXM,1,spot,0", "H100_SXM,1,spot,-1"]
    (tmp_path / "prices.csv").write_text("\n".join(lines) + "\n")
    assert read_quotes(tmp_path / "prices.csv", QUOTES) == tuple(1 + it / 10 for it in range(10))
    with pytest.raises(BadData, match="0 quotes of one H200"):
        read_quotes(tmp_path / "prices.csv", QUOTES.model_copy(update={"gpu_model": "H200"}))
