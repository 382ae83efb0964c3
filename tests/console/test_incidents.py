"""An incident on the console: its story, and what a person may do with its node."""

from parkade.control.clock import SystemClock
from tests.api.test_mars import Reporter
from tests.api.town import Town
from tests.console.test_reserving import seen
from tests.console.visitor import visitor
from tests.core.repairing.sick import verdict


def test_an_open_incident_leads_to_what_may_be_done_with_its_node(fresh: Town) -> None:
    reporter = Reporter(fresh)
    assert reporter.report(verdict("lab-3", at_us=SystemClock().now_us())) == 204
    (incident,) = fresh.done(fresh.get("/mars/incidents"))["incidents"]
    person = visitor(fresh.url, fresh.operator)
    page = person.text(f"/incidents/{incident['incident']}")
    assert "Story" in page and 'href="/nodes/lab-3/restore"' in page
    assert "takes work again" in seen(person.text("/nodes/lab-3/restore"))
    reporter.repaired()
    page = person.text(f"/incidents/{incident['incident']}")
    assert "closed" in seen(page) and "/nodes/lab-3/" not in page
