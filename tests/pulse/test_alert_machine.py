"""The state machine, step by step, against a model that sees everything at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.alerts.machine import Effect, Missing, Progress, Reading, Times, step
from pulse.alerts.rules import Spec
from qcloud.kernel.errors import Invalid

START = datetime(2026, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Story:
    """What happens minute by minute."""

    readings: list[Reading]
    quiet: list[bool]
    acknowledged: list[bool]
    for_: int
    repeat: int
    escalate: int
    missing: Missing

    @property
    def times(self) -> Times:
        return Times(self.for_ * MINUTE, self.repeat * MINUTE, self.escalate * MINUTE, self.missing)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    size = draw(st.integers(1, 60))
    # Runs make long incidents likelier than single minutes do.
    readings: list[Reading] = []
    while len(readings) < size:
        readings += [draw(st.sampled_from(Reading))] * draw(st.integers(1, 12))
    flags = st.lists(st.sampled_from([False, False, False, True]), min_size=size, max_size=size)
    few = st.sampled_from([0, 1, 2, 5, 9])
    return Story(
        readings[:size], draw(flags), draw(flags), draw(few), draw(few), draw(few),
        draw(st.sampled_from(Missing)),
    )  # fmt: skip


def conditions(story: Story) -> list[bool]:
    held: list[bool] = []
    for reading in story.readings:
        before = held[-1] if held else False
        without = {Missing.IGNORE: False, Missing.KEEP: before, Missing.ALERT: True}
        held.append(
            without[story.missing] if reading is Reading.MISSING else reading is Reading.BAD
        )
    return held


def model(story: Story) -> set[tuple[int, Effect]]:
    """Every effect with its minute, from whole runs of the condition."""
    held = conditions(story)
    effects: set[tuple[int, Effect]] = set()
    starts = [i for i, now in enumerate(held) if now and (i == 0 or not held[i - 1])]
    for start in starts:
        end = next((i for i in range(start, len(held)) if not held[i]), len(held))
        fire = start + story.for_
        if fire >= end:
            continue
        effects.add((fire, Effect.FIRE))
        if end < len(held):
            effects.add((end, Effect.RECOVER))
        loud = [i for i in range(fire, end) if not story.quiet[i]]
        open_to_more = [i for i in loud if not story.acknowledged[i]]
        if loud:
            last = loud[0]
            effects.add((last, Effect.TELL))
            for i in open_to_more:
                if story.repeat and i - last >= story.repeat:
                    effects.add((i, Effect.REPEAT))
                    last = i
        if story.escalate:
            late = [i for i in open_to_more if i - fire >= story.escalate]
            effects |= {(i, Effect.ESCALATE) for i in late[:1]}
    return effects


def run(story: Story, *, stored: bool) -> set[tuple[int, Effect]]:
    progress, effects = Progress(), set[tuple[int, Effect]]()
    for i, reading in enumerate(story.readings):
        progress, now = step(
            progress, reading, START + i * MINUTE, story.times,
            quiet=story.quiet[i], acknowledged=story.acknowledged[i],
        )  # fmt: skip
        assert len(now) == len(set(now))
        effects |= {(i, effect) for effect in now}
        if stored:
            progress = Progress.load(progress.dump())
    return effects


@given(stories())
def test_the_machine_says_what_the_model_says(story: Story) -> None:
    assert run(story, stored=False) == model(story)


@given(stories())
def test_it_can_be_stored_between_any_two_steps(story: Story) -> None:
    assert run(story, stored=True) == run(story, stored=False)


@given(stories())
def test_fire_and_recovery_take_turns_and_nobody_hears_of_what_never_fired(story: Story) -> None:
    order = {
        Effect.RECOVER: 0,
        Effect.FIRE: 1,
        Effect.TELL: 2,
        Effect.REPEAT: 3,
        Effect.ESCALATE: 3,
    }
    firing = False
    for _minute, effect in sorted(model(story), key=lambda e: (e[0], order[e[1]])):
        assert firing == (effect is not Effect.FIRE)
        firing = effect is not Effect.RECOVER
    assert run(story, stored=False) == model(story)


def test_one_story_by_hand() -> None:
    bad, good = Reading.BAD, Reading.GOOD
    story = Story([bad] * 2 + [good] + [bad] * 8 + [good], [False] * 12, [False] * 12, 2, 3, 4,
                  Missing.IGNORE)  # fmt: skip
    assert sorted(run(story, stored=True)) == [
        (5, Effect.FIRE), (5, Effect.TELL), (8, Effect.REPEAT), (9, Effect.ESCALATE),
        (11, Effect.RECOVER),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("measure", "nonsense"), ("threshold", -1.0), ("threshold", float("nan")),
        ("threshold", float("inf")), ("window", 0), ("window", 1_441), ("for_minutes", -1),
        ("repeat", 4), ("repeat", 10_081), ("escalate", -1), ("missing", "sometimes"),
        ("filters", {"direction": "sideways"}), ("filters", {"status_class": "6xx"}),
        ("filters", {"account_id": "x"}), ("filters", {"host": "x" * 1_025}),
        ("filters", {"host": "\0"}),
    ],
)  # fmt: skip
def test_what_a_rule_cannot_say(field: str, value: object) -> None:
    plain = Spec("error_rate", above=True, threshold=5).dump()
    with pytest.raises(Invalid) as refused:
        Spec.load({**plain, field: value})
    name = next(iter(value)) if isinstance(value, dict) else field
    assert list(refused.value.data["fields"]) == [name]
