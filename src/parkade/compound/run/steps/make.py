"""Steps of what makes candidates: a model's samples, a function."""

from parkade.compound.models import structured
from parkade.compound.models.protocol import Failure
from parkade.compound.network import wording
from parkade.compound.network.operators import Generate
from parkade.compound.network.request import Request
from parkade.compound.run.frame import Frame, Steps
from parkade.compound.run.given import Use
from parkade.compound.run.noted import OFF_SCHEMA
from parkade.compound.run.orders import Finished, Item
from parkade.compound.run.steps.parts import candidate_of, collect
from parkade.compound.values import Call, Candidate, Completion


def generate(frame: Frame) -> Steps:
    """As many samples as are wanted, each sent back for repair while it breaks the schema."""
    operator: Generate = frame.node.operator
    assert frame.node.writer is not None
    request = frame.node.writer.write(frame.values())
    first = frame.node.offset + frame.draw * frame.node.stride
    asked = broken = 0
    why = refusal = ""
    refused = 0
    waiting: dict[int, tuple[Call, int, Request]] = {}
    while True:
        while asked < operator.n and len(waiting) < frame.demand:
            sample = first + asked
            asked += 1
            call = request.call(sample)
            waiting[frame.ask(call)] = (call, 0, request)
        if not waiting and asked == operator.n:
            if refused:
                frame.note(f"generate: {refused} of {operator.n} answers are refusals: {refusal}")
            if broken:
                frame.note(f"generate: {broken} of {operator.n} answers {OFF_SCHEMA}: {why}")
            return
        event = yield
        if not isinstance(event, Finished):
            continue
        call, repairs, written = waiting.pop(event.ticket)
        if not isinstance(event.value, Completion):
            continue
        text, error = _read(operator, event.value.text)
        if error and repairs < operator.repairs and operator.kind == "chat":
            again = written.followed_by(text, wording.REPAIR.format(reason=error))
            call = again.call(call.sample)
            waiting[frame.ask(call)] = (call, repairs + 1, again)
        elif error:
            broken, why = broken + 1, why or error
        else:
            made = candidate_of(event.value, text, operator.model, call.sample, call.key)
            refused, refusal = refused + bool(made.refusal), refusal or made.refusal
            frame.emit(Item(made))


def _read(operator: Generate, text: str) -> tuple[str, str]:
    if operator.schema is None:
        return text, ""
    return structured.read(text, operator.schema)


def function(frame: Frame) -> Steps:
    """What a function makes of the question, and of all candidates where some arrive."""
    node = frame.node
    assert node.function is not None
    if frame.upstream is None:
        ticket = frame.apply(Use.MADE, node.function, frame.question)
    else:
        items = yield from collect(frame, frame.upstream)
        candidates = tuple(item.candidate for item in items)
        ticket = frame.apply(Use.MADE, node.function, frame.question, candidates)
    event = yield
    assert isinstance(event, Finished)
    assert event.ticket == ticket
    if isinstance(event.value, Failure):
        return
    name = getattr(node.function, "__name__", "function")
    for sample, made in enumerate(event.value):
        if isinstance(made, Candidate):
            frame.emit(Item(made))
        else:
            frame.emit(Item(Candidate(text=made, model=name, sample=sample, key="")))
