from datetime import timedelta

import pytest

from parkade.wire.pools import OpenPool
from parkade.wire.yaml import Unreadable, parse

POOL = """
pool: lab
site: berlin
instance_type: {name: h100, gpu_model: H100, gpus_per_node: 8, memory_gib: 2048, cpus: 224}
fabrics: {f1: [n1, n2], f2: [n3]}
terms: {pay_as_you_go: 12, reservation_rate: 4, public_floor: 8, fee: 2/7, notice: 8s}
"""


def test_a_pool_needs_only_prices_and_has_documented_terms_for_the_rest() -> None:
    terms = parse(POOL, OpenPool).terms
    assert terms is not None
    assert terms.notice == timedelta(seconds=8)
    assert terms.minimum_charge is None and terms.switching_credit == "1/20"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("[n3]", "[n1]", "fabrics"),
        ("[n3]", "[]", "fabrics"),
        ("fee: 2/7", "fee: 8/7", "terms.fee"),
        ("fee: 2/7", "fee: 0.3", "terms.fee"),
        ("notice: 8s", "notice: 0s", "terms.notice"),
        ("public_floor: 8", "floor: 8", "terms.public_floor"),
        ("gpus_per_node: 8", "gpus_per_node: 0", "instance_type.gpus_per_node"),
    ],
)
def test_what_is_wrong_with_a_pool_is_told_with_its_place(old: str, new: str, place: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(POOL.replace(old, new), OpenPool)
    assert place in [fault.place for fault in caught.value.problem.errors]
