"""A file of JSON lines is read in batches, and a broken line is named."""

from io import BytesIO

import msgspec
import pytest

from parkade.compound.run.scanning import BATCH_BYTES, DamagedLine, batches

decode = msgspec.json.Decoder(dict[str, str]).decode


def lines_of(count: int) -> list[bytes]:
    return [b'{"n":"%d"}\n' % number for number in range(count)]


def test_every_whole_line_is_read_with_its_place() -> None:
    lines = [*lines_of(40_000), b'{"long":"%s"}\n' % (b"x" * 3 * BATCH_BYTES), *lines_of(3)]
    data = b"".join(lines)
    found: list[bytes] = []
    end = 0
    for batch in batches(BytesIO(data), decode):
        assert batch.places[0] == end
        end = batch.end
        for value, place in zip(batch.values, batch.places, strict=True):
            line = data[place : data.index(b"\n", place) + 1]
            assert msgspec.json.decode(line) == value
            found.append(line)
    assert found == lines
    assert end == len(data)


@pytest.mark.parametrize("whole", [0, 1, 30_000])
@pytest.mark.parametrize("torn", [b"{", b'{"n":"7"}'])
def test_a_torn_last_line_is_left_out(whole: int, torn: bytes) -> None:
    data = b"".join(lines_of(whole))
    read = list(batches(BytesIO(data + torn), decode))
    assert sum(len(batch.values) for batch in read) == whole
    assert max((batch.end for batch in read), default=0) == len(data)


@pytest.mark.parametrize("number", [0, 5, 20_000, 29_999])
@pytest.mark.parametrize("broken", [b"\n", b"{}{}\n", b'{"n":7}\n', b"\x00\n"])
def test_the_first_damaged_line_is_named_by_its_place(number: int, broken: bytes) -> None:
    lines = lines_of(30_000)
    lines[number] = broken
    with pytest.raises(DamagedLine) as raised:
        list(batches(BytesIO(b"".join(lines)), decode))
    assert raised.value.place == len(b"".join(lines[:number]))
