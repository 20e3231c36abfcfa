"""The phases of a root's rotation: what each trusts, what holds it up, and that every way back leads home."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artemon.pki.errors import CertificateRefused
from artemon.pki.rotation import Holder, Phase, RotationState, behind, may_go_on

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BEGUN = RotationState().begun(old="a", new="b", now=NOW, by="me")


def at(phase: Phase) -> RotationState:
    state = BEGUN
    while state.phase is not phase:
        state = state.onward(now=NOW)
    return state


@pytest.mark.parametrize(
    ("phase", "roots"),
    [
        (Phase.PREPARE, ("a",)),
        (Phase.TRUST, ("a", "b")),
        (Phase.ACTIVATE, ("b", "a")),
        (Phase.TAINT, ("b", "a")),
        (Phase.REVOKE, ("b",)),
    ],
)
def test_whom_a_phase_trusts(phase: Phase, roots: tuple[str, ...]) -> None:
    assert at(phase).roots == roots
    assert RotationState.decode(at(phase).encode()) == at(phase)


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=30))
def test_roots_change_by_one_step_and_nobody_issues_under_what_is_not_trusted(ways: list[bool]) -> None:
    """Whatever goes on and back: a root is trusted in one step at least before anything is issued under it,
    and it is not taken away in the step in which another becomes the first."""
    state = BEGUN
    for back in ways:
        if state.phase is Phase.IDLE:
            break
        after = state.back(now=NOW, by="me") if back else state.onward(now=NOW)
        if after.phase is Phase.IDLE:
            assert set(state.roots) == {state.new}
        else:
            assert after.roots[0] in state.roots, "issued under a root that was not trusted before"
            assert state.roots[0] in after.roots or state.roots[0] == after.old
        state = after


@pytest.mark.parametrize("phase", [one for one in Phase if one is not Phase.IDLE])
def test_every_phase_can_be_undone(phase: Phase) -> None:
    state = at(phase).back(now=NOW, by="me")
    steps = 0
    while state.onward(now=NOW).phase is not Phase.IDLE:
        state, steps = state.onward(now=NOW), steps + 1
    assert state.roots == ("a",)
    assert steps <= 4


@pytest.mark.parametrize(
    ("phase", "holder", "late"),
    [
        pytest.param(Phase.TRUST, Holder("x", False, True, 9), False, id="trusts-both"),
        pytest.param(Phase.TRUST, Holder("x", False, True, 3), True, id="has-not-confirmed"),
        pytest.param(Phase.TRUST, Holder("x", False, False), True, id="absent-would-not-know-the-new-root"),
        pytest.param(Phase.TRUST, Holder("x", True, False), False, id="absent-has-a-new-certificate"),
        pytest.param(Phase.ACTIVATE, Holder("x", False, True, 3), True, id="activate-not-confirmed"),
        pytest.param(Phase.TAINT, Holder("x", False, True, 9), True, id="still-under-the-old"),
        pytest.param(Phase.TAINT, Holder("x", True, True, 9), False, id="renewed"),
        pytest.param(Phase.TAINT, Holder("x", False, False), True, id="absent-under-the-old"),
        pytest.param(Phase.REVOKE, Holder("x", True, True, 3), True, id="still-trusts-the-old"),
        pytest.param(Phase.PREPARE, Holder("x", False, True, 0), False, id="nothing-to-confirm"),
    ],
)
def test_who_holds_up_a_phase(phase: Phase, holder: Holder, late: bool) -> None:
    found = behind(at(phase), [holder], bundle=5)
    assert bool(found) == late
    assert all(line.startswith("x: ") for line in found)


def test_daemons_are_given_time() -> None:
    state, dwell = at(Phase.TRUST), timedelta(seconds=60)
    assert not may_go_on(state, (), now=NOW + timedelta(seconds=59), dwell=dwell)
    assert may_go_on(state, (), now=NOW + timedelta(seconds=60), dwell=dwell)
    assert not may_go_on(state, ("x: late",), now=NOW + timedelta(days=9), dwell=dwell)
    assert not may_go_on(RotationState(), (), now=NOW, dwell=dwell)


def test_one_rotation_at_a_time() -> None:
    with pytest.raises(CertificateRefused, match="under way"):
        BEGUN.begun(old="b", new="c", now=NOW, by="me")
    with pytest.raises(CertificateRefused, match="no rotation"):
        RotationState().back(now=NOW, by="me")


@pytest.mark.parametrize("value", [b"", b"{}", b'{"phase":"x","old":"","new":"","since":"","by":""}'])
def test_an_unreadable_state_is_refused(value: bytes) -> None:
    with pytest.raises(CertificateRefused):
        RotationState.decode(value)
