"""Each page as each role: what it shows, and what it keeps from those whose it is not."""

import re

import pytest

from tests.api.town import Town
from tests.console.visitor import Visitor, visitor
from tests.waits import until

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """A server with two orgs of words that are found again, and one workload of each."""
    from tests.api.town import town as running

    with running(tmp_path_factory.mktemp("console")) as town:
        pool = town.pool()
        people: dict[str, Visitor] = {"operator": visitor(town.url, town.operator)}
        for org in ("aurelia", "bertram"):
            town.done(town.post("/orgs", {"org": org}))
            town.done(town.post(f"/orgs/{org}/deposits", {"amount": "7531"}))
            for role in ("owner", "member"):
                name = f"{org}-{role}"
                town.done(town.post("/users", {"user": name, "org": org, "role": role}))
                token = town.done(town.post("/tokens", {"user": name}))["secret"]
                people[name] = visitor(town.url, token)
                if role == "member":
                    town.submit(pool, token, name=f"job-{org}", command=f"run {org} {SCRIPT}")
        yield town, people


def _workload(town: Town, name: str) -> str:
    found = town.done(town.get("/workloads", all="true", name=name))["workloads"]
    return str(found[0]["workload"])


EVERYBODYS = ("/", "/workloads", "/runs", "/reservations", "/market", "/events")


@pytest.mark.parametrize("who", ["operator", "aurelia-owner", "aurelia-member"])
def test_each_role_is_shown_the_pages_that_are_its(scene, who: str) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    for path in EVERYBODYS:
        people[who].text(path)
    people[who].text(f"/workloads/{_workload(town, 'job-aurelia')}")
    may_see = {"/money": who != "aurelia-member"} | dict.fromkeys(
        ("/incidents", "/operate"), who == "operator"
    )
    for path, is_allowed in may_see.items():
        assert people[who].get(path).status_code == (200 if is_allowed else 403), path
        assert (f'href="{path}"' in people[who].text("/")) is is_allowed, path


@pytest.mark.parametrize("who", ["bertram-owner", "bertram-member"])
def test_no_page_tells_an_org_of_another(scene, who: str) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    other = _workload(town, "job-aurelia")
    for path in EVERYBODYS:
        text = people[who].text(path)
        assert "aurelia" not in text, path
        assert f"/workloads/{other}" not in text, path
    for path in (other, f"{other}/output", f"{other}/cancel", f"{other}/bid"):
        assert people[who].get(f"/workloads/{path}").status_code == 404, path
    page = people[who].text("/")
    assert people[who].submit(f"/workloads/{other}/cancel", page).status_code == 404
    assert town.done(town.get(f"/workloads/{other}"))["phase"] != "cancelled"


