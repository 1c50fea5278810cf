"""Rows of every shape make the prompt they mean, and odd ones say what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.errors import ConfigError, InvalidRow
from batcher.job import ROW_SETTINGS, Request
from batcher.policy.render import effective, make_renderer, row_id, row_name
from batcher.policy.shapes import _FORMS
from batcher.records import Prompt, Row

ask = make_renderer()
USER_HI = [{"role": "user", "content": "hi"}]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    ["prompt", "messages", "system", "params", "body", "url", "role", "content", *ROW_SETTINGS]
)


def complaint(render, data) -> InvalidRow:
    with pytest.raises(InvalidRow) as caught:
        render(data)
    return caught.value


class TestPromptAndMessages:
    def test_a_prompt_becomes_one_user_turn(self):
        assert ask({"prompt": "hi"}) == Prompt(messages=USER_HI)

    def test_messages_and_system_pass_through_whole(self):
        turns: list[dict[str, object]] = [
            {"role": "user", "content": [{"type": "image", "source": {"data": "..."}}]},
            {"role": "assistant", "content": "a cat", "cache_control": {"type": "ephemeral"}},
            {"role": "user", "content": "sure?"},
        ]

        assert ask({"messages": turns, "system": "Be brief."}) == Prompt(
            messages=turns, system="Be brief."
        )

    def test_a_prompt_may_bring_its_system_text(self):
        assert ask({"prompt": "hi", "system": "x"}).system == "x"

    def test_fields_that_are_no_settings_are_left_alone(self):
        assert ask({"prompt": "hi", "id": 1, "source": "crm"}) == Prompt(messages=USER_HI)

    def test_a_call_of_tools_needs_no_content(self):
        turns = [*USER_HI, {"role": "assistant", "content": None, "tool_calls": [{}]}]

        assert ask({"messages": turns}).messages == turns


class TestSettingsOfARow:
    def test_every_setting_a_row_may_override_has_a_form(self):
        assert frozenset(_FORMS) == ROW_SETTINGS

    def test_settings_become_overrides_under_our_names(self):
        row = {
            "prompt": "hi",
            "model": "m",
            "max_tokens_to_sample": 9,
            "temperature": 0,
            "stop_sequences": ["\n"],
        }

        assert ask(row).overrides == {
            "model": "m",
            "max_tokens": 9,
            "temperature": 0,
            "stop": ["\n"],
        }

    def test_null_counts_as_not_given(self):
        assert ask({"prompt": "hi", "temperature": None}).overrides == {}

    def test_a_whole_float_is_a_whole_number(self):
        """Tables exported as JSON often carry 400.0."""
        assert ask({"prompt": "hi", "max_tokens": 400.0}).overrides == {"max_tokens": 400}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("max_tokens", "many"),
            ("max_tokens", True),
            ("max_tokens", 1.5),
            ("max_completion_tokens", [1]),
            ("temperature", "0.5"),
            ("top_p", {}),
            ("top_k", 1.5),
            ("stop", 1),
            ("stop", ["a", 1]),
            ("stream", 1),
            ("model", 4),
        ],
    )
    def test_a_setting_of_the_wrong_type_is_named_with_its_fix(self, field, value):
        problem = complaint(ask, {"prompt": "hi", field: value})

        assert field in problem.message
        assert problem.hint is not None
        assert problem.hint.startswith("write ")

    def test_two_names_for_one_setting_must_agree(self):
        row = {"prompt": "hi", "max_tokens": 5, "max_completion_tokens": 5}

        assert ask(row).overrides == {"max_tokens": 5}
        assert "twice" in complaint(ask, {**row, "max_tokens": 6}).message


class TestBatchShapes:
    def test_anthropic_params_split_into_prompt_settings_and_extra(self):
        row = {
            "custom_id": "r-1",
            "params": {
                "model": "claude-haiku-5-5",
                "max_tokens": 64,
                "messages": USER_HI,
                "system": [{"type": "text", "text": "x"}],
                "stop_sequences": ["END"],
                "output_config": {"effort": "low"},
            },
        }

        assert ask(row) == Prompt(
            messages=USER_HI,
            system=[{"type": "text", "text": "x"}],
            overrides={"model": "claude-haiku-5-5", "max_tokens": 64, "stop": ["END"]},
            extra={"output_config": {"effort": "low"}},
        )

    def test_openai_body_splits_likewise(self):
        row = {
            "custom_id": "r-1",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "gpt",
                "max_completion_tokens": 64,
                "messages": [{"role": "system", "content": "x"}, *USER_HI],
                "stop": "END",
                "response_format": {"type": "json_object"},
            },
        }

        assert ask(row) == Prompt(
            messages=[{"role": "system", "content": "x"}, *USER_HI],
            overrides={"model": "gpt", "max_tokens": 64, "stop": "END"},
            extra={"response_format": {"type": "json_object"}},
        )

    def test_a_request_that_is_no_chat_is_refused(self):
        row = {"custom_id": "1", "url": "/v1/embeddings", "body": {"input": "x"}}

        assert "/v1/embeddings" in complaint(ask, row).message
        assert "method" in complaint(ask, {"method": "GET", "body": {}}).message


class TestInvalidRows:
    @pytest.mark.parametrize(
        ("data", "says"),
        [
            ([1], "a list, not an object"),
            (None, "null, not an object"),
            ("hi", "a text, not an object"),
            ({}, "it has no fields"),
            ({"ticket": "x", "age": 3}, "it has: ticket, age"),
            ({"prompt": ""}, "`prompt` is empty"),
            ({"prompt": " \n\t"}, "`prompt` is empty"),
            ({"prompt": None}, "`prompt` is null"),
            ({"prompt": ["a"]}, "`prompt` is a list"),
            ({"prompt": "x", "messages": USER_HI}, "both"),
            ({"messages": []}, "an empty list"),
            ({"messages": "hi"}, "a text, not a list"),
            ({"messages": ["hi"]}, "turn 1 of `messages` is a text"),
            ({"messages": [*USER_HI, {"content": "x"}]}, "turn 2 of `messages` has no `role`"),
            ({"messages": [{"role": "user"}]}, "is missing"),
            ({"messages": [{"role": "user", "content": 3}]}, "is a number"),
            ({"messages": [{"role": "user", "content": ["a"]}]}, "is a list"),
            ({"messages": [{"role": "user", "content": " "}]}, "says anything"),
            ({"prompt": "x", "system": 3}, "`system` is a number"),
            ({"custom_id": "1", "params": "x"}, "`params` is a text"),
            ({"custom_id": "1", "params": {"model": "m"}}, "has no `messages`; it has: model"),
        ],
    )
    def test_the_complaint_says_what_is_wrong_and_how_to_mend_it(self, data, says):
        problem = complaint(ask, data)

        assert says in problem.message
        assert problem.hint

    def test_a_text_under_another_name_is_pointed_out(self):
        assert "rename `question` to `prompt`" in (complaint(ask, {"question": "why?"}).hint or "")

    def test_a_row_of_very_many_fields_makes_a_short_message(self):
        data = {f"column_{n}" * 9: n for n in range(500)}

        assert len(complaint(ask, data).message) < 600
        assert "and 492 more" in complaint(ask, data).message

    @given(st.dictionaries(field_names, json_values, max_size=6) | json_values)
    def test_any_json_makes_a_prompt_or_a_complaint(self, data):
        try:
            prompt = ask(data)
        except InvalidRow as problem:
            assert problem.message
        else:
            assert prompt.messages
            effective_or_complaint(prompt)


def effective_or_complaint(prompt: Prompt) -> None:
    try:
        effective(Request(), prompt)
    except InvalidRow as problem:
        assert problem.message


class TestTemplate:
    def test_fields_are_variables_and_row_is_the_whole(self):
        render = make_renderer("Sum up: {{ ticket }} ({{ row['case no'] }})")

        assert render({"ticket": "it burns", "case no": 7}).messages == [
            {"role": "user", "content": "Sum up: it burns (7)"}
        ]

    def test_a_missing_field_names_what_the_row_has(self):
        problem = complaint(make_renderer("{{ ticket }}"), {"a": 1, "b": 2})

        assert problem.message == "the template needs field `ticket`; the row has: a, b"
        assert problem.hint

    def test_a_missing_field_inside_a_field_is_named(self):
        problem = complaint(make_renderer("{{ user.name }}"), {"user": {"age": 3}})

        assert "field `name` of an object (it has: age)" in problem.message

    def test_a_missing_field_is_noticed_by_filters_and_tests_too(self):
        for text in ("{{ x | tojson }}", "{{ x | upper }}", "{% if x %}{% endif %}"):
            assert "field `x`" in complaint(make_renderer(text), {"y": 1}).message

    def test_a_default_makes_a_field_optional(self):
        assert make_renderer("a{{ x | default('') }}")({}).messages[0]["content"] == "a"

    def test_nothing_is_escaped_and_the_last_newline_is_kept(self):
        render = make_renderer("{{ a }}\n{{ row | tojson }}\n")

        assert render({"a": "<b> & 'c'"}).messages[0]["content"] == (
            "<b> & 'c'\n{\"a\":\"<b> & 'c'\"}\n"
        )

    def test_a_field_called_like_a_method_is_the_field(self):
        assert make_renderer("{{ row.items }}")({"items": 3}).messages[0]["content"] == "3"

    def test_settings_in_a_row_are_only_data_there(self):
        prompt = make_renderer("{{ model }}")({"model": "Model T", "prompt": "x"})

        assert prompt == Prompt(messages=[{"role": "user", "content": "Model T"}])

    @pytest.mark.parametrize(
        "text",
        [
            "{{ a + 1 }}",
            "{{ 1 // zero }}",
            "{{ a.__class__.__mro__ }}",
            "{{ row.update({'a': 1}) }}",
            "{{ range(10**9) | list }}",
            "{{ nothing() }}",
        ],
    )
    def test_what_fails_on_one_row_is_that_rows_matter(self, text):
        problem = complaint(make_renderer(text), {"a": "x", "zero": 0, "nothing": None})

        assert problem.message.startswith("the template ")

    def test_an_empty_result_is_invalid(self):
        assert "empty prompt" in complaint(make_renderer("{{ a }} \n"), {"a": ""}).message

    def test_a_row_that_is_no_object_is_invalid(self):
        assert "a list" in complaint(make_renderer("x"), [1]).message

    def test_a_mistake_in_the_template_itself_names_its_line(self):
        with pytest.raises(ConfigError, match=r"request\.template: line 2 "):
            make_renderer("a\n{{ b")

    def test_an_unknown_filter_is_the_templates_mistake(self):
        with pytest.raises(ConfigError, match="nofilter"):
            make_renderer("{{ a | nofilter }}")

    def test_includes_are_refused_before_any_row(self):
        with pytest.raises(ConfigError, match="include"):
            make_renderer("{% include 'other.md' %}")

    @given(st.dictionaries(st.sampled_from(["a", "b", "row"]), json_values))
    def test_any_row_makes_a_prompt_or_a_complaint(self, data):
        try:
            prompt = RENDER_A(data)
        except InvalidRow as problem:
            assert problem.message
        else:
            assert prompt.messages[0]["content"]


RENDER_A = make_renderer("{{ a.b }}{{ a | upper }}{{ a[0] }}")


class TestRowId:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            ({"id": "a"}, "a"),
            ({"id": 7}, "7"),
            ({"id": 1.5}, "1.5"),
            ({"id": "a", "custom_id": "c"}, "c"),
            ({"id": "a", "custom_id": "c", "ticket": "t"}, "t"),
            ({"prompt": "x"}, "12"),
        ],
    )
    def test_the_first_naming_field_names_the_row(self, data, expected):
        assert row_id(data, 12, "ticket") == expected

    @pytest.mark.parametrize("value", [None, "", " ", {}, [], True])
    def test_a_field_that_cannot_name_is_refused(self, value):
        with pytest.raises(InvalidRow, match="`id`"):
            row_id({"id": value}, 1)

    def test_a_line_without_fields_is_refused(self):
        with pytest.raises(InvalidRow, match="null"):
            row_id(None, 1)

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            (Row(line=3, data={"id": "a"}), "a"),
            (Row(line=3, data={"id": {}}), "3"),
            (Row(line=3, data=[]), "3"),
            (Row(line=3, problem="not JSON"), "3"),
        ],
    )
    def test_a_row_that_cannot_be_named_is_called_by_its_line(self, row, expected):
        assert row_name(row) == expected


class TestEffective:
    def test_a_row_without_settings_gets_the_very_same_object(self):
        request = Request(model="m")

        assert effective(request, ask({"prompt": "hi"})) is request

    def test_the_rows_settings_win_and_the_rest_stays(self):
        request = Request(model="m", max_tokens=7, headers={"x": "y"})

        assert effective(request, ask({"prompt": "hi", "stop": "END", "max_tokens": 9})) == Request(
            model="m", max_tokens=9, headers={"x": "y"}, stop=["END"]
        )

    def test_settings_nobody_gave_still_count_as_not_given(self):
        """A preset fills what was not given, so the difference must survive."""
        request = effective(Request(model="m"), ask({"prompt": "hi", "top_p": 0.5}))

        assert request.model_fields_set == {"model", "top_p"}

    def test_a_value_out_of_range_is_named(self):
        with pytest.raises(InvalidRow, match="`temperature` is 3") as caught:
            effective(Request(), ask({"prompt": "hi", "temperature": 3}))

        assert "less than or equal to 2" in (caught.value.hint or "")
