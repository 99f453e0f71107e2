"""Grammars are refused before llama.cpp sees them, where it would crash or never end."""

from __future__ import annotations

import pytest
from llamachat.engine.errors import RequestRefusedError
from llamachat.engine.grammar_check import check_grammar

CHAIN = "".join(f"r{number} ::= r{number + 1}\n" for number in range(2000)) + 'r2000 ::= "a"\n'
DOUBLING = "".join(f'r{number} ::= r{number + 1} | r{number + 1} "a"\n' for number in range(25)) + 'r25 ::= "b"\n'


@pytest.mark.parametrize(
    ("grammar", "said"),
    [
        ("", "no rule named root"),
        ("  # nothing but a remark", "no rule named root"),
        ('start ::= "a"', "no rule named root"),
        ("root ::= missing", "no rule named missing"),
        ('root ::= "a" (missing)', "no rule named missing"),
        ("this is no grammar", "must begin with a rule"),
        ('root ::= "abc', "cannot be read at '\"abc'"),
        ("root ::= [abc", "cannot be read at '[abc'"),
        ('root ::= ("a"', "not closed"),
        ('root ::= ("a"\nnext ::= "b"', "not closed before the rule next"),
        ('root ::= "a")', "closed that was not opened"),
        ("root ::= *", "nothing before *"),
        ('root ::= root "a" | "b"', "the rule root begins with itself"),
        ('root ::= (root "a") | "b"', "begins with itself"),
        ('root ::= next\nnext ::= "x"? root', "begins with itself"),
        ('root ::= empty root "x" | "y"\nempty ::= also\nalso ::= "" | "z"', "the rule root begins with itself"),
        ('root ::= "a"{1000000}', "{1000000} repeats too often"),
        ('root ::= "a"{3,1000000}', "repeats too often"),
        ('root ::= "a"{' + "9" * 100_000 + "}", "repeats too often"),
        ('root ::= "' + "a" * 60_000 + '"{2000}', "too large"),
        ("root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000, "nested more than"),
        ("root ::= r0\n" + CHAIN, "begin with each other"),
        ("root ::= r0\n" + DOUBLING, "can begin in more than"),
        ("root ::= " + ' | "a"' * 6000, "can begin in more than"),
        ('root ::= "' + "a" * 300_000 + '"', "300011 characters"),
    ],
)  # fmt: skip
def test_what_would_do_harm_is_refused_with_the_reason(grammar: str, said: str) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        check_grammar(grammar)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "a"',
        'root ::= ""',
        'root ::= "x" root | "y"',
        'root ::= [^"\\\\] ( "\\"" | "\\\\" )* .? <[12]> !<think>',
        'root ::= "a"{2} "b"{2,} "c"{ 2 , 4 } "d"+ # the end\r\n',
        'root ::= value\nvalue ::= "[" (value ("," value)*)? "]" | number\nnumber ::= "-"? [0-9]+',
        'root ::= (\n  "a" |\n  "b"\n)\n\nunused ::= "c"',
        "root ::= " + "(c " * 500 + ")?" * 500 + '\nc ::= [a-z] | "\\u00e9"',
        'root ::= "a"* "b"* ("c" | "d")*',
    ],
)
def test_what_llama_cpp_can_use_is_let_through(grammar: str) -> None:
    check_grammar(grammar)