def test_a_member_cannot_change_the_work_of_another_user(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    mine = _workload(town, "job-aurelia")
    owners = people["aurelia-owner"].text(f"/workloads/{mine}")
    assert f"/workloads/{mine}/cancel" in owners
    token = town.user("aurelia")
    other = visitor(town.url, token)
    assert f"/workloads/{mine}/cancel" not in other.text(f"/workloads/{mine}")
    assert other.get(f"/workloads/{mine}/cancel").status_code == 403
    refused = other.submit(f"/workloads/{mine}/cancel", other.text("/"))
    assert refused.status_code == 403


def test_a_script_in_what_a_user_writes_is_text(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    page = people["operator"].text(f"/workloads/{_workload(town, 'job-aurelia')}")
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_new_limit_is_echoed_with_its_cost_and_set_once(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    mine, person = _workload(town, "job-aurelia"), people["aurelia-owner"]
    page = person.text(f"/workloads/{mine}/bid", limit_price="3.75")
    assert "at most 3.75 an hour" in page
    assert town.done(town.get(f"/workloads/{mine}"))["limit_price"] == "2.50"
    before = town.get("/server").status_code
    assert person.submit(f"/workloads/{mine}/bid", page).status_code == 303
    assert person.submit(f"/workloads/{mine}/bid", page).status_code == 303
    assert before == 200
    assert town.done(town.get(f"/workloads/{mine}"))["limit_price"] == "3.75"
    events = [it for it in town.events(town.operator) if it["type"] == "BidChanged"]
    assert len(events) == 1


def test_an_unreadable_limit_is_said_and_nothing_is_offered(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    mine = _workload(town, "job-aurelia")
    page = people["aurelia-owner"].text(f"/workloads/{mine}/bid", limit_price="cheap")
    assert "is no price" in page and "Set the limit" not in page


def test_a_cordon_is_set_with_its_reason_and_lifted(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene
    operator = people["operator"]
    page = operator.text("/nodes/lab-1/cordon")
    assert "Nothing sits there" in page or "GPUs are held by" in page
    assert operator.submit("/nodes/lab-1/cordon", page, reason="a cable").status_code == 303
    assert "a cable" in operator.text("/operate")
    page = operator.text("/nodes/lab-1/uncordon")
    assert operator.submit("/nodes/lab-1/uncordon", page).status_code == 303
    assert "a cable" not in operator.text("/operate")


def test_a_cordon_of_another_is_named_and_not_offered_to_be_lifted(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    operator = people["operator"]
    (org,) = {
        it["org"] for it in town.done(town.get("/users"))["users"] if it["user"] == "operator"
    }
    town.done(town.post("/users", {"user": "night", "org": org, "role": "operator"}))
    other = town.done(town.post("/tokens", {"user": "night"}))["secret"]
    town.done(town.post("/nodes/lab-2/cordon", {"reason": "a fan"}, other))
    row = operator.text("/operate").partition('id="node-lab-2"')[2].partition("</tr>")[0]
    assert "night: a fan" in row
    assert "/nodes/lab-2/cordon" in row and "/nodes/lab-2/uncordon" not in row
    refused = operator.get("/nodes/lab-2/uncordon")
    assert refused.status_code == 409 and "cordoned by night; only the holder" in refused.text
    page = operator.text("/nodes/lab-2/cordon")
    assert operator.submit("/nodes/lab-2/cordon", page, reason="a cable").status_code == 303
    page = operator.text("/nodes/lab-2/uncordon")
    assert "That of night stays" in page
    assert operator.submit("/nodes/lab-2/uncordon", page).status_code == 303
    town.done(town.post("/nodes/lab-2/uncordon", {}, other))


def test_new_prices_are_shown_beside_the_old_ones_first(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    operator = people["operator"]
    before = town.done(town.get("/prices"))["prices"][0]["pay_as_you_go"]
    page = operator.text("/prices/lab", pay_as_you_go="21.50")
    assert f"{before} becomes 21.50" in page
    assert operator.submit("/prices/lab", page).status_code == 303
    assert town.done(town.get("/prices"))["prices"][0]["pay_as_you_go"] == "21.50"
    assert people["aurelia-owner"].get("/prices/lab").status_code == 403


def test_an_owner_lends_claims_and_gives_up(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    owner = people["bertram-owner"]
    token_page = owner.text("/reservations")
    assert "None." in token_page
    town.done(town.post("/reservations", {"nodes": 2, "market": "lab", "org": "bertram"}))
    page = owner.text("/reservations")
    name = re.findall(r"/reservations/([^/]+)/lend", page)[0]
    lend = owner.text(f"/reservations/{name}/lend")
    assert (
        owner.submit(f"/reservations/{name}/lend", lend, floor="1.25", keep="1").status_code == 303
    )
    assert "1.25" in owner.text("/reservations")
    claim = owner.text(f"/reservations/{name}/claim")
    assert owner.submit(f"/reservations/{name}/claim", claim, nodes="1").status_code == 303
    page = owner.text("/reservations")
    (mine,) = re.findall(r"/claims/(c\d+)/unclaim", page)
    assert owner.submit(f"/claims/{mine}/unclaim", page).status_code == 303
    assert not town.done(town.get("/claims"))["claims"]


def test_what_is_refused_is_a_page_with_its_reason(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene
    response = people["operator"].get("/workloads/w404404")
    assert response.status_code == 404
    assert "there is no workload w404404" in response.text
    assert "text/html" in response.headers["content-type"]


def test_the_money_page_says_what_the_statement_says(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    balance = town.done(town.get("/statement", account="org/aurelia"))["balance"]
    page = people["aurelia-owner"].text("/money")
    assert f"{float(balance):,.2f}" in page.replace("\n", "")
    assert people["aurelia-owner"].get("/money", account="org/bertram").status_code == 403
    people["operator"].text("/money", account="org/bertram")


def test_the_list_of_workloads_is_searched_by_name(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene
    page = people["operator"].text("/workloads", name="bert")
    assert "job-bertram" in page and "job-aurelia" not in page


def test_the_chart_begins_when_there_are_samples(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene
    until(lambda: 'class="chart"' in people["operator"].text("/"))


def test_an_org_and_a_user_are_disabled_with_what_it_does_said_first(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    operator = people["operator"]
    town.done(town.post("/orgs", {"org": "leaves"}))
    town.done(town.post("/orgs/leaves/deposits", {"amount": "12.34"}))
    person = visitor(town.url, town.user("leaves"))
    page = operator.text("/orgs/leaves/disable")
    assert "it runs nothing and claims nothing" in page and "12.34" in page
    assert operator.submit("/orgs/leaves/disable", page).status_code == 303
    assert "/orgs/leaves/enable" in operator.text("/operate")
    assert person.get("/").status_code == 303, "its session ended"
    page = operator.text("/orgs/leaves/enable")
    assert operator.submit("/orgs/leaves/enable", page).status_code == 303
    person.text("/")
    page = operator.text("/users/bertram-member/disable")
    assert operator.submit("/users/bertram-member/disable", page).status_code == 303
    assert people["bertram-member"].get("/").status_code == 303
    page = operator.text("/users/bertram-member/enable")
    assert operator.submit("/users/bertram-member/enable", page).status_code == 303
    owner = people["aurelia-owner"]
    assert owner.get("/orgs/aurelia/disable").status_code == 403
    assert owner.submit("/orgs/bertram/disable", owner.text("/")).status_code == 403
    assert operator.get("/orgs/nowhere/disable").status_code == 404


def test_a_disabled_user_and_its_org_are_deleted_from_the_console(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    operator = people["operator"]
    org, _ = town.org("1")
    (user,) = (it["user"] for it in town.done(town.get("/users"))["users"] if it["org"] == org)
    place, whole = f"/users/{user}/delete", f"/orgs/{org}/delete"
    assert place not in operator.text("/operate"), "it is not disabled"
    refused = operator.submit(whole, operator.text(whole))
    assert refused.status_code == 409 and f"parkade org disable {org}" in refused.text
    for path in (f"/users/{user}/disable", f"/orgs/{org}/disable"):
        assert operator.submit(path, operator.text(path)).status_code == 303
    page = operator.text("/operate")
    assert place in page and whole in page
    assert operator.submit(place, operator.text(place)).status_code == 303
    town.done(town.post(f"/orgs/{org}/disbursements", {"amount": "1", "reason": "it leaves"}))
    assert operator.submit(whole, operator.text(whole)).status_code == 303
    page = operator.text("/operate")
    assert f"user-{user}" not in page and f"org-{org}" not in page
    assert operator.get(f"/money?account=org/{org}").status_code == 200


def test_the_role_of_a_user_is_set_and_holds_for_its_session_at_once(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    operator = people["operator"]
    org, _ = town.org("1")
    user = town.name("user")
    town.done(town.post("/users", {"user": user, "org": org, "role": "member"}))
    person = visitor(town.url, town.done(town.post("/tokens", {"user": user}))["secret"])
    place = f"/users/{user}/role"
    assert place in operator.text("/operate")
    page = operator.text(place)
    assert "<option selected>member</option>" in page
    assert operator.submit(place, page, role="king").status_code == 422
    assert person.get("/operate").status_code == 403
    assert operator.submit(place, page, role="operator").status_code == 303
    person.text("/operate")
    assert person.submit(place, person.text(place), role="owner").status_code == 403, "its own"
    assert operator.submit(place, operator.text(place), role="owner").status_code == 303
    assert person.get("/operate").status_code == 403
    assert operator.get("/users/nobody-here/role").status_code == 404


def test_a_workload_is_found_by_its_id_and_in_small_letters_or_capitals(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    mine, other = _workload(town, "job-aurelia"), _workload(town, "job-bertram")
    person = people["aurelia-member"]
    for text in (mine, "AURELIA", "Job-aur", "job*"):
        assert f'href="/workloads/{mine}"' in person.text("/workloads", name=text), text
    for text in (other, "w99999", "BERTRAM"):
        assert "None has such a name" in person.text("/workloads", name=text), text


def test_what_may_not_be_done_is_not_said_to_be_missing(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    mine = _workload(town, "job-aurelia")
    (org,) = {it["org"] for it in town.done(town.get("/workloads"))["workloads"]} - {"bertram"}
    stranger = visitor(town.url, town.user(org))
    refused = stranger.get(f"/workloads/{mine}/cancel")
    assert refused.status_code == 403 and "is aurelia-member" in refused.text
    assert people["aurelia-member"].get(f"/workloads/{mine}/release").status_code == 409
    assert people["aurelia-member"].get(f"/workloads/{mine}/nonsense").status_code == 404


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_what_is_no_page_is_told_on_a_page_and_to_programs_as_a_problem(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    for path in ("/nonsense", "/workloads/w1/output/more", "/money/<b>"):
        found = people["aurelia-member"].http.get(path, headers=BROWSER)
        assert found.status_code == 404 and "there is no such page" in found.text, path
        assert "Log out" in found.text and "<b>" not in found.text
        assert "default-src 'none'" in found.headers["content-security-policy"]
    stranger = Visitor(town.url).http.get("/nonsense", headers=BROWSER)
    assert stranger.status_code == 404 and "there is no such page" in stranger.text
    for path, headers in (("/v1/nonsense", BROWSER), ("/nonsense", {"Accept": "*/*"})):
        problem = people["operator"].http.get(path, headers=headers)
        assert problem.json()["code"] == "not_found", path


def test_a_new_floor_says_before_whose_seats_end_by_it(fresh: Town) -> None:
    town = fresh
    town.pool()
    _, token = town.org()
    guest = town.submit("lab", token, name="visit", limit_price="3", nodes=1, gpus=2)
    attempt = town.wait_for_attempt("lab", guest)
    assert town.observe("lab", town.running(attempt)).is_success
    operator = visitor(town.url, town.operator)
    page = operator.text("/prices/lab", public_floor="99")
    assert f"{guest} visit (2 GPUs on" in page and "would be told to leave" in page
    assert "is above on demand" in page and "Set these prices" in page
    page = operator.text("/prices/lab", public_floor="0.60")
    assert "nothing leaves its seats by it" in page and "is above on demand" not in page
    for fields, says in (
        ({"public_floor": ""}, "nothing would change"),
        ({"public_floor": "abc", "pay_as_you_go": "20.5"}, "not an amount"),
    ):
        page = operator.get("/prices/lab", **fields).text
        assert says in page and "Set these prices" not in page, fields
    assert 'value="abc"' in page and 'value="20.5"' in page, "what was typed stays"
    own = visitor(town.url, token).text(f"/workloads/{guest}/bid", limit_price="0.01")
    assert f"{guest} visit (2 GPUs on" in own and "is gone within" in own


def test_an_offer_says_before_what_guests_must_bid_and_keeps_what_was_typed(scene) -> None:  # type: ignore[no-untyped-def]
    town, people = scene
    owner = people["aurelia-owner"]
    town.done(town.post("/reservations", {"nodes": 2, "market": "lab", "org": "aurelia"}))
    page = owner.text("/reservations/aurelia/lend", floor="999", keep="1")
    assert "more than on-demand" in page and "Lend so" in page
    for fields in ({"floor": "abc", "keep": "1"}, {"floor": "1", "keep": "-3"}):
        page = owner.get("/reservations/aurelia/lend", **fields).text
        assert 'aria-invalid="true"' in page and "Lend so" not in page
        assert all(f'value="{each}"' in page for each in fields.values())
    page = owner.text("/reservations/aurelia/lend", floor="", keep="")
    assert "it lends nothing more" in page and "Stop lending" in page
    page = owner.get("/reservations/aurelia/lend", floor="1", keep="5").text
    assert page.count("keep 0 to 2 nodes") == 1


def test_an_org_has_one_colour_whoever_looks(scene) -> None:  # type: ignore[no-untyped-def]
    _, people = scene

    def colour(who: str) -> str:
        page = people[who].text("/workloads")
        (found,) = set(re.findall(r'class="badge c(\d)"[^>]*>[^<]*</span><span>bertram<', page))
        return str(found)

    assert colour("operator") == colour("bertram-owner") == colour("bertram-member")


def test_a_node_that_a_person_failed_stands_beside_the_incidents(fresh: Town) -> None:
    fresh.pool()
    operator = visitor(fresh.url, fresh.operator)
    assert "None." in operator.text("/incidents")
    fresh.done(fresh.post("/nodes/lab-3/fail", {"reason": "a burnt cable"}))
    page = operator.text("/incidents")
    assert "a burnt cable" in page and "None was opened" in page and "/events?about=lab-3" in page


def test_nodes_that_an_owner_waits_for_are_not_called_used(fresh: Town) -> None:
    pool, (org, owner), (_, guest) = fresh.pool(2, notice="60s"), fresh.org("9000"), fresh.org()
    fresh.done(fresh.post("/reservations", {"nodes": 2}, owner))
    fresh.done(fresh.post(f"/reservations/{org}/lend", {"floor": "1"}, owner))
    workload = fresh.submit(pool, guest, limit_price="5", nodes=2, gpus=2)
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    fresh.done(fresh.post(f"/reservations/{org}/claims", {"nodes": 2}, owner))
    person = visitor(fresh.url, owner)
    page = person.text("/reservations")
    assert "2 of them waited for" in page and "waits now" in page


def test_the_page_of_an_array_leads_to_its_members(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    array = fresh.submit(pool, owner, name="sweep", array="0-9%3")
    attempt = fresh.wait_for_attempt(pool, f"{array}_1")
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    person = visitor(fresh.url, owner)
    page = person.text(f"/workloads/{array}")
    for index in range(3):
        assert f'href="/workloads/{array}_{index}"' in page
    assert f'href="/workloads/{array}_3"' not in page, "it is not open yet"
    for absent in ("It has not started yet", "Output of rank", "attempts", "name a member"):
        assert absent not in page, absent
    assert "older than what this page reads" not in person.text(f"/workloads/{array}_1")
    listed = person.text("/workloads", array=array, all="true")
    assert f"/workloads/{array}_2" in listed and f'"/workloads/{array}">{array}</a>' in listed
    assert f'href="/workloads/{array}"' not in person.text("/").partition('id="needs"')[2]
