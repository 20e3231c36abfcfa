"""The validating webhook: a cluster's API server asks what galleyd would say of Istio's objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from artemon.errors import Problem, Refused
from artemon.kube.admission import Asked, Malformed, allowed, read, refused
from artemon.model.decode import decode, subject_of
from artemon.model.resource import Kind
from galleyd import status
from galleyd.admission import Check

PATH = "/validate"


class Webhook:
    """The verdicts of `meshctl validate`, for whoever asks: they tell nothing of what is stored here.

    checks: as of Admission. count: told of every verdict: kind, and "" when admitted, else the reason.
    """

    def __init__(self, checks: Sequence[Check], count: Callable[[Kind, str], None]) -> None:
        self._checks, self._count = checks, count

    def routes(self) -> list[web.RouteDef]:
        """AdmissionReview v1 by POST."""
        return [web.post(PATH, self.validate)]

    async def validate(self, request: web.Request) -> web.Response:
        """One review. Raises ApiError 400 for what is none."""
        try:
            asked = read(await request.read())
        except Malformed as error:
            raise status.bad_request(f"the body {error}") from error
        return web.json_response(self._answer(asked))

    def _answer(self, asked: Asked) -> dict[str, Any]:
        if asked.object is None:
            return allowed(asked)
        try:
            resource = decode(asked.object, namespace=asked.namespace or "default")
            found = [problem for check in self._checks for problem in check(resource)]
        except Refused as refusal:
            return refused(asked, str(refusal))
        wrong = [problem for problem in found if problem.level == "error"]
        self._count(resource.kind, "Invalid" if wrong else "")
        if wrong:
            return refused(asked, str(Refused(wrong, subject_of(asked.object))))
        return allowed(asked, warnings=tuple(map(_text, found)))


def _text(problem: Problem) -> str:
    return str(problem)
