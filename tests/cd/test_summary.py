"""Verbs summary and comment: the first screen of the report and the gates."""

from scripts.cd.summary import LONGEST_COMMENT, comment
from tests.cd.simulated_azure import REPORT, outputs_of


def test_the_summary_has_the_first_screen_and_the_gates(cd, train, tmp_path):
    train()
    assert cd("summary").code == 0
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("**The student passed its gates.** job `small-")
    assert "registered as `azureml:student:3`" in text
    assert "- Is it better? **Yes** gain 0.3" in text
    assert "| min_gain | 0.1 | 0.3 | passed |" in text
    assert "Slices" not in text
    assert "| accuracy |" not in text


def test_the_comment_has_the_comparison_too(cd, train, tmp_path):
    train()
    assert cd("comment", "--body", "comment.md").code == 0
    text = (tmp_path / "comment.md").read_text()
    assert "| accuracy | 96% | 10% | 92% |" in text
    assert "| min_gain | 0.1 | 0.3 | passed |" in text
    assert "Slices" not in text


def test_a_job_without_a_report_has_a_summary(cd, train, azure, tmp_path):
    azure.script, azure.outputs = ["Failed"], {}
    train()
    assert cd("summary").code == 0
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("**The decision of the gates is not known.** job `small-")
    assert "status Failed" in text


def test_a_summary_of_inconclusive_gates_says_that_rows_are_missing(cd, train, azure, tmp_path):
    azure.outputs = outputs_of("inconclusive")
    train()
    cd("summary")
    assert "The gates are inconclusive: more test rows are needed." in (tmp_path / "summary.md").read_text()


def test_without_a_job_the_summary_says_so(cd, tmp_path):
    assert (cd("summary").code, (tmp_path / "summary.md").read_text()) == (0, "No job was submitted.\n")


def test_a_long_report_is_cut_to_what_a_comment_may_have(cd, train, azure, tmp_path):
    rows = "".join(f"| gate {number} | 0.1 | 0.3 | passed |\n" for number in range(5000))
    azure.outputs["report"] = {"report.md": REPORT.replace("| min_gain | 0.1 | 0.3 | passed |\n", rows)}
    train()
    text = comment(tmp_path / "cd-results")
    assert LONGEST_COMMENT - 100 < len(text) <= LONGEST_COMMENT + 10
    assert text.endswith("| passed |\n\n...\n")
