"""Envoy's questions about requests (`envoy.service.auth.v3.Authorization`): checks and quotas decide.

A request goes on when no check refuses it and no quota is used up. Where that cannot be found out, it goes on
if the rule says so (`failOpen`), and is refused otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from prometheus_client import CollectorRegistry, Counter

from artemon.adapters import Answer, Row, Shape, Variety
from artemon.adapters.rulebook import ReadyRule, Rulebook
from artemon.errors import ArtemonError
from artemon.expr import EvaluationError
from artemon.log import Log
from mixerd.answers import Answers
from mixerd.asking import Question
from mixerd.handling import Handlers
from mixerd.permission import Changed, permission
from mixerd.records import Reporter

OK, EXHAUSTED, UNAVAILABLE = 0, 8, 14
SECONDS = 2.0
"""How long a handler may take."""
STATUSES: Mapping[int, int] = {
    3: 400, 16: 401, 7: 403, 5: 404, 6: 409, 10: 409, 9: 400, 11: 400, 8: 429, 1: 499, 13: 500, 2: 500,
    15: 500, 12: 501, 14: 503, 4: 504,
}  # fmt: skip
"""Code of google.rpc.Code -> HTTP status, as that file maps them."""


class _Failed(Exception):
    """A check could not be made."""


class Checking:
    """Answers. root: the namespace whose rules are for all. ready: whether rules have been read."""

    def __init__(
        self,
        handlers: Handlers,
        metrics: CollectorRegistry,
        log: Log,
        *,
        root: str,
        now: Callable[[], float],
        ready: Callable[[], bool],
    ) -> None:
        self._handlers, self._log, self._root, self._ready = handlers, log, root, ready
        self._answers = Answers(now)
        self.book = Rulebook()
        asked = Counter("mixerd_checks", "Questions about requests.", ["answer"], registry=metrics)
        self._asked = {one: asked.labels(one) for one in ("allowed", "refused", "failed")}
        self._cached = Counter("mixerd_checks_cached", "Checks answered from memory.", registry=metrics)

    def become(self, book: Rulebook) -> None:
        """From now on these rules count."""
        self.book = book
        self._answers.clear()

    async def answer(self, request: CheckRequest, raw: bytes, reporter: Reporter) -> CheckResponse:
        """What Envoy is to do. Raises ArtemonError while rules are not known."""
        if not self._ready():
            raise ArtemonError("rules have not been read yet")
        if self.book.closed & {reporter.namespace, self._root}:
            self._asked["failed"].inc()
            return _refusal(Answer(UNAVAILABLE, "a rule that checks requests cannot be used"))
        question, out = Question(request.attributes, reporter), permission()
        for rule in self._rules(reporter.namespace):
            try:
                answer = await self._judged(rule, question, raw)
            except _Failed as error:
                self._asked["failed"].inc()
                self._log.warning("check_fails", rule=rule.name, reason=error, open=rule.fail_open)
                if rule.fail_open:
                    continue
                return _refusal(Answer(UNAVAILABLE, f"{rule.name} could not be checked"))
            if answer.code != OK:
                self._asked["refused"].inc()
                return _refusal(answer)
            for name, value in answer.headers.items():
                out.ok_response.headers.add().header.MergeFrom(HeaderValue(key=name, value=value))
        self._change(out, question)
        self._asked["allowed"].inc()
        return out

    def _change(self, out: CheckResponse, question: Question) -> None:
        """What rules do with headers of a request that goes on, after all checks."""
        changed = Changed(out, question.http.headers)
        for rule in self._rules(question.reporter.namespace):
            if not rule.headers or not _holds(rule, question):
                continue
            for change in rule.headers:
                try:
                    changed.by(change, question)
                except (EvaluationError, ValueError) as error:
                    self._log.warning("header_stays", rule=rule.name, header=change.name, reason=error)

    def _rules(self, namespace: str) -> Iterator[ReadyRule]:
        for rule in self.book.rules:
            if rule.asked and rule.namespace in (namespace, self._root):
                yield rule

    async def _judged(self, rule: ReadyRule, question: Question, raw: bytes) -> Answer:
        """The first refusal, checks before quotas; else what all say. Raises _Failed."""
        headers: dict[str, str] = {}
        if not _holds(rule, question):
            return Answer()
        try:
            for variety, ask in ((Variety.CHECK, self._check), (Variety.QUOTA, self._quota)):
                for action in rule.actions.get(variety, ()):
                    for shape in action.shapes:
                        answer = await ask(action.handler, shape, question, raw)
                        if answer.code != OK:
                            return answer
                        headers |= answer.headers
        except EvaluationError as error:
            raise _Failed(str(error)) from error
        return Answer(headers=headers)

    async def _check(self, handler: str, shape: Shape, question: Question, raw: bytes) -> Answer:
        row = Row(shape.name, shape.template.name, shape.values(question), raw)
        running = self._running(handler)
        known = self._answers.get(running.config.version, row)
        if known is not None:
            self._cached.inc()
            return known
        answer: Answer = await self._asked_of(handler, running.handler.check(row))
        self._answers.put(running.config.version, row, answer)
        return answer

    async def _quota(self, handler: str, shape: Shape, question: Question, raw: bytes) -> Answer:
        row = Row(shape.name, shape.template.name, shape.values(question), raw)
        found = await self._asked_of(handler, self._running(handler).handler.quota(row, 1))
        if found.granted >= 1:
            return Answer()
        wait = {"retry-after": str(max(1, round(found.seconds)))} if found.seconds else {}
        return Answer(EXHAUSTED, f"quota {shape.name} is used up", headers=wait)

    def _running(self, handler: str) -> Any:
        running = self._handlers.running.get(handler)
        if running is None:
            raise _Failed(f"handler {handler} is not open")
        return running

    async def _asked_of(self, handler: str, asking: Any) -> Any:
        try:
            async with asyncio.timeout(SECONDS):
                return await asking
        except Exception as error:  # a plug-in's own fault must not end the daemon, nor let anybody in
            raise _Failed(f"handler {handler}: {error or type(error).__name__}") from error


def _holds(rule: ReadyRule, question: Question) -> bool:
    """One whose attributes are absent does not hold, as in Mixer: `|` says what then."""
    try:
        return rule.match is None or bool(rule.match.evaluate(question).value)
    except EvaluationError:
        return False


def _refusal(answer: Answer) -> CheckResponse:
    out = CheckResponse()
    out.status.code, out.status.message = answer.code, answer.message
    denied = out.denied_response
    denied.status.code = answer.status or STATUSES.get(answer.code, 403)
    denied.body = answer.message
    for name, value in answer.headers.items():
        denied.headers.add().header.MergeFrom(HeaderValue(key=name, value=value))
    return out
