"""Foreign text is short and sends nothing to a terminal."""

import pytest

from keras_loader_bench.loaders.system.text import message_of, shown, without_traceback


def test_short_and_harmless_text_is_kept():
    text = "naïve `text`, 東京 100%"
    assert shown(text) == text


def test_long_text_keeps_its_beginning_and_its_end():
    text = "a" * 5000 + "b" * 5000
    assert shown(text, 100) == f"{'a' * 50} [of 10,000 characters, most were cut] {'b' * 50}"


def test_what_is_shown_counts():
    assert len(shown("\x1b" * 2000)) < 2100
    assert len(shown("\U000e0001" * 2000)) < 2100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("one\ntwo", r"one\ntwo"),
        ("\u202eevil", r"\u202eevil"),
        ("\ud800", r"\ud800"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_control_characters_are_shown(text, expected):
    assert shown(text) == expected
    shown(text).encode()


def test_lines_stay_where_they_may():
    assert shown("a\n\tb\r\x07", lines=True) == "a\n\tb\\r\\x07"


def test_an_exception_that_cannot_be_read_has_a_message():
    class BrokenError(Exception):
        def __str__(self):
            raise ValueError

    assert message_of(BrokenError()) == "its message cannot be read: ValueError"
    assert message_of(KeyError("x")) == "'x'"


OF_TENSORFLOW = """Graph execution error:

Detected at node PyFunc defined at (most recent call last):
<stack traces unavailable>
KeyError: 'colour'
Traceback (most recent call last):

  File "script_ops.py", line 269, in __call__
    ret = func(*args)

KeyError: 'colour'
\t [[{{node PyFunc}}]] [Op:__inference_multi_step_on_iterator_75]"""
OF_TORCH = """Caught KeyError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "worker.py", line 1, in fetch
KeyError: 'colour'
"""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (OF_TENSORFLOW, "KeyError: 'colour'"),
        (OF_TORCH, "KeyError: 'colour'"),
        ("ValueError: too long\nTraceback (most recent call last):\n  x", "ValueError: too long"),
        ("Traceback (most recent call last):\n  x", "Traceback (most recent call last):\n  x"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_a_message_does_without_the_traceback_that_it_repeats(message, expected):
    assert without_traceback(message) == expected
