"""Final results of math problems: what is read from a text, and when two results are equal."""

import pytest

from azdistill.tasks import math, math_process

RESULTS = [
    ("She has 5-3=2 apples left, so the answer is 2.", "2"),
    ("48/2 = 24 and 48+24 = 72\n#### 72", "72"),
    ("so \\boxed{\\frac{1}{2}} it is, 7 of 9 readers agree", "1/2"),
    ("The answer is $1,234.50.", "2469/2"),
    ("The answer is **18** eggs", "18"),
    ("12,000 people came", "12000"),
    ("of 1, 2 and 3, 2 is the answer: 3.", "3"),
    ("first 3, then 4, finally -7.", "-7"),
    ("it is .5", "1/2"),
    ("2e3", "2000"),
    ("\\boxed{x^{2}+1}", "x^{2}+1"),
    ("<think>12</think>The answer is 13", "13"),
    ("50\\%", "50%"),
    ("1/0", None),
    ("none of it", None),
    ("\\boxed{3\\frac{1}{2}}", "7/2"),
    ("3 1/2", "7/2"),
    ("The answer is 3 1/2 cups.", "7/2"),
    ("\\boxed{\\frac12}", "1/2"),
    ("\\boxed{12\\text{ cm}}", "12"),
    ("\\boxed{2 \\times 10^{6}}", "2000000"),
    ("The answer is 10 - 3 = 7.", "7"),
    ("The answer is x = 5", "5"),
    ("The answer is \N{EN DASH}5", "-5"),
    ("10:30", None),
    ("The answer is 10:30.", None),
    ("at 10:30", None),
    ("2 hours 30 minutes", None),
    ("The answer is 2 hours and 30 minutes.", None),
    ("1.2 million", "1200000"),
    ("The answer is 1.2 million dollars", "1200000"),
    ("The answer is $x^2+1$.", "x^2+1"),
    ("Thus the result is \\(x=7\\)", "7"),
    ("costs $5 and $10", "10"),
    ("\\boxed{12\\,000}", "12000"),
    ("\\boxed{90^\\circ}", "90"),
    ("\\boxed{\\text{Monday}}", "monday"),
    ("\\boxed{\\text{no solution}}", "no solution"),
    ("\\boxed{[0,5)}", "[0,5)"),
    ("The answer is 5 because 3 + 2 = 5", "5"),
    ("The answer is twelve", None),
    ("The answer is $\\frac{3}{4}$", "3/4"),
    ("The answer is 12 cm^2", "12"),
    ("The answer is: 42%", "42%"),
    ("The answer is 42 percent.", "42%"),
    ("#### 1,000", "1000"),
    ("x^2+1", "x^2+1"),
    ("(x+1)^2", "(x+1)^2"),
    ("The answer is (2, 3).", "(2, 3)"),
    ("\\boxed{(2,3)}", "(2,3)"),
    ("\\boxed{1,2,3}", "1,2,3"),
    ("\\boxed{\\$5}", "5"),
    ("\\boxed{5 \\text{ or } 7}", "5 or 7"),
    ("Answer: 7!", "7"),
    ("Answer: **$2,500**", "2500"),
    ("The answer is -3/4.", "-3/4"),
    ("The answer is 3:2", "3:2"),
    ("\\boxed{\\sqrt{2}}", "\\sqrt{2}"),
    ("So the total is 3 apples + 4 apples = 7 apples", "7"),
    ("The final answer is $\\boxed{12}$. I hope it is correct.", "12"),
    ("**Answer:** 15 km/h", "15"),
    ("The answer is 6.0", "6"),
    ("Total = 1,234,567", "1234567"),
    ("The answer is $18 per day.", "18"),
    ("The answer is 20 (twenty)", "20"),
    ("The answer is 2x + 3", "2x + 3"),
    ("The answer is 25 m/s", "25"),
    ("The answer is 4 dozen", "4"),
    ("The answer is NUMBER.", None),
    ("The answer is 5 + 3 = 8", "8"),
    ("It takes 3 - 5 days", "5"),
    ("The answer is 30 minutes (half an hour)", "30"),
]


@pytest.mark.parametrize(("text", "result"), RESULTS)
def test_the_result_is_read(text: str, result: str | None) -> None:
    assert math.answer(text) == result


EQUAL = [
    ("0.5", "\\boxed{1/2}", True),
    ("0.3333333", "1/3", True),
    ("0.33", "1/3", False),
    ("1,000", "1000.0", True),
    ("\\boxed{x + 1}", "\\boxed{x+1}", True),
    ("50%", "0.5", True),
    ("50", "50%", True),
    ("\\boxed{(x+1)^2}", "\\boxed{x^2+2x+1}", True),
    ("\\boxed{[0,5)}", "\\boxed{(0,5]}", False),
    ("\\boxed{\\{1,2,3\\}}", "\\boxed{3,2,1}", True),
    ("\\boxed{(1,2)}", "\\boxed{(2,1)}", False),
    ("\\boxed{\\frac{\\sqrt{2}}{2}}", "\\boxed{\\frac{1}{\\sqrt2}}", True),
    ("\\boxed{2^{10}}", "1024", True),
    ("\\boxed{\\text{on}}", "\\boxed{\\text{no}}", False),
    ("\\boxed{\\frac{1}{2}}", "0.5", True),
    ("\\boxed{x=5}", "5", True),
    ("\\boxed{3:2}", "\\boxed{\\frac32}", True),
    ("\\boxed{10\\pi}", "\\boxed{31.4}", False),
    ("\\boxed{7!}", "5040", True),
    ("\\boxed{\\sqrt{16}}", "4", True),
    ("\\boxed{(-\\infty,3)\\cup(5,\\infty)}", "\\boxed{(5,\\infty)\\cup(-\\infty,3)}", True),
]


def is_right(answer: str, reference: str) -> bool:
    read, expected = math.answer(answer), math.answer(reference)
    assert expected is not None, reference
    return read is not None and math.correct(read, expected)


@pytest.mark.parametrize(("answer", "reference", "right"), EQUAL)
def test_results_are_compared_by_value(answer: str, reference: str, right: bool) -> None:
    assert is_right(answer, reference) is right


def test_a_process_that_died_is_started_again() -> None:
    math_process.equal.cache_clear()
    assert math.correct("x + 1", "1 + x")
    process = math_process._WORKER._process
    assert process
    process.kill()
    assert math.correct("y + 1", "1 + y")
    assert math_process._WORKER._process is not process


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert math.correct("z + 1", "1 + z")
    monkeypatch.setattr(math_process, "TIMEOUT_S", 0.0)
    assert not math.correct("z + 2", "2 + z")
    assert math_process._WORKER._process is None
    monkeypatch.undo()
    assert math.correct("z + 3", "3 + z")


def test_an_expression_that_cannot_be_computed_equals_no_other() -> None:
    """9^{9^{9}} has 369 million digits."""
    assert not is_right(r"\boxed{9^{9^{9}}+1}", r"\boxed{x+1}")
