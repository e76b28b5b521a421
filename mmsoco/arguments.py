"""Kinds of command-line arguments that several tools take."""

import argparse
import re


def positive(text: str) -> int:
    """An argument that is a whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return number


def part(text: str) -> tuple[int, int]:
    """An argument such as 0/8: which part, of how many."""
    match = re.fullmatch(r'(\d+)/(\d+)', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text} is not like 0/8')
    return int(match[1]), int(match[2])


def names(text: str) -> tuple[str, ...]:
    """An argument such as backbone,neck: one name or several."""
    found = tuple(text.split(','))
    if not all(found):
        raise argparse.ArgumentTypeError(f'{text!r} is not like one,two')
    return found
