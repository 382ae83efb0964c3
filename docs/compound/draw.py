"""The plots of the explanation, from the formulas; `python docs/compound/draw.py` writes them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from parkade.compound.plots.chart import Axis, Chart, Line, Scale
from parkade.compound.plots.svg import svg
from parkade.compound.theory.coverage import coverage
from parkade.compound.theory.reward import Kind, reward
from parkade.compound.theory.selection import accuracy
from parkade.compound.theory.voting import mixed_majority

FOLDER = Path(__file__).resolve().parent / "images"
KS = sorted({round(10 ** (i / 12)) for i in range(37)})
ACROSS = Axis("candidates a question, K", Scale.LOG)
RIGHT = Axis("answered right", Scale.PERCENT)


def line(name: str, ks: list[int], of: Callable[[int], float], *, is_dashed: bool = False) -> Line:
    """A function of K."""
    return Line(name, tuple((float(k), of(k)) for k in ks), is_dashed=is_dashed)


def ceilings() -> Chart:
    """What false positives do to p = 0.1 with a true positive rate of 0.9."""
    lines = [
        line(f"FPR {100 * fpr:g} %", KS, partial(accuracy, 0.1, 0.9, fpr))
        for fpr in (0, 0.01, 0.05, 0.2, 0.9)
    ]
    return Chart("False positives set a ceiling (p 10 %, TPR 90 %)", ACROSS, RIGHT, tuple(lines))


def votes() -> Chart:
    """Votes over easy and hard questions."""
    odd = [k for k in range(1, 200, 2) if k < 20 or k % 10 == 1]
    mixtures = ((0.6, 0.8, 0.45), (0.5, 0.85, 0.4), (0.9, 0.6, 0.1), (0.3, 0.8, 0.4))
    names = (
        "60 % easy: up to K = 11",
        "50 % easy: up to K = 3",
        "90 % easy: up",
        "30 % easy: down",
    )
    lines = [
        line(name, odd, partial(mixed_majority, *mixture))
        for name, mixture in zip(names, mixtures, strict=True)
    ]
    return Chart("A vote may turn down", Axis("votes", Scale.LOG), RIGHT, tuple(lines))


def spread() -> Chart:
    """Coverage with one p for all, and with the same mean spread over questions."""
    mean = 0.296 / (0.296 + 12.36)
    lines = (
        line("all questions alike", KS, lambda k: accuracy(mean, 1, 0, k), is_dashed=True),
        line("p ~ Beta(0.296, 12.36)", KS, lambda k: coverage(0.296, 12.36, k)),
    )
    return Chart("The mean p promises too much", ACROSS, RIGHT, lines)


def regret() -> Chart:
    """Expected reward where a wrong answer costs something."""
    kinds = (Kind(0.58, 0.87, 1, 0.25), Kind(0.42, 0.13, 1, 0.25))
    few = list(range(1, 13))
    lines = [
        line(f"wrong costs {cost:g}", few, partial(reward, kinds, wrong_value=-cost))
        for cost in (0, 0.7, 1, 2)
    ]
    x, y = Axis("candidates a question, K", Scale.LINEAR), Axis("reward a question", Scale.LINEAR)
    return Chart("The dearer a mistake, the smaller the best K", x, y, tuple(lines))


CHARTS = {"ceilings": ceilings, "votes": votes, "spread": spread, "regret": regret}


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in CHARTS.items():
        (FOLDER / f"{name}.svg").write_text(svg(make()), "utf-8")


if __name__ == "__main__":
    main()
