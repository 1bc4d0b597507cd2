"""Where the fields of a text stand, in every form that the format allows."""

from __future__ import annotations

from edge_models.configuration.lines import TextLines, field_lines

TEXT = """# a comment { with : marks [
name: "a { b : c # d"
input [
  {
    name: "x"   dims: [ 1,
      2 ]
  }, {
    name: 'y'
    dims: 3
    dims: 4
  }
]
output < name: "z"
  label_filename: "labels"
    ".txt"; reshape: { shape: [] } >
parameters { key: "one" value: { string_value: "1" } }
parameters: {
  key: 'two', value {
    string_value: "2" }
}
dynamic_batching { } max_batch_size: 8
"""


def test_every_field_has_its_line():
    lines = field_lines(TEXT)
    assert lines.find("name") == 2
    assert lines.find("input") == lines.find(("input", 0)) == 3
    assert lines.find(("input", 0), "dims") == 5
    assert lines.find(("input", 1)) == 7
    assert lines.find(("input", 1), "name") == 8
    assert lines.find(("input", 1), ("dims", 1)) == 10
    assert lines.find("output", "label_filename") == 14
    assert lines.find("output", "reshape", "shape") == 15
    assert lines.find("max_batch_size") == lines.find("dynamic_batching") == 21


def test_entries_of_a_map_are_found_by_their_key():
    lines = field_lines(TEXT)
    assert lines.find(("parameters", "one")) == 16
    assert lines.find(("parameters", "two")) == 17
    assert lines.find(("parameters", "two"), "value", "string_value") == 19


def test_what_is_not_there_has_the_line_of_what_it_would_stand_in():
    lines = field_lines(TEXT)
    assert lines.find("platform") == 1
    assert lines.find(("input", 1), "reshape", "shape") == 7
    assert lines.find(("input", 7), "name") == 1
    assert lines.find(("parameters", "three"), "value") == 1


def test_an_empty_text_has_no_fields():
    assert field_lines("").fields == field_lines("# nothing\n").fields == []


def test_keys_are_found_as_they_are_meant():
    """Whatever stands for a character of theirs; of a key that is there twice the last counts."""
    lines = TextLines(
        """parameters { key: 'a\\n"b"' }
        parameters { key: "twice" }
        parameters { key: "twice" }
        parameters { key: "\\xff" }"""
    )

    assert lines.find(("parameters", 'a\n"b"')) == 1
    assert lines.find(("parameters", "twice")) == 3
    assert lines.find(("parameters", 1)) == 2
