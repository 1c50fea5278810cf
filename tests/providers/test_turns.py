"""Dialogues in one text and in turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.errors import InvalidRow
from batcher.providers.turns import dialogue_of, is_dialogue, plain_text, turns_of_dialogue

said = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(
    lambda text: f"a{text}z"
)


@given(pairs=st.lists(st.tuples(said, said), max_size=4), last=said)
def test_turns_survive_being_written_as_a_dialogue(pairs: list[tuple[str, str]], last: str) -> None:
    turns = [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    turns.append({"role": "user", "content": last})

    assert turns_of_dialogue(dialogue_of(turns, None)) == turns


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"role": "user", "content": "\n\nHuman: Hi\n\nAssistant:"}, True),
        ({"role": "user", "content": "\n\nHuman: Hi"}, False),
        ({"role": "user", "content": "Human: Hi\n\nAssistant:"}, False),
        ({"role": "assistant", "content": "\n\nHuman: Hi\n\nAssistant:"}, False),
        ({"role": "user", "content": [{"type": "text", "text": "\n\nHuman: Hi"}]}, False),
    ],
)
def test_only_a_users_whole_text_is_taken_for_a_dialogue(
    turn: dict[str, object], expected: bool
) -> None:
    assert is_dialogue(turn) is expected


def test_a_started_answer_stays_the_last_turn() -> None:
    turns = turns_of_dialogue("\n\nHuman: Capital of Peru?\n\nAssistant: It is ")

    assert turns[-1] == {"role": "assistant", "content": "It is"}


def test_a_dialogue_without_words_asks_nothing() -> None:
    with pytest.raises(InvalidRow, match="without text"):
        turns_of_dialogue("\n\nHuman: \n\nAssistant:")


def test_text_blocks_are_one_text() -> None:
    blocks = [{"type": "text", "text": "a"}, {"text": "b"}]

    assert plain_text(blocks, "here") == "a\n\nb"
    assert plain_text(None, "here") == ""
