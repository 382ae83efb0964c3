import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.plots.chart import Axis, CannotDraw, Chart, Line, Scale
from parkade.compound.plots.png import png
from parkade.compound.plots.svg import HEIGHT, WIDTH, svg
from parkade.compound.plots.ticks import ranges, wording

ACROSS, UP = Axis("candidates K", Scale.LOG), Axis("solved", Scale.PERCENT)


def chart(*lines: Line, x: Axis = ACROSS, y: Axis = UP) -> Chart:
    return Chart("a <title> & more", x, y, lines)


RISING = Line("verified", ((1, 0.03), (10, 0.26), (100, 0.9)), ((0.02, 0.04), (0.2, 0.3), (0.8, 1)))
FLAT = Line("vote", ((1, 0.03), (10, 0.04), (100, 0.04)), is_dashed=True)

values = st.floats(1e-6, 1e9)
lines = st.builds(
    Line,
    name=st.text(max_size=9),
    band=st.just(()),
    is_dashed=st.booleans(),
    points=st.lists(st.tuples(values, values), min_size=1, max_size=6).map(
        lambda points: tuple(sorted(points))
    ),
)


@given(st.lists(lines, min_size=1, max_size=8), st.sampled_from([Scale.LOG, Scale.LINEAR]))
def test_every_point_lies_inside_the_picture(drawn: list[Line], scale: Scale) -> None:
    shown = chart(*drawn, y=Axis("tokens", scale))
    root = ElementTree.fromstring(svg(shown))
    for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= WIDTH
        assert 0 <= float(circle.attrib["cy"]) <= HEIGHT
    for axis in ranges(shown):
        assert axis.low <= axis.marks[0] < axis.marks[-1] <= axis.high * (1 + 1e-9)
        assert 2 <= len(axis.marks) <= 10


def test_a_mark_that_rounds_past_an_end_stands_on_it() -> None:
    across, _ = ranges(chart(Line("", ((1.0000000000000002e-06, 1.0),))))
    assert across.low <= across.marks[0] < across.marks[-1] <= across.high


def test_names_do_not_lie_on_each_other() -> None:
    same = [Line(f"line {i}", ((1, 0.001), (10, 0.002 * (i % 3)))) for i in range(8)]
    root = ElementTree.fromstring(svg(chart(*same)))
    heights = sorted(
        float(text.attrib["y"])
        for text in root.iter("{http://www.w3.org/2000/svg}text")
        if (text.text or "").startswith("line ")
    )
    assert len(heights) == 8
    assert all(b - a >= 15.9 for a, b in pairwise(heights))
    assert heights[-1] <= HEIGHT


def test_a_picture_is_self_contained_and_the_same_every_time() -> None:
    text = svg(chart(RISING, FLAT))
    assert text == svg(chart(RISING, FLAT))
    assert "a &lt;title&gt; &amp; more" in text
    assert not re.search(r"href|<script|@import|url\(", text)
    assert text.count("stroke-dasharray") == 1
    assert text.count("fill-opacity") == 1


def test_png_is_a_picture_of_the_same_chart() -> None:
    content = png(chart(RISING, FLAT))
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
    assert (width, height) == (1140, 630)


@pytest.mark.parametrize(
    ("value", "scale", "word"),
    [
        (0.4, Scale.PERCENT, "40 %"),
        (1_000, Scale.LOG, "1,000"),
        (1e7, Scale.LOG, "10^7"),
        (2.5e9, Scale.LINEAR, "2.5e9"),
        (0.0001, Scale.LOG, "10^-4"),
        (0, Scale.LINEAR, "0"),
    ],
)
def test_marks_read_as_people_write_them(value: float, scale: Scale, word: str) -> None:
    assert wording(value, scale) == word


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(CannotDraw, match="1 to 8 lines"):
        svg(chart())
    with pytest.raises(CannotDraw, match="has 0 points"):
        svg(chart(Line("x", ())))
    with pytest.raises(CannotDraw, match="not above 0 on the axis 'candidates K'"):
        png(chart(Line("x", ((0, 1),))))
    with pytest.raises(CannotDraw, match="not finite"):
        svg(chart(Line("x", ((1, float("nan")),))))
    with pytest.raises(CannotDraw, match="band of another length"):
        svg(chart(Line("x", ((1, 1),), ((0, 1), (0, 1)))))
